/**
 * A budget: what it limits, by how much and for how long, and what follows from that alone.
 * Invariant: money is an integer number of nano-USD (1e-9 USD) that never leaves the safe integers.
 */
import type { NameOf } from "../../sdk-client/src/evaluate/model-names.ts";
import { subjectIn } from "../../sdk-client/src/evaluate/subject.ts";
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
  /** Flags that have this tag. */
  tag?: string;
  /** Which flags those are now: filled in by who reads the budget, and no part of what people define. */
  tagged?: readonly string[];
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

/** `wait`: its turn, for as long as the budget says. `stepDown`: first a cheaper model, or fewer tokens, that fits at once. */
export const WHEN_HELD = ["wait", "stepDown"] as const;
export type WhenHeld = (typeof WHEN_HELD)[number];

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
  /** What a client does that can reach no server and has no money left: of a lease, or of its credit to start calls. */
  onUnavailable: "allow" | "deny";
  /** Under `reserve`: how long a call waits for money that others hold. */
  reserveWaitMs: number;
  /** Under `reserve`: a call is never clamped to fewer tokens of output. */
  minTokens: number;
  /** Under `reserve`: what a call does that would fit if others held less. */
  whenHeld: WhenHeld;
  ladder: readonly LadderStep[];
  /** Whether trips end with their window or stay until somebody restores. */
  onReset: "restore" | "stay";
  /** It counts, and does nothing. */
  paused: boolean;
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
/** What most calls of a chat take; agents need 10 to 30 s. */
export const DEFAULT_RESERVE_WAIT_MS = 2_000;
export const MAX_RESERVE_WAIT_MS = 120_000;
/** Fewer tokens than this are rarely an answer. */
export const DEFAULT_MIN_TOKENS = 256;
export const MAX_MIN_TOKENS = 1_000_000;

/** The scope as people define it. */
export function definedScope({ tagged: _now, ...scope }: BudgetScope): Omit<BudgetScope, "tagged"> {
  return scope;
}

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
 * the user, the session or both. A record without a user matches no budget about users.
 */
export function subjectOf(scope: BudgetScope, record: Spender, nameOf: NameOf): string | null {
  if (!countsWork(scope, record, nameOf)) return null;
  return subjectIn(scope, record.user ?? null, record.session ?? null);
}

/** Whether the record's flag and model match, whoever it is for. */
export function countsWork(scope: BudgetScope, record: Spender, nameOf: NameOf): boolean {
  const { flag, model, tag } = scope;
  // What is counted as `other` is of no one flag and no one model.
  if ((flag !== undefined || tag !== undefined) && record.flag === OTHER) return false;
  if (flag !== undefined && flag !== record.flag) return false;
  if (tag !== undefined && scope.tagged?.includes(record.flag) !== true) return false;
  return model === undefined || (record.model !== OTHER && nameOf(model) === nameOf(record.model));
}
