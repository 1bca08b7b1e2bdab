/**
 * The error of a call whose flag is off. It is recognised by a brand, never by its class: a process may hold this
 * package twice (ESM and CommonJS) and the class is derived afresh from each Anthropic SDK in use.
 */
import type { DecisionReason } from "./wire/protocol.ts";
import type { Revision } from "./wire/revision.ts";

const BRAND = Symbol.for("andon.feature-disabled");
/** How many errors around ours are looked through; a cycle ends there too. */
const MAX_WRAPPERS = 8;

/** What an off decision says about itself. */
export interface FeatureDisabledDetails {
  flag: string;
  reason: DecisionReason;
  revision: Revision | null;
  /** Text fit for end users. */
  message: string;
}

/**
 * Thrown instead of a call whose flag is off. `message` is fit for end users.
 * `instanceof FeatureDisabledError` holds for every copy and every SDK; prefer {@link isFeatureDisabled}, which also
 * looks through `cause`.
 */
export class FeatureDisabledError extends Error {
  static readonly code = "ANDON_FEATURE_DISABLED";
  static readonly status = 403;
  declare readonly code: typeof FeatureDisabledError.code;
  /** LangChain sends a call again for 90 s on an error without a status of this kind. It tells nothing else. */
  declare readonly status: typeof FeatureDisabledError.status;
  declare readonly flag: string;
  declare readonly reason: DecisionReason;
  declare readonly revision: Revision | null;
  /** For developers: what to change in the call, where a change of it would help. */
  declare readonly hint?: string;
  /** With reason `BUDGET`: the limit that is reached, and when to try again; null when time does not tell. */
  declare readonly limit?: { readonly name: string; readonly scope: string; readonly allowed: number };
  declare readonly until?: Date | null;
  /**
   * With reason `BUDGET`, of a budget that reserves: its money is `held` by calls that run (try again in a moment), the call may
   * cost more than is left (`tooLarge`), it is `spent` (until `until`), Andon cannot be asked (`unavailable`), or nobody can
   * tell what the call may cost (`unbounded`).
   */
  declare readonly because?: "held" | "tooLarge" | "spent" | "unavailable" | "unbounded";

  constructor(details: FeatureDisabledDetails) {
    super(details.message);
    brand(this, details);
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return isBranded(value);
  }
}

/** A base that errors of this package are derived from: `Error`, or the `AnthropicError` of one SDK. */
export type ErrorBase = new (message: string) => Error;

/** Makes the error on the given base, so that the SDK that owns the base passes it on unwrapped. */
export function featureDisabledOn(base: ErrorBase, details: FeatureDisabledDetails): FeatureDisabledError {
  const error = new base(details.message);
  brand(error, details);
  return error;
}

/** True for a {@link FeatureDisabledError}, also when another error wraps it as its `cause` or `lastError`. */
export function isFeatureDisabled(error: unknown): boolean {
  return findFeatureDisabled(error) !== null;
}

/** The {@link FeatureDisabledError} in an error or those it wraps, with flag, reason and revision; else null. */
export function findFeatureDisabled(error: unknown): FeatureDisabledError | null {
  let current = error;
  for (let link = 0; link < MAX_WRAPPERS; link += 1) {
    if (isBranded(current)) return current;
    if (!(current instanceof Error)) return null;
    // The AI SDK's `RetryError` has no cause.
    current = current.cause ?? ("lastError" in current ? current.lastError : null);
  }
  return null;
}

function isBranded(value: unknown): value is FeatureDisabledError {
  return typeof value === "object" && value !== null && BRAND in value;
}

function brand(error: Error, details: FeatureDisabledDetails): asserts error is FeatureDisabledError {
  const hidden = { enumerable: false, configurable: true, writable: true };
  Object.defineProperties(error, {
    [BRAND]: { ...hidden, value: true },
    name: { ...hidden, value: "FeatureDisabledError" },
    // The SDK retries errors whose text says "timed out", and the message is typed by people: keep it out of the text.
    toString: { ...hidden, value: () => "FeatureDisabledError" },
  });
  Object.assign(error, {
    code: FeatureDisabledError.code,
    status: FeatureDisabledError.status,
    flag: details.flag,
    reason: details.reason,
    revision: details.revision,
  });
}
