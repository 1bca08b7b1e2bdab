/**
 * The ladder of a budget: what happens at which share of the limit, as a state machine over one window.
 * Invariant: what stands follows from the sum spent, the effective limit and the clock alone, so the order and
 * batching of usage cannot change it; and a step acts once per window and effective limit.
 */
import { addNanoUsd, type Budget, effectiveLimitNanoUsd, type LadderStep } from "./budget.ts";
import { type Window, windowAt } from "./window.ts";

/** Steps remembered as having acted; past it the oldest is forgotten and could alert a second time. */
export const MAX_ACTED_STEPS = 500;

/** What one budget spent in one window, and what its ladder did about it. Plain data, to be stored as it is. */
export interface WindowState {
  window: Window;
  spentNanoUsd: number;
  /** Keys of the steps crossed now: the ones whose trips stand. */
  standing: readonly string[];
  /** Each step and effective limit that has acted in this window. */
  acted: readonly { step: string; limitNanoUsd: number }[];
  /** By flag: what on-call overrode. */
  overrides: Readonly<Record<string, Override>>;
  /** True once the end of the window has been handled. */
  closed: boolean;
}

export interface Override {
  /** Keys of the steps that had been crossed. */
  steps: readonly string[];
  /** What had been spent then. */
  spentNanoUsd: number;
}

/** What is stored of the state between two looks. */
export interface LadderMemory {
  standing: readonly string[];
  acted: readonly { step: string; limitNanoUsd: number }[];
  overrides: Readonly<Record<string, Override>>;
}

export interface StoredWindow {
  startsAt: Date;
  endsAt: Date;
  spentNanoUsd: number;
  ladderState: LadderMemory | null;
  closedAt: Date | null;
}

/** The ladder's state of a stored window. */
export function windowState(budget: Pick<Budget, "period" | "timezone">, stored: StoredWindow): WindowState {
  const startMs = stored.startsAt.getTime();
  const { key } = windowAt(budget.period, budget.timezone, startMs);
  return {
    window: { startMs, endMs: stored.endsAt.getTime(), key },
    spentNanoUsd: stored.spentNanoUsd,
    standing: stored.ladderState?.standing ?? [],
    acted: stored.ladderState?.acted ?? [],
    overrides: stored.ladderState?.overrides ?? {},
    closed: stored.closedAt !== null,
  };
}

export function memoryOf(state: WindowState): LadderMemory {
  const { standing, acted, overrides } = state;
  return { standing, acted, overrides };
}

/** What a change asks the services to do, in ladder order. */
export type LadderChange =
  /** Crossed for the first time at this limit: trip (or only alert), open or extend the incident, page. */
  | { type: "act"; step: LadderStep; key: string }
  /** Crossed again at a limit at which it has acted before: the trip stands again, and on-call is told so. */
  | { type: "resume"; step: LadderStep; key: string }
  /** No longer crossed, or the window is over and the budget restores at reset: its trips end. */
  | { type: "end"; key: string; cause: "notCrossed" | "reset" };

export function openWindow(window: Window): WindowState {
  return { window, spentNanoUsd: 0, standing: [], acted: [], overrides: {}, closed: false };
}

/**
 * The state after `spentNanoUsd` more, and what is to be done. With 0 it re-evaluates: after an edit, a raise, the
 * expiry of a raise, or the end of the window. Spending reported after the window's end is added but acts no more.
 * @param spentNanoUsd whole nano-USD, not negative; each record counted once
 * @param nowMs Unix time in milliseconds
 * @throws RangeError for an amount that is negative or not a safe integer
 */
export function advance(
  budget: Budget,
  before: WindowState,
  spentNanoUsd: number,
  nowMs: number,
): { state: WindowState; changes: LadderChange[] } {
  if (!Number.isSafeInteger(spentNanoUsd) || spentNanoUsd < 0) {
    throw new RangeError(`spent must be whole nano-USD and not negative, got ${spentNanoUsd}`);
  }
  const state = { ...before, spentNanoUsd: addNanoUsd(before.spentNanoUsd, spentNanoUsd) };
  // A window that was closed stays closed, though another server's clock may be behind.
  return state.closed || nowMs >= state.window.endMs ? close(budget, state) : evaluate(budget, state, nowMs);
}

function close(budget: Budget, state: WindowState): { state: WindowState; changes: LadderChange[] } {
  // `stay`: the trips stay with their flags, and are no longer this window's concern.
  const changes: LadderChange[] =
    budget.onReset === "restore" ? state.standing.map((key) => ({ type: "end", key, cause: "reset" })) : [];
  return { state: { ...state, standing: [], closed: true }, changes };
}

