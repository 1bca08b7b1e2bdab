/**
 * One request to the server: who asks, for how long, and what came of it as a value. It never rejects, and it ends by its
 * deadline even when the HTTP client under it does not.
 */
import { bootId, type Runtime } from "../runtime.ts";
import { SDK_NAME } from "../version.ts";
import { HEADER_APP, HEADER_BOOT, HEADER_INSTANCE, HEADER_LOCAL, HEADER_SDK } from "../wire/protocol.ts";
import { parseRetryAfter } from "./backoff.ts";
import type { Stop } from "./stop.ts";
import { BodyError, type Transport, type TransportRequest, type TransportResponse } from "./transport.ts";

/** The server, and the name under which it knows this process. */
export interface ServerLink {
  readonly url: string;
  readonly token: string;
  readonly instance: string;
  readonly app: string | null;
  /** What `ANDON_KILL` holds off, as `Andon-Local` says it; null for nothing. */
  readonly local: string | null;
  readonly transport: Transport;
  readonly runtime: Runtime;
}

export interface Failed {
  readonly kind: "failed";
  /** What sort of failure, stable enough to compare: `status 503`, `network`, `timeout`, `body`. */
  readonly cause: string;
  readonly detail: string;
  /** What the server asked for, null for nothing. */
  readonly retryAfterMs: number | null;
}

export interface Asked {
  readonly method: TransportRequest["method"];
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** How long a complete answer may take. */
  readonly timeoutMs: number;
  /** Keeps the process alive until then: somebody awaits the end. */
  readonly holdsProcess?: boolean;
  /** Ends the request early. */
  readonly stop?: Stop;
}

const MAX_DETAIL_CHARS = 300;

/** Asks once; `read` makes of an answer, whatever its status, what came of it. */
export async function ask<Outcome>(
  link: ServerLink,
  { path, timeoutMs, holdsProcess = false, stop, ...request }: Asked,
  read: (response: TransportResponse) => Outcome,
): Promise<Outcome | Failed> {
  const attempt = new AbortController();
  const isLate = (): void => attempt.abort(new DeadlineError(timeoutMs));
  const forget = stop?.onStop(() => attempt.abort(new Error("stopped")));
  const stopTimer = link.runtime.startTimer(isLate, timeoutMs, holdsProcess);
  try {
    const sent = link.transport.send({
      ...request,
      url: link.url + path,
      headers: { ...identityHeaders(link), Accept: "application/json", ...request.headers },
      signal: attempt.signal,
    });
    return read(await Promise.race([sent, rejectOnAbort(attempt.signal)]));
  } catch (error) {
    if (error instanceof BodyError) return failed("body", error.message);
    const cause = attempt.signal.reason instanceof DeadlineError ? "timeout" : "network";
    // Some HTTP clients quote headers in their errors.
    return failed(cause, describe(error).replaceAll(link.token, "[token]"));
  } finally {
    stopTimer();
    forget?.();
  }
}

/** Headers by which the server knows who asks. */
function identityHeaders(link: ServerLink): Record<string, string> {
  return {
    Authorization: `Bearer ${link.token}`,
    [HEADER_INSTANCE]: link.instance,
    [HEADER_BOOT]: bootId(),
    [HEADER_SDK]: SDK_NAME,
    ...(link.app === null ? {} : { [HEADER_APP]: link.app }),
    ...(link.local === null ? {} : { [HEADER_LOCAL]: link.local }),
  };
}

export function failed(cause: string, detail: string, retryAfterMs: number | null = null): Failed {
  return { kind: "failed", cause, detail: detail.slice(0, MAX_DETAIL_CHARS), retryAfterMs };
}

/** The failure that an answer with another status than the ones expected is. `nowMs` is Unix time in milliseconds. */
export function failedByStatus(response: TransportResponse, detail: string, nowMs: number): Failed {
  return failed(`status ${response.status}`, detail, parseRetryAfter(response.header("retry-after"), nowMs));
}

class DeadlineError extends Error {
  constructor(deadlineMs: number) {
    super(`no complete answer within ${deadlineMs} ms`);
  }
}

/** A custom fetch may not heed its signal; the request ends all the same. */
function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const onAbort = (): void => {
      reject(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** The message and its causes: `fetch failed` alone says nothing. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return "unknown error";
  const code = "code" in error && typeof error.code === "string" ? `${error.code} ` : "";
  const inner = error.cause instanceof Error ? `: ${error.cause.message}` : "";
  return `${code}${error.message}${inner}`;
}
