/**
 * Errors the guard hands to callers. Invariant: each derives from the `AnthropicError` of the very SDK that made the
 * call (any version, any module format), because `messages.stream()` wraps every other class, and none has a text or
 * cause that the SDK takes for a timeout or a connection error, which it would retry.
 */
import type { Stop } from "./attempt.ts";
import type { Door } from "./door.ts";
import type { BudgetBecause } from "./leases/budget-refusal.ts";
import type { LimitReached } from "./limit-refusal.ts";
import { type ErrorBase, type FeatureDisabledError, featureDisabledOn } from "../feature-disabled-error.ts";
import { DEFAULT_OFF_MESSAGE, type Decision } from "../wire/protocol.ts";

/** Codes of `error.code`. */
export type GuardErrorCode =
  | "ANDON_ANSWER_BROKEN"
  | "ANDON_DEADLINE"
  | "ANDON_MIDDLEWARE_ORDER"
  | "ANDON_OUTPUT_REFUSED"
  | "ANDON_PROVIDER_FAILED";

export interface GuardError extends Error {
  readonly code: GuardErrorCode;
  readonly flag: string;
}

/** What an error says beside the decision. */
export interface RefusalDetails {
  /** For developers: what to change, where something can be. */
  hint?: string;
  /** The limit that is reached, and when the call may be let in again; null when time does not tell. */
  limit?: LimitReached;
  /** Why a budget has no money for it. */
  because?: BudgetBecause;
  until?: Date | null;
}

/** The error for a caller whose flag is off, or who is over a limit of it. */
export async function featureDisabled(
  door: Door,
  decision: Decision,
  details: RefusalDetails = {},
): Promise<FeatureDisabledError> {
  const message = decision.message === "" ? DEFAULT_OFF_MESSAGE : decision.message;
  return Object.assign(featureDisabledOn(await door.errorBase(), { ...decision, message }), details);
}

/**
 * An answer broke off before it was complete. What broke it is kept as `origin`, not as `cause`: the SDK reads causes
 * to decide on retries.
 */
export function answerBroken(base: ErrorBase, flag: string, origin: unknown): GuardError {
  // Fit for users: what the connection said is for the log.
  const message = "The answer broke off before it was complete.";
  return Object.assign(guardError(base, "AnswerBrokenError", "ANDON_ANSWER_BROKEN", flag, message), {
    origin,
  });
}

/** The application's `checkOutput` refused an answer; `why` is what it said, for the log. */
export function outputRefused(
  base: ErrorBase,
  { flag, message, why }: { flag: string; message: string; why: string },
): GuardError {
  return Object.assign(guardError(base, "OutputRefusedError", "ANDON_OUTPUT_REFUSED", flag, message), { why });
}

/** The guard's `deadlineMs` passed before an answer. */
export function deadlinePassed(base: ErrorBase, flag: string, deadlineMs: number): GuardError {
  const message = `No answer within the deadline of ${deadlineMs} ms.`;
  return guardError(base, "DeadlineError", "ANDON_DEADLINE", flag, message);
}

/** The SDK's refusal fallbacks stand behind the guard. Nothing was sent; no other model mends it. */
export function middlewareOrder(base: ErrorBase, flag: string): GuardError {
  const message =
    "guard(...) must come after betaRefusalFallbackMiddleware(...): " +
    "middleware: [betaRefusalFallbackMiddleware([...]), guard(andon, { flag })]. " +
    "Behind the guard its calls would pass unseen, so that nothing was sent.";
  return guardError(base, "MiddlewareOrderError", "ANDON_MIDDLEWARE_ORDER", flag, message);
}

/** True for the error of {@link middlewareOrder}. */
export function isMiddlewareOrder(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ANDON_MIDDLEWARE_ORDER";
}

/**
 * An attempt that ran into one of the guard's limits. The SDK takes the text for a timeout: it retries when it has
 * retries left and ends with its own `APIConnectionTimeoutError`.
 */
export function attemptTimedOut(limit: string, limitMs: number): Error {
  const error = new Error(`The attempt timed out: ${limit} of ${limitMs} ms.`);
  error.name = "AttemptTimeoutError";
  return error;
}

/** The error for the caller of a call that was stopped. */
export async function errorOfStop(door: Door, flag: string, stop: Stop): Promise<Error> {
  switch (stop.kind) {
    case "killed":
      return featureDisabled(door, stop.decision);
    case "aborted":
      return door.aborted();
    case "deadline":
      return deadlinePassed(await door.errorBase(), flag, stop.limitMs);
    case "limit":
      return attemptTimedOut(stop.name, stop.limitMs);
  }
}

/** What `fetch` throws when its signal aborts: the SDK turns it into its own abort or timeout error. */
export function aborted(): DOMException {
  return new DOMException("This operation was aborted", "AbortError");
}

/** True for the errors made here for callers: the SDK passes them on as they are, at once. */
export function isGuardError(error: Error): boolean {
  return "code" in error && typeof error.code === "string" && error.code.startsWith("ANDON_");
}

/** Whatever was thrown, as an error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** `@langchain/core` 1.4, `errors/index.js`: without it a call is sent again, six times, whatever the error. */
const LANGCHAIN_RETRYABLE = Symbol.for("langchain.errors.retryable");

/** An error for callers of the guard. */
export function guardError(
  base: ErrorBase,
  name: string,
  code: GuardErrorCode,
  flag: string,
  message: string,
): GuardError {
  const error = new base(message);
  Object.defineProperties(error, {
    name: { value: name, enumerable: false, configurable: true, writable: true },
    // See the header: the SDK reads the text, and a flag may be called "timeout-helper".
    toString: { value: () => name, enumerable: false, configurable: true, writable: true },
    [LANGCHAIN_RETRYABLE]: { value: false, enumerable: false, configurable: true },
  });
  return Object.assign(error, { code, flag });
}
