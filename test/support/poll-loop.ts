/** The least that is a client: polls, applies what it gets, polls again at once. Not the real one, on purpose. */
import { parseRevision } from "../../sdk-client/src/wire/revision.ts";
import type { Snapshot } from "../../sdk-client/src/wire/protocol.ts";
import { jsonOf } from "./json.ts";

const PAUSE_AFTER_FAILURE_MS = 50;

export interface PollLoop {
  readonly instance: string;
  /** The snapshot it goes by; null before the first. */
  current(): Snapshot | null;
  /** Status of the last answer, and its `Andon-Stale`; null before the first. */
  last(): { status: number; stale: string | null } | null;
  /** True when it ever got a lower `n` of its lineage. */
  wentBack(): boolean;
  stop(): Promise<void>;
}

export interface PollLoopOptions {
  url: () => string;
  token: string;
  instance: string;
  waitSeconds?: number;
}

export function startPolling({ url, token, instance, waitSeconds = 25 }: PollLoopOptions): PollLoop {
  const stopped = new AbortController();
  let current: Snapshot | null = null;
  let last: { status: number; stale: string | null } | null = null;
  let wentBack = false;
  const apply = (next: Snapshot) => {
    const [from, to] = [parseRevision(current?.revision ?? ""), parseRevision(next.revision)];
    if (from !== null && to !== null && from.lineage === to.lineage && to.n < from.n) wentBack = true;
    current = next;
  };
  const poll = async () => {
    const response = await fetch(`${url()}/sdk/v1/snapshot`, {
      signal: stopped.signal,
      headers: {
        authorization: `Bearer ${token}`,
        "andon-instance": instance,
        "andon-app": "test",
        ...(waitSeconds > 0 && { prefer: `wait=${waitSeconds}` }),
        ...(current !== null && { "if-none-match": `"${current.revision}"` }),
      },
    });
    last = { status: response.status, stale: response.headers.get("andon-stale") };
    if (response.status === 200) apply(await jsonOf<Snapshot>(response));
    else await response.arrayBuffer();
    return response.status === 200 || (response.status === 304 && waitSeconds > 0);
  };
  const loop = async () => {
    while (!stopped.signal.aborted) {
      let again = false;
      try {
        again = await poll();
      } catch (error) {
        // A server that is down is what these tests are about: the loop goes on.
        if (!(error instanceof Error)) throw error;
      }
      if (!again) await new Promise((resolve) => setTimeout(resolve, PAUSE_AFTER_FAILURE_MS));
    }
  };
  const done = loop();
  return {
    instance,
    current: () => current,
    last: () => last,
    wentBack: () => wentBack,
    stop: async () => {
      stopped.abort();
      await done;
    },
  };
}
