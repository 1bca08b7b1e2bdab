/** One poll of the snapshot: asks, and says what came of it as a value. It never rejects. */
import { parseSnapshot } from "../wire/parse-snapshot.ts";
import { HEADER_STALE, SNAPSHOT_PATH, type Snapshot } from "../wire/protocol.ts";
import type { Revision } from "../wire/revision.ts";
import type { Stop } from "./stop.ts";
import { ask, type Failed, failed, failedByStatus, type ServerLink } from "./request.ts";
import { BodyError, type TransportResponse } from "./transport.ts";

export type PollOutcome =
  | {
      readonly kind: "snapshot";
      readonly snapshot: Snapshot;
      readonly warnings: readonly string[];
      /** Age of what the server itself knows, in milliseconds. */
      readonly serverStaleMs: number;
    }
  | { readonly kind: "unchanged"; readonly serverStaleMs: number }
  | Failed;

export interface PollRequest {
  /** The revision applied, sent as receipt and to be told only news; null for none. */
  readonly revision: Revision | null;
  /** How long the server may park the poll, in seconds; 0 for not at all. */
  readonly waitSeconds: number;
  /** How long a complete answer may take beyond that. */
  readonly answerTimeoutMs: number;
  readonly stop?: Stop;
}

/** `Andon-Stale` beyond this is read as this, in seconds: about three years. */
const MAX_STALE_SECONDS = 1e8;

/** Polls once. */
export function poll(link: ServerLink, request: PollRequest): Promise<PollOutcome> {
  const { revision, waitSeconds, answerTimeoutMs } = request;
  const headers = {
    ...(revision === null ? {} : { "If-None-Match": `"${revision}"` }),
    ...(waitSeconds > 0 ? { Prefer: `wait=${waitSeconds}` } : {}),
  };
  const timeoutMs = waitSeconds * 1_000 + answerTimeoutMs;
  const stop = request.stop === undefined ? {} : { stop: request.stop };
  return ask(link, { method: "GET", path: SNAPSHOT_PATH, headers, timeoutMs, ...stop }, (response) =>
    read(response, revision, link.runtime.nowMs()),
  );
}

function read(response: TransportResponse, revision: Revision | null, nowMs: number): PollOutcome {
  const serverStaleMs = staleMs(response.header(HEADER_STALE.toLowerCase()));
  if (response.status === 304 && revision !== null) return { kind: "unchanged", serverStaleMs };
  if (response.status !== 200) return failedByStatus(response, explain(response.status), nowMs);
  const type = response.header("content-type") ?? "no content type";
  if (!/^application\/([a-z.+-]+\+)?json\s*(;|$)/i.test(type)) {
    return failed("body", `expected JSON, got ${type.slice(0, 80)}`);
  }
  const parsed = parseSnapshot(parseJson(response.body));
  if (!parsed.ok) return failed("body", parsed.problem);
  return { kind: "snapshot", snapshot: parsed.snapshot, warnings: parsed.warnings, serverStaleMs };
}

/** Throws {@link BodyError} when the text is not JSON, so that no parser text with pieces of the body is logged. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BodyError("body is not complete JSON", { cause });
  }
}

function explain(status: number): string {
  if (status === 401) return "the server does not accept the token; polling continues";
  if (status === 403) return "the token may not poll snapshots; polling continues";
  if (status === 404) return "no Andon server at this url; polling continues";
  if (status >= 300 && status < 400) return "redirects are not followed, to keep the token on its host";
  return "the server answered with an error; polling continues";
}

function staleMs(header: string | undefined): number {
  if (header === undefined || !/^\d{1,12}$/.test(header.trim())) return 0;
  return Math.min(Number(header), MAX_STALE_SECONDS) * 1_000;
}