function evaluate(budget: Budget, state: WindowState, nowMs: number): { state: WindowState; changes: LadderChange[] } {
  const limitNanoUsd = effectiveLimitNanoUsd(budget, nowMs);
  const crossed = ladderOf(budget).filter(
    (step) => state.spentNanoUsd >= thresholdNanoUsd(limitNanoUsd, step.atPercent),
  );
  const standing = [...new Set(crossed.map(stepKey))];
  const changes: LadderChange[] = state.standing
    .filter((key) => !standing.includes(key))
    .map((key) => ({ type: "end", key, cause: "notCrossed" }));
  const acted = [...state.acted];
  const seen = new Set(state.standing);
  for (const step of crossed) {
    const key = stepKey(step);
    if (seen.has(key)) continue;
    seen.add(key);
    if (!acted.some((entry) => entry.step === key && entry.limitNanoUsd === limitNanoUsd)) {
      acted.push({ step: key, limitNanoUsd });
      changes.push({ type: "act", step, key });
    } else if (step.action !== "alert") {
      changes.push({ type: "resume", step, key });
    }
  }
  return { state: { ...state, standing, acted: acted.slice(-MAX_ACTED_STEPS) }, changes };
}

/**
 * The state after on-call restored a flag: the steps crossed now no longer count for it until the window ends. A step
 * that is crossed later, or crossed anew because a raise moved it up, does.
 */
export function override(state: WindowState, flag: string): WindowState {
  const { standing, spentNanoUsd } = state;
  const earlier = overrideOf(state, flag)?.steps ?? [];
  const steps = [...new Set([...earlier, ...standing])];
  return { ...state, overrides: { ...state.overrides, [flag]: { steps, spentNanoUsd } } };
}

/** The state without what was overridden for a flag: it is gone, and one made anew under its key is another. */
export function withoutOverride(state: WindowState, flag: string): WindowState {
  const { [flag]: _gone, ...overrides } = state.overrides;
  return { ...state, overrides };
}

/**
 * The standing steps that hold for a flag: the ladder's, less what on-call overrode. `changes` of `advance` concern a
 * flag only when their step is among these.
 */
export function stepsInForce(budget: Budget, state: WindowState, flag: string, nowMs: number): LadderStep[] {
  const limitNanoUsd = effectiveLimitNanoUsd(budget, nowMs);
  const overridden = overrideOf(state, flag);
  return ladderOf(budget).filter((step) => {
    const key = stepKey(step);
    if (!state.standing.includes(key)) return false;
    if (overridden === undefined || !overridden.steps.includes(key)) return true;
    return thresholdNanoUsd(limitNanoUsd, step.atPercent) > overridden.spentNanoUsd;
  });
}

/** Own properties only: a flag may be called `constructor`. */
function overrideOf(state: WindowState, flag: string): Override | undefined {
  return Object.hasOwn(state.overrides, flag) ? state.overrides[flag] : undefined;
}

/**
 * The level a downgrade step leads to.
 * @param levelNow the flag's effective level when the step acts
 * @param steps the number of steps in the flag's chain; a flag without a chain stays at level 0
 */
export function downgradeLevel(step: LadderStep, levelNow: number, steps: number): number {
  const wanted = step.level === undefined ? levelNow + 1 : Math.max(step.level, levelNow);
  return Math.max(0, Math.min(wanted, steps - 1));
}

/**
 * The amount at which a step is crossed, rounded up to a whole nano-USD. It stops at the largest safe integer, as sums
 * of spending do.
 */
export function thresholdNanoUsd(limitNanoUsd: number, atPercent: number): number {
  const scaled = limitNanoUsd * atPercent;
  if (scaled <= Number.MAX_SAFE_INTEGER) return (scaled - (scaled % 100)) / 100 + (scaled % 100 > 0 ? 1 : 0);
  return Math.min(Number((BigInt(limitNanoUsd) * BigInt(atPercent) + 99n) / 100n), Number.MAX_SAFE_INTEGER);
}

/** Names a step by what it says, so that editing the rest of the ladder does not make it act again. */
export function stepKey(step: LadderStep): string {
  const level = step.action === "downgrade" && step.level !== undefined ? `:${step.level}` : "";
  return `${step.action}${level}@${step.atPercent}`;
}

/**
 * The steps as they act, by share; at the same share the milder first, so that what comes last is the strongest. A
 * `track` budget only alerts, a paused one does nothing.
 */
function ladderOf(budget: Budget): LadderStep[] {
  const { enforcement, ladder, paused } = budget;
  if (paused) return [];
  const steps: readonly LadderStep[] =
    enforcement === "track" ? ladder.map(({ atPercent }) => ({ atPercent, action: "alert" })) : ladder;
  return steps.toSorted((a, b) => a.atPercent - b.atPercent || strength(a) - strength(b));
}

function strength(step: LadderStep): number {
  switch (step.action) {
    case "alert":
      return 0;
    case "downgrade":
      return 1 + (step.level ?? 0);
    case "kill":
      return Number.POSITIVE_INFINITY;
  }
}
