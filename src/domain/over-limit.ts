/**
 * A budget that is over its limit: since when, who let it, and which further shares of the limit are told to on-call.
 * Invariant: each mark is told once per window and limit, and never two within ten minutes.
 */
import type { Enforcement, LadderStep } from "./budget.ts";

/** Further alerts of one window are at least this far apart. */
export const OVER_ALERT_EVERY_MS = 10 * 60_000;
/** How soon it is looked at again whether anything that spends is on. */
const LOOK_AGAIN_MS = 60_000;
const FIRST_MARK_PERCENT = 150;
const SECOND_MARK_PERCENT = 200;

/** What is stored of it in the budget's window. */
export interface OverMemory {
  /** Null while less than the limit is spent. */
  overSince: Date | null;
  /** The effective limit that it is over. */
  overLimitNanoUsd: number | null;
  /** The highest mark told, the limit that it was told at, and when. */
  toldPercent: number | null;
  toldLimitNanoUsd: number | null;
  toldAt: Date | null;
  /** When a mark was last found to be due while nothing that spends was on. */
  lookedAt: Date | null;
}

export const NOTHING_OVER: OverMemory = {
  overSince: null,
  overLimitNanoUsd: null,
  toldPercent: null,
  toldLimitNanoUsd: null,
  toldAt: null,
  lookedAt: null,
};

export interface OverLook {
  memory: OverMemory;
  /** Whether the limit has been reached, or is not any more. */
  change: "began" | "ended" | null;
  /** The mark that is to be told now if anything that spends is on: a whole percentage. */
  duePercent: number | null;
}

/** Looks at a window's sum. `closed`: the window is over, and what it spent with it. */
export function lookOver(
  before: OverMemory,
  { spentNanoUsd, limitNanoUsd, closed }: { spentNanoUsd: number; limitNanoUsd: number; closed: boolean },
  at: Date,
): OverLook {
  if (closed || spentNanoUsd < limitNanoUsd) {
    if (before.overSince === null) return { memory: before, change: null, duePercent: null };
    return { memory: { ...before, overSince: null, overLimitNanoUsd: null }, change: "ended", duePercent: null };
  }
  const began = before.overSince === null;
  const memory =
    began || before.overLimitNanoUsd !== limitNanoUsd
      ? { ...before, overSince: before.overSince ?? at, overLimitNanoUsd: limitNanoUsd }
      : before;
  return { memory, change: began ? "began" : null, duePercent: duePercent(memory, spentNanoUsd, limitNanoUsd, at) };
}

/** What is remembered once a mark was told; with `told` false, that nobody had to be. */
export function afterMark(memory: OverMemory, percent: number, told: boolean, at: Date): OverMemory {
  if (!told) return { ...memory, lookedAt: at };
  return { ...memory, toldPercent: percent, toldLimitNanoUsd: memory.overLimitNanoUsd, toldAt: at, lookedAt: at };
}

/** The highest mark at or below the share spent: 150 %, 200 %, then each doubling. Null below the first. */
export function markOf(spentNanoUsd: number, limitNanoUsd: number): number | null {
  const reached = (percent: number) => BigInt(spentNanoUsd) * 100n >= BigInt(limitNanoUsd) * BigInt(percent);
  if (!reached(FIRST_MARK_PERCENT)) return null;
  if (!reached(SECOND_MARK_PERCENT)) return FIRST_MARK_PERCENT;
  let mark = SECOND_MARK_PERCENT;
  while (reached(mark * 2)) mark *= 2;
  return mark;
}

function duePercent(memory: OverMemory, spentNanoUsd: number, limitNanoUsd: number, at: Date): number | null {
  const mark = markOf(spentNanoUsd, limitNanoUsd);
  if (mark === null) return null;
  const { toldAt, lookedAt } = memory;
  if (toldAt !== null && at.getTime() - toldAt.getTime() < OVER_ALERT_EVERY_MS) return null;
  if (lookedAt !== null && at.getTime() - lookedAt.getTime() < LOOK_AGAIN_MS) return null;
  const told = memory.toldLimitNanoUsd === limitNanoUsd ? (memory.toldPercent ?? 0) : 0;
  return mark > told ? mark : null;
}

/** A budget whose current window has reached the effective limit. */
export interface OverBudget {
  budgetId: string;
  budgetName: string;
  /** Both null: the whole environment. */
  flag: string | null;
  model: string | null;
  enforcement: Enforcement;
  ladder: readonly LadderStep[];
  windowStartsAt: Date;
  windowEndsAt: Date;
  since: Date;
  spentNanoUsd: number;
  limitNanoUsd: number;
  /** The raise that ended last. */
  raiseBy: string | null;
  raiseEndedAt: Date | null;
}

/** A trip that somebody overrode and that has not ended. */
export interface Overridden {
  flag: string;
  budgetId: string;
  budgetName: string;
  action: "downgrade" | "kill";
  windowStartsAt: Date;
  until: Date | null;
  by: string | null;
  reason: string | null;
  at: Date;
}

interface OverDeed {
  budget: { id: string; name: string };
  by: string | null;
  reason: string | null;
  at: Date;
  until: Date | null;
}

/** Why something is on though its budget is over the limit: who let it, and when. */
export type OverCause =
  /** A person restored it over the budget. */
  | (OverDeed & { kind: "OVERRIDE" })
  /** Its raise has ended; `by` is who had raised it. */
  | (OverDeed & { kind: "RAISE_ENDED" })
  | (OverDeed & { kind: "TRACK" })
  /** Its ladder turns nothing off at what is spent: at `killsAtPercent`, or never. */
  | (OverDeed & { kind: "NO_KILL"; killsAtPercent: number | null });

/** @param overridden trips of the flag, or, for a budget of many, of any of them */
export function overCause(over: OverBudget, overridden: readonly Overridden[]): OverCause {
  const budget = { id: over.budgetId, name: over.budgetName };
  const until = over.windowEndsAt;
  // Who overrode a downgrade before the limit was reached has not let it go over.
  const own = overridden
    .filter((one) => one.budgetId === over.budgetId && one.windowStartsAt.getTime() === over.windowStartsAt.getTime())
    .filter(({ action, at }) => action === "kill" || at >= over.since)
    .toSorted((a, b) => b.at.getTime() - a.at.getTime())[0];
  if (own !== undefined) return { kind: "OVERRIDE", budget, by: own.by, reason: own.reason, at: own.at, until };
  const { raiseEndedAt } = over;
  if (raiseEndedAt !== null && raiseEndedAt >= over.since) {
    return { kind: "RAISE_ENDED", budget, by: over.raiseBy, reason: null, at: raiseEndedAt, until };
  }
  const rest = { budget, by: null, reason: null, at: over.since, until };
  if (over.enforcement === "track") return { kind: "TRACK", ...rest };
  const kills = over.ladder.filter(({ action }) => action === "kill").map(({ atPercent }) => atPercent);
  return { kind: "NO_KILL", ...rest, killsAtPercent: kills.length === 0 ? null : Math.min(...kills) };
}
