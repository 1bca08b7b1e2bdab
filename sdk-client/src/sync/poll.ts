/**
 * One poll of the snapshot: asks, bounds the wait, and says what came of it as a value. It never rejects, and it ends by
 * its deadline even when the HTTP client under it does not.
 */
import { parseRetryAfter } from "./backoff.ts";
import { parseSnapshot } from "../wire/parse-snapshot.ts";
import {
  HEADER_APP,
  HEADER_BOOT,
  HEADER_INSTANCE,
  HEADER_LOCAL,
  HEADER_SDK,
  HEADER_STALE,
  SNAPSHOT_PATH,
  type Snapshot,
} from "../wire/protocol.ts";
import type { Revision } from "../wire/revision.ts";
import { bootId, type Runtime } from "../runtime.ts";
import { BodyError, type Transport, type TransportResponse } from "./transport.ts";
import { SDK_NAME } from "../version.ts";

export type PollOutcome =
  | {
      readonly kind: "snapshot";
      readonly snapshot: Snapshot;
      readonly warnings: readonly string[];
      /** Age of what the server itself knows, in milliseconds. */
      readonly serverStaleMs: number;
    }
  | { readonly kind: "unchanged"; readonly serverStaleMs: number }
  | {
      readonly kind: "failed";
      /** What sort of failure, stable enough to compare: `status 503`, `network`, `timeout`, `body`. */
      readonly cause: string;
      readonly detail: string;
      readonly retryAfterMs: number | null;
    };

export interface PollTarget {
  readonly url: string;
  readonly token: string;
  readonly instance: string;
  readonly app: string | null;
  /** What `ANDON_KILL` holds off, as `Andon-Local` says it; null for nothing. */
  readonly local: string | null;
  readonly transport: Transport;
  readonly runtime: Runtime;
}

export interface PollRequest {
  /** The revision applied, sent as receipt and to be told only news; null for none. */
  readonly revision: Revision | null;
  /** How long the server may park the poll, in seconds; 0 for not at all. */
  readonly waitSeconds: number;
  /** How long a complete answer may take beyond that. */
  readonly answerTimeoutMs: number;
  readonly signal: AbortSignal;
}

/** `Andon-Stale` beyond this is read as this, in seconds: about three years. */
const MAX_STALE_SECONDS = 1e8;
const MAX_DETAIL_LENGTH = 300;

/** Headers by which the server knows who asks. */
export function identityHeaders(target: PollTarget): Record<string, string> {
  return {
    Authorization: `Bearer ${target.token}`,
    [HEADER_INSTANCE]: target.instance,
    [HEADER_BOOT]: bootId(),
    [HEADER_SDK]: SDK_NAME,
    ...(target.app === null ? {} : { [HEADER_APP]: target.app }),
    ...(target.local === null ? {} : { [HEADER_LOCAL]: target.local }),
  };
}

/** Polls once. */
export async function poll(target: PollTarget, request: PollRequest): Promise<PollOutcome> {
  const { runtime, transport } = target;
  const deadlineMs = request.waitSeconds * 1_000 + request.answerTimeoutMs;
  const attempt = new AbortController();
  const abort = (): void => {
    attempt.abort(request.signal.reason);
  };
  request.signal.addEventListener("abort", abort, { once: true });
  const stopTimer = runtime.startTimer(() => attempt.abort(new DeadlineError(deadlineMs)), deadlineMs, false);
  try {
    const sent = transport.send({
      method: "GET",
      url: target.url + SNAPSHOT_PATH,
      headers: {
        ...identityHeaders(target),
        Accept: "application/json",
        ...(request.revision === null ? {} : { "If-None-Match": `"${request.revision}"` }),
        ...(request.waitSeconds > 0 ? { Prefer: `wait=${request.waitSeconds}` } : {}),
      },
      signal: attempt.signal,
    });
    return read(await Promise.race([sent, rejectOnAbort(attempt.signal)]), request, runtime);
  } catch (error) {
    return failed(error, attempt.signal, target.token);
  } finally {
    stopTimer();
    request.signal.removeEventListener("abort", abort);
  }
}

/** The reason of an attempt that took too long. */
export class DeadlineError extends Error {
  constructor(deadlineMs: number) {
    super(`no complete answer within ${deadlineMs} ms`);
  }
}

/** A custom fetch may not heed its signal; the poll ends all the same. */
export function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const onAbort = (): void => {
      reject(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
}

function read(response: TransportResponse, request: PollRequest, runtime: Runtime): PollOutcome {
  const serverStaleMs = staleMs(response.header(HEADER_STALE.toLowerCase()));
  if (response.status === 304 && request.revision !== null) return { kind: "unchanged", serverStaleMs };
  if (response.status !== 200) {
    const retryAfterMs = parseRetryAfter(response.header("retry-after"), runtime.nowMs());
    return { kind: "failed", cause: `status ${response.status}`, detail: explain(response.status), retryAfterMs };
  }
  const type = response.header("content-type") ?? "no content type";
  if (!/^application\/([a-z.+-]+\+)?json\s*(;|$)/i.test(type)) {
    return refused(`expected JSON, got ${type.slice(0, 80)}`);
  }
  const parsed = parseSnapshot(parseJson(response.body));
  if (!parsed.ok) return refused(parsed.problem);
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

function refused(detail: string): PollOutcome {
  return { kind: "failed", cause: "body", detail: detail.slice(0, MAX_DETAIL_LENGTH), retryAfterMs: null };
}

function failed(error: unknown, signal: AbortSignal, token: string): PollOutcome {
  if (error instanceof BodyError) return refused(error.message);
  const cause = signal.reason instanceof DeadlineError ? "timeout" : "network";
  // Some HTTP clients quote headers in their errors.
  const detail = describe(error).replaceAll(token, "[token]").slice(0, MAX_DETAIL_LENGTH);
  return { kind: "failed", cause, detail, retryAfterMs: null };
}

/** The message and its causes: `fetch failed` alone says nothing. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return "unknown error";
  const code = "code" in error && typeof error.code === "string" ? `${error.code} ` : "";
  const inner = error.cause instanceof Error ? `: ${error.cause.message}` : "";
  return `${code}${error.message}${inner}`;
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
