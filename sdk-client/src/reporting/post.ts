/**
 * One report of usage: sends a batch, and says what came of it as a value. It never rejects. Only a
 * readable answer of an Andon server counts as acknowledged.
 */
import { ask, type Failed, failed, failedByStatus, type ServerLink } from "../sync/request.ts";
import type { Stop } from "../sync/stop.ts";
import { isObject, parseObject } from "../wire/json.ts";
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
  | {
      readonly kind: "acknowledged";
      readonly rejected: readonly Rejected[];
      readonly revision: Revision | null;
      readonly answer: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: "refused"; readonly status: number }
  | Failed;

/** Sends the body of one batch. */
export function postUsage(link: ServerLink, body: string, stop: Stop): Promise<ReportOutcome> {
  // When it is sent is not in the body, which is repeated as it is.
  const headers = { "Content-Type": "application/json", [HEADER_SENT]: String(link.runtime.nowMs()) };
  const request = { method: "POST", path: USAGE_PATH, headers, body, timeoutMs: ANSWER_TIMEOUT_MS, stop } as const;
  return ask(link, request, (response): ReportOutcome => {
    const { status } = response;
    if (status === 200) return read(response.body);
    if (REFUSALS.has(status)) return { kind: "refused", status };
    return failedByStatus(response, explain(status), link.runtime.nowMs());
  });
}

/** A 200 of something else than Andon (a captive portal, a proxy) acknowledges nothing. */
function read(body: string): ReportOutcome {
  const answer = parseObject(body);
  if (answer === null || typeof answer["accepted"] !== "number") {
    return failed("body", "the answer is not that of an Andon server");
  }
  const rejected = Array.isArray(answer["rejected"]) ? (answer["rejected"] as unknown[]).filter(isObject) : [];
  return {
    kind: "acknowledged",
    rejected: rejected.map((each) => ({ path: String(each["path"]), message: String(each["message"]) })),
    revision: typeof answer["revision"] === "string" ? answer["revision"] : null,
    answer,
  };
}

function explain(status: number): string {
  if (status === 401 || status === 403) return "the server does not accept the token for usage; usage is kept";
  if (status === 404) return "this server does not take usage; usage is kept";
  return "the server answered with an error; usage is kept";
}
