/** When a path without AI may stand in for one with it: never for a fault of the caller's own. */
import { isFeatureDisabled } from "./feature-disabled-error.ts";

/** What the fallback of `andon.run` is given. */
export interface WhyFallback {
  /** `off`: switched off, before or during the call. `failed`: Claude, or the way to it, failed. */
  because: "off" | "failed";
  /** Text fit for end users: nothing of the provider. */
  message: string;
  /** What the AI path threw, for the log; null when it was not begun. */
  error: unknown;
}

/** Faults of the request itself, which a fallback would only hide. */
const CALLERS_FAULT: ReadonlySet<number> = new Set([400, 413, 422]);

/** Words of a 400 that says that the account is out of money, and is no fault of the request. */
export const USAGE_LIMIT_TEXT = /usage limit|spend(?:ing)? limit|credit balance/i;

/** Why a fallback may answer for this error; null when the error is the caller's to see. */
export function whyFallback(error: unknown): WhyFallback["because"] | null {
  if (isFeatureDisabled(error)) return "off";
  if (typeof error !== "object" || error === null) return null;
  const code: unknown = Reflect.get(error, "code");
  if (code === "ANDON_ANSWER_BROKEN" || code === "ANDON_DEADLINE" || code === "ANDON_PROVIDER_FAILED") return "failed";
  const status: unknown = Reflect.get(error, "status") ?? Reflect.get(error, "statusCode");
  if (typeof status === "number") {
    const isOwnFault = CALLERS_FAULT.has(status) && !(error instanceof Error && USAGE_LIMIT_TEXT.test(error.message));
    return status >= 400 && !isOwnFault ? "failed" : null;
  }
  // Connection errors of the Anthropic SDK have a status that is undefined, as its error of an abort by the caller has.
  return "status" in error && error instanceof Error && !/abort/i.test(error.message) ? "failed" : null;
}
