/**
 * One report of usage: sends a batch, bounds the wait, and says what came of it as a value. It never rejects. Only a
 * readable answer of an Andon server counts as acknowledged.
 */
import { parseRetryAfter } from "../sync/backoff.ts";
import { isObject, parseObject } from "../wire/json.ts";
import { DeadlineError, describe, identityHeaders, type PollTarget, rejectOnAbort } from "../sync/poll.ts";
import { HEADER_SENT } from "../wire/protocol.ts";
import type { Revision } from "../wire/revision.ts";
import { USAGE_PATH } from "../wire/usage-protocol.ts";

/** How long the server may take to commit and answer. */
const ANSWER_TIMEOUT_MS = 10_000;
/** The server will not have this batch as it is, however often it is sent. */
const REFUSALS: ReadonlySet<number> = new Set([413, 422]);

export interface Rejected {
  path: string;
  message: string;
}

export type ReportOutcome =
  | { readonly kind: "acknowledged"; readonly rejected: readonly Rejected[]; readonly revision: Revision | null }
  | { readonly kind: "refused"; readonly status: number }
  | {
      readonly kind: "failed";
      /** Stable enough to compare: `status 503`, `network`, `timeout`, `body`. */
      readonly cause: string;
      readonly detail: string;
      readonly retryAfterMs: number | null;
    };

/** Sends the body of one batch. */
export async function postUsage(target: PollTarget, body: string, signal: AbortSignal): Promise<ReportOutcome> {
  const { runtime, transport } = target;
  const attempt = new AbortController();
  const abort = (): void => attempt.abort(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  const stopTimer = runtime.startTimer(
    () => attempt.abort(new DeadlineError(ANSWER_TIMEOUT_MS)),
    ANSWER_TIMEOUT_MS,
    false,
  );
  try {
    if (signal.aborted) abort();
    const headers = {
      ...identityHeaders(target),
      // Not in the body, which is repeated as it is.
      [HEADER_SENT]: String(runtime.nowMs()),
      "Content-Type": "application/json",
      Accept: "application/json",
    };
    const url = target.url + USAGE_PATH;
    const sent = transport.send({ method: "POST", url, headers, signal: attempt.signal, body });
    const response = await Promise.race([sent, rejectOnAbort(attempt.signal)]);
    if (response.status === 200) return read(response.body);
    if (REFUSALS.has(response.status)) return { kind: "refused", status: response.status };
    const retryAfterMs = parseRetryAfter(response.header("retry-after"), runtime.nowMs());
    return failed(`status ${response.status}`, explain(response.status), retryAfterMs);
  } catch (error) {
    const cause = attempt.signal.reason instanceof DeadlineError ? "timeout" : "network";
    return failed(cause, describe(error).replaceAll(target.token, "[token]"), null);
  } finally {
    stopTimer();
    signal.removeEventListener("abort", abort);
  }
}

const MAX_DETAIL_CHARS = 300;

function failed(cause: string, detail: string, retryAfterMs: number | null): ReportOutcome {
  return { kind: "failed", cause, detail: detail.slice(0, MAX_DETAIL_CHARS), retryAfterMs };
}

/** A 200 of something else than Andon (a captive portal, a proxy) acknowledges nothing. */
function read(body: string): ReportOutcome {
  const answer = parseObject(body);
  if (answer === null || typeof answer["accepted"] !== "number") {
    return failed("body", "the answer is not that of an Andon server", null);
  }
  const rejected = Array.isArray(answer["rejected"]) ? (answer["rejected"] as unknown[]).filter(isObject) : [];
  return {
    kind: "acknowledged",
    rejected: rejected.map((each) => ({ path: String(each["path"]), message: String(each["message"]) })),
    revision: typeof answer["revision"] === "string" ? answer["revision"] : null,
  };
}

function explain(status: number): string {
  if (status === 401 || status === 403) return "the server does not accept the token for usage; usage is kept";
  if (status === 404) return "this server does not take usage; usage is kept";
  return "the server answered with an error; usage is kept";
}
