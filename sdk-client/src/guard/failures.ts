/**
 * What an answer of the API means for the call: the table of failures. Pure. Invariant: only what another model can mend
 * goes to the next model; what is the caller's or the account's fault goes straight through, once.
 */
import { USAGE_LIMIT_TEXT } from "../degrade.ts";
import { isObject, parseObject } from "../wire/json.ts";

/**
 * - `answer`: an answer, or the caller's own fault: straight through
 * - `failed`: the provider failed, with this model: the next may do better
 * - `limited`: this model's rate limit is reached
 * - `backOff`: the organisation's is: the same model again, later
 * - `unusable`: this model cannot be had, or cannot take the request
 * - `tooLong`: the request fits only a model with a larger window
 * - `refused`: the model declined to answer
 * - `outOfMoney`: no retry and no other model can succeed
 * - `revoked`: the key is not accepted any more
 */
export type Verdict =
  | "answer"
  | "failed"
  | "limited"
  | "backOff"
  | "unusable"
  | "tooLong"
  | "refused"
  | "outOfMoney"
  | "revoked";

/** An error as the API tells it. Fields that it does not tell are empty. */
export interface ApiError {
  type: string;
  message: string;
  /** `error.details.error_code`. */
  code: string;
}

/** What was sent when the error came. */
export interface SentTo {
  model: string;
  /** True when it is not what the caller asked for: another model, or a step's patch. */
  isChanged: boolean;
}

const SPEND_CODES: ReadonlySet<string> = new Set(["enforced_spend_limit_reached", "contract_spend_limit_reached"]);
/** Codes of a 402 that concern the organisation of one end user (`resources/shared.d.ts` of SDK 1.14.0). */
const LINKED_ORGANIZATION = "linked_organization_";
/** "prompt is too long: 210000 tokens > 200000 maximum", "input length and `max_tokens` exceed context limit: …". */
const TOO_LONG_TEXT = /prompt is too long|exceeds? (?:the )?(?:model's )?(?:maximum )?context/i;
const MODEL_WORD = /\bmodel\b/i;

/** Judges an error by its status and by what it says. */
export function judgeError(status: number, error: ApiError, sent: SentTo): Verdict {
  if (status >= 500 || status === 408 || status === 409) return "failed";
  switch (status) {
    case 400:
      if (USAGE_LIMIT_TEXT.test(error.message)) return "outOfMoney";
      if (TOO_LONG_TEXT.test(error.message)) return "tooLong";
      return sent.isChanged ? "unusable" : "answer";
    case 401:
      return "revoked";
    case 402:
      return error.code.startsWith(LINKED_ORGANIZATION) ? "answer" : "outOfMoney";
    case 403:
      if (namesModel(error, sent.model)) return "unusable";
      // A code says that it is something else than the key.
      return error.code === "" ? "revoked" : "answer";
    case 404:
      return namesModel(error, sent.model) ? "unusable" : "answer";
    case 429:
      if (SPEND_CODES.has(error.code)) return "outOfMoney";
      return error.code === "ramp_limit_exceeded" ? "backOff" : "limited";
    default:
      return "answer";
  }
}

function namesModel({ message }: ApiError, model: string): boolean {
  return message.includes(model) || MODEL_WORD.test(message);
}

/** The error in the text of a body or of an `error` event; with empty fields when there is none to be read. */
export function readError(text: string): ApiError {
  return errorIn(parseObject(text)) ?? { type: "", message: "", code: "" };
}

/** The error that stands in place of an answer; null for an answer. */
export function errorIn(body: Record<string, unknown> | null): ApiError | null {
  const error = body?.["error"];
  if (body === null || (body["type"] !== "error" && (error === undefined || body["content"] !== undefined)))
    return null;
  if (!isObject(error)) return { type: "", message: textOf(error), code: "" };
  const details = error["details"];
  const code = isObject(details) ? textOf(details["error_code"]) : "";
  return { type: textOf(error["type"]), message: textOf(error["message"]), code };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

const ERROR_TYPES: ReadonlyMap<number, string> = new Map([
  [400, "invalid_request_error"],
  [401, "authentication_error"],
  [402, "billing_error"],
  [403, "permission_error"],
  [404, "not_found_error"],
  [409, "conflict_error"],
  [413, "request_too_large"],
  [429, "rate_limit_error"],
  [500, "api_error"],
  [504, "timeout_error"],
  [529, "overloaded_error"],
]);
const STATUSES: ReadonlyMap<string, number> = new Map(Array.from(ERROR_TYPES, ([status, type]) => [type, status]));

/** The API's name for a failed status; `http_error` for those it has none for. */
export function errorTypeOf(status: number): string {
  return ERROR_TYPES.get(status) ?? "http_error";
}

/** The status of an error that came with 200: in a body, or in an event of a stream. What has no name is the API's fault. */
export function statusOf(error: ApiError): number {
  return STATUSES.get(error.type) ?? 500;
}

/** Failures to connect: the request never left. A reset or a timeout may come after it was read. */
const NOT_CONNECTED: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
  "CERT_HAS_EXPIRED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);
const MAX_CAUSES = 5;

/** Why no connection was made, so that nothing was used: the code of the error; null when there may have been one. */
export function neverSent(error: unknown): string | null {
  let current = error;
  for (let depth = 0; depth < MAX_CAUSES && current instanceof Error; depth += 1) {
    if ("code" in current && typeof current.code === "string" && NOT_CONNECTED.has(current.code)) return current.code;
    current = current.cause;
  }
  return null;
}
