/**
 * What an answer of the API means for the call: the table of failures. Invariant: only what another model can mend
 * goes to the next model; what is the caller's or the account's fault goes straight through, once.
 */
import { isObject } from "../wire/json.ts";

/** An error body longer than this is cut: the API's own are a few hundred bytes. */
const MAX_ERROR_BODY_BYTES = 65_536;

const MODEL_FAILURES: ReadonlySet<number> = new Set([500, 502, 503, 504, 529]);
const MODEL_FAILURE_TYPES: ReadonlySet<string> = new Set(["overloaded_error", "api_error", "timeout_error"]);
const SPEND_CODES: ReadonlySet<string> = new Set(["enforced_spend_limit_reached", "contract_spend_limit_reached"]);
const USAGE_LIMIT_TEXT = /usage limit|spend(?:ing)? limit|credit balance/i;

/**
 * - `answer`: as it is; the SDK's own retries apply
 * - `failed`: this model failed, the next may not
 * - `limited`: this model's rate limit is reached
 * - `outOfMoney`: no retry and no other model can succeed
 */
export type Verdict = "answer" | "failed" | "limited" | "outOfMoney";

export interface Judged {
  verdict: Verdict;
  /** The response to pass on; the given one is used up when its body had to be read. */
  response: Response;
}

/** Judges a response by status, and by its body where the status does not tell. */
export async function judge(response: Response): Promise<Judged> {
  const { status } = response;
  if (response.ok) return { verdict: "answer", response };
  if (MODEL_FAILURES.has(status)) return { verdict: "failed", response };
  if (status === 402) return { verdict: "outOfMoney", response: withoutRetry(response) };
  if (status !== 400 && status !== 429) return { verdict: "answer", response };
  const text = await readBounded(response);
  const copy = rebuilt(response, text);
  const verdict = judgeError(status, text);
  return { verdict, response: verdict === "outOfMoney" ? withoutRetry(copy) : copy };
}

/** Judges an `error` event of a stream by its data. */
export function judgeStreamError(data: string): Verdict {
  const type = errorOf(data)?.["type"];
  if (typeof type !== "string") return "answer";
  if (type === "rate_limit_error") return judgeError(429, data);
  return MODEL_FAILURE_TYPES.has(type) ? "failed" : "answer";
}

/** The response with the header by which the SDK is told not to retry. */
export function withoutRetry(response: Response): Response {
  const copy = rebuilt(response, response.body);
  copy.headers.set("x-should-retry", "false");
  return copy;
}

/**
 * A response like the given one with another body. Its headers are copied here: where `@hono/node-server` 2.1.8 serves, the
 * global `Response` is its own and keeps the ones it is given, which are immutable when they came from `fetch`
 * (findings/hono-node-server-response-shares-headers.sh).
 */
export function rebuilt(response: Response, body: BodyInit | null): Response {
  const { status, statusText } = response;
  const copy = new Response(body, { status, statusText, headers: new Headers(response.headers) });
  // The constructor cannot set it; callers of `asResponse()` and the SDK's log read it.
  Object.defineProperty(copy, "url", { value: response.url });
  return copy;
}

type BodyInit = ConstructorParameters<typeof Response>[0];

function judgeError(status: number, text: string): Verdict {
  const error = errorOf(text);
  if (status === 400) {
    const message = error?.["message"];
    return typeof message === "string" && USAGE_LIMIT_TEXT.test(message) ? "outOfMoney" : "answer";
  }
  const details = error?.["details"];
  const code = isObject(details) ? details["error_code"] : undefined;
  if (typeof code !== "string") return "limited";
  if (SPEND_CODES.has(code)) return "outOfMoney";
  // A ramp limit is the organisation's, not the model's: the SDK backs off.
  return code === "ramp_limit_exceeded" ? "answer" : "limited";
}

function errorOf(text: string): Record<string, unknown> | null {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    // A proxy's HTML page, for example: nothing to learn beyond the status.
    body = null;
  }
  const error = isObject(body) ? body["error"] : null;
  return isObject(error) ? error : null;
}

async function readBounded(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return "";
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    text += decoder.decode(value, { stream: true });
    bytes += value.byteLength;
    if (bytes > MAX_ERROR_BODY_BYTES) {
      await reader.cancel();
      return text;
    }
  }
}

const ERROR_TYPES: ReadonlyMap<number, string> = new Map([
  [400, "invalid_request_error"],
  [401, "authentication_error"],
  [402, "billing_error"],
  [403, "permission_error"],
  [404, "not_found_error"],
  [413, "request_too_large"],
  [429, "rate_limit_error"],
  [500, "api_error"],
  [504, "timeout_error"],
  [529, "overloaded_error"],
]);

/** The API's name for a failed status; `http_error` for those it has none for. */
export function errorTypeOf(status: number): string {
  return ERROR_TYPES.get(status) ?? "http_error";
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

/** True when the error says that no connection was made, so that nothing was used. */
export function neverSent(error: unknown): boolean {
  let current = error;
  for (let depth = 0; depth < MAX_CAUSES && current instanceof Error; depth += 1) {
    if ("code" in current && typeof current.code === "string" && NOT_CONNECTED.has(current.code)) return true;
    current = current.cause;
  }
  return false;
}
