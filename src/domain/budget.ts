/**
 * A budget: what it limits, by how much and for how long, and what follows from that alone.
 * Invariant: money is an integer number of nano-USD (1e-9 USD) that never leaves the safe integers.
 */
import type { NameOf } from "../../sdk-client/src/evaluate/model-table.ts";
import { OTHER } from "./other.ts";
import type { Period } from "./window.ts";

/**
 * `track` only tells, `trip` counts and then acts, `reserve` lets nothing be spent that was not set aside before.
 */
export type Enforcement = "track" | "trip" | "reserve";

/** What counts against a budget; all that is given must match, and `{}` is the whole environment. */
export interface BudgetScope {
  flag?: string;
  model?: string;
  /** One user's id, or `each`: every user has a window of their own. */
  user?: string;
  /** One session's id, or `each`. */
  session?: string;
}

export type LadderAction = "alert" | "downgrade" | "kill";

export interface LadderStep {
  /** Share of the effective limit, a whole percentage; above 100 is allowed. */
  atPercent: number;
  action: LadderAction;
  /** For `downgrade`: the level to go to; left out, one further than the flag's level at that moment. */
  level?: number;
}

/** More money for a while. The base limit stays what it is. */
export interface Raise {
  id: string;
  addNanoUsd: number;
  /** Unix time in milliseconds, inclusive. */
  fromMs: number;
  /** Unix time in milliseconds, exclusive. */
  untilMs: number;
}

export interface Budget {
  id: string;
  name: string;
  scope: BudgetScope;
  /** Per window; people write it in USD (`nanoUsd`). */
  limitNanoUsd: number;
  period: Period;
  /** IANA zone that the windows follow. */
  timezone: string;
  enforcement: Enforcement;
  /** Under `reserve`: what a client does that can reach no server and has no lease left. */
  onUnavailable: "allow" | "deny";
  ladder: readonly LadderStep[];
  /** Whether trips end with their window or stay until somebody restores. */
  onReset: "restore" | "stay";
  raises: readonly Raise[];
}

export const NANO_PER_USD = 1_000_000_000;
/** One cent: a smaller limit is a mistyped one. To spend nothing at all, kill. */
export const MIN_LIMIT_NANO_USD = NANO_PER_USD / 100;
/** One million USD. */
export const MAX_LIMIT_NANO_USD = 1_000_000 * NANO_PER_USD;
export const MAX_RAISES = 50;
/** A raise ends by itself within this time; more for longer is another limit. */
export const MAX_RAISE_DAYS = 31;
export const MAX_LADDER_STEPS = 10;
export const MIN_STEP_PERCENT = 1;
export const MAX_STEP_PERCENT = 1_000;
export const MAX_BUDGETS_PER_ENVIRONMENT = 500;
/** In a scope: one window for each user, or for each session. */
export const EACH = "each";

/** Nano-USD of an amount in USD as people write it, rounded to the nearest. */
export function nanoUsd(usd: number): number {
  return Math.round(usd * NANO_PER_USD);
}

/** The sum of two amounts. It stops at the largest safe integer, where every step has long been crossed. */
export function addNanoUsd(a: number, b: number): number {
  return Math.min(a + b, Number.MAX_SAFE_INTEGER);
}

/** The limit with the raises in force at a moment (Unix time in milliseconds). */
export function effectiveLimitNanoUsd(budget: Pick<Budget, "limitNanoUsd" | "raises">, nowMs: number): number {
  let limit = budget.limitNanoUsd;
  for (const raise of budget.raises) {
    if (raise.fromMs <= nowMs && nowMs < raise.untilMs) limit = addNanoUsd(limit, raise.addNanoUsd);
  }
  return limit;
}

/** When the effective limit changes next by itself: a raise begins or expires. Null: never. */
export function nextLimitChangeMs(budget: Pick<Budget, "raises">, nowMs: number): number | null {
  const moments = budget.raises.flatMap((raise) => [raise.fromMs, raise.untilMs]).filter((ms) => ms > nowMs);
  return moments.length === 0 ? null : Math.min(...moments);
}

/** What a budget needs to know of a usage record. */
export interface Spender {
  flag: string;
  model: string;
  user?: string | null;
  session?: string | null;
}

/**
 * Whose window a record counts in: null when the scope does not match, `""` when the budget has one window for all, else
 * the id of the user or session. A record without a user matches no budget about users.
 */
export function subjectOf(scope: BudgetScope, record: Spender, nameOf: NameOf): string | null {
  // What is counted as `other` is of no one flag and no one model.
  if (scope.flag !== undefined && (scope.flag !== record.flag || record.flag === OTHER)) return null;
  if (scope.model !== undefined && record.model === OTHER) return null;
  if (scope.model !== undefined && nameOf(scope.model) !== nameOf(record.model)) return null;
  const user = matchOne(scope.user, record.user);
  const session = matchOne(scope.session, record.session);
  if (user === null || session === null) return null;
  // A length in front of the user keeps two pairs apart whose joined ids look the same.
  return user !== "" && session !== "" ? `${user.length}:${user}${session}` : user + session;
}

/** Null: no match; `""`: no window of its own; else the id that has one. */
function matchOne(wanted: string | undefined, actual: string | null | undefined): string | null {
  if (wanted === undefined) return "";
  if (actual === undefined || actual === null || actual === "") return null;
  if (wanted === EACH) return actual;
  return wanted === actual ? "" : null;
}
