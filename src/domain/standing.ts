/**
 * What holds for a flag now: its state, since when without a break, and the cause that decides by the order of authority,
 * with who, why and its own time. Invariant: `since` moves only when the state does, whatever causes come and go meanwhile.
 */
import { overCause, type OverBudget, type OverCause, type Overridden } from "./over-limit.ts";
import type { TripInForce } from "./in-force.ts";
import type { Effective } from "./effective.ts";
import type { ManualLevel, Switch } from "./switch.ts";

export type StandingState = "off" | "over" | "downgraded" | "ramping" | "on";

interface Deed {
  by: string | null;
  reason: string | null;
  /** When this cause began to hold, which may be later than the state. */
  at: Date;
  until: Date | null;
}

interface BudgetDeed {
  budget: { id: string; name: string };
  atPercent: number;
  at: Date;
  until: Date | null;
}

export type Cause =
  | (Deed & { kind: "MASTER" | "KILLED" | "LEVEL" })
  | (BudgetDeed & { kind: "TRIPPED" })
  /** `models`: the ones, blocked or (`BREAKER`: all of them) taken out by a breaker, that the chain would use; by, why and when of the one blocked last. */
  | (Deed & { kind: "NO_MODEL" | "BLOCK" | "BREAKER"; models: string[] })
  | OverCause
  | (Deed & { kind: "RAMP"; percent: number })
  /** Nobody holds it. `by` is who restored it, when that is what turned it on. */
  | { kind: "ON"; by: string | null; reason: string | null; at: Date | null; until: null };

export type CauseKind = Cause["kind"];

/** What is stored of a flag's standing between two changes. */
export interface StoredStanding {
  standing: StandingState;
  standingSince: Date;
  /** What decided when the state began. */
  standingBegan: CauseKind;
  /** The models in force; `[]` when off or without a chain. */
  standingModels: readonly string[];
  /** The revision that turned it on or off, or changed its models, last. */
  standingRevision: number;
}

export interface Standing {
  state: StandingState;
  since: Date;
  cause: Cause;
  /** What decided when the state began; null when that is not known. */
  began: CauseKind | null;
  /** Of all budgets of the flag alone that are over their limit the one furthest over, while the flag is on. */
  over: OverBudget | null;
  /** The revision (`n`) that turned it on or off, or changed its models, last; null when that is not known. */
  revision: number | null;
}

export interface BlockedModel {
  model: string;
  by: string;
  reason: string | null;
  since: Date;
  until: Date | null;
  byBreaker?: true;
}

export interface BlockedStep {
  step: number;
  model: string;
  block: BlockedModel | null;
}

export interface MasterFacts {
  state: "on" | "off";
  by: string | null;
  reason: string | null;
  since: Date;
  until: Date | null;
}

export interface StandingFacts {
  switch: Switch;
  /** Set by hand; `level` as it resolves in the chain now. */
  manual: ManualLevel | null;
  /** The level in force. */
  level: number;
  effective: Effective;
  /** Blocked steps from the level on, in the chain's order; the block is null when nobody knows it any more. */
  blocked: readonly BlockedStep[];
  master: MasterFacts;
  /** In force for the flag, the oldest first. */
  trips: readonly TripInForce[];
  /** Of the flag: trips that somebody overrode and that have not ended. */
  overridden: readonly Overridden[];
  /** Budgets of the flag alone that are over their limit. */
  over: readonly OverBudget[];
  stored: StoredStanding | null;
}

/** The standing of a flag by the facts as they are now. */
export function standingOf(facts: StandingFacts): Standing {
  const { stored } = facts;
  const { state, cause, over } = decide(facts);
  const known = stored?.standing === state ? stored : null;
  const since = known?.standingSince ?? firstMoment(facts, cause);
  return {
    state,
    since,
    cause: cause.kind === "ON" ? restoredAt(cause, since) : cause,
    began: known?.standingBegan ?? null,
    over,
    revision: known?.standingRevision ?? null,
  };
}

/** What to store after a change made at `at` as `revision`; the same object when nothing of it has changed. */
export function nextStored(facts: StandingFacts, at: Date, revision: number): StoredStanding {
  const { stored } = facts;
  const { state, cause } = decide(facts);
  const { models } = facts.effective;
  if (stored === null) {
    return {
      standing: state,
      standingSince: firstMoment(facts, cause),
      standingBegan: cause.kind,
      standingModels: models,
      standingRevision: revision,
    };
  }
  const sameState = stored.standing === state;
  const sameForce = (stored.standing === "off") === (state === "off") && same(stored.standingModels, models);
  if (sameState && sameForce) return stored;
  return {
    standing: state,
    standingSince: sameState ? stored.standingSince : at,
    standingBegan: sameState ? stored.standingBegan : cause.kind,
    standingModels: models,
    standingRevision: sameForce ? stored.standingRevision : revision,
  };
}

function decide(facts: StandingFacts): { state: StandingState; cause: Cause; over: OverBudget | null } {
  const off = offCause(facts);
  if (off !== null) return { state: "off", cause: off, over: null };
  const over = furthestOver(facts.over);
  if (over !== null) return { state: "over", cause: overCause(over, facts.overridden), over };
  const down = downCause(facts);
  if (down !== null) return { state: "downgraded", cause: down, over: null };
  const { by, reason, since: at, ramp: percent } = facts.switch;
  if (percent !== null)
    return { state: "ramping", cause: { kind: "RAMP", percent, by, reason, at, until: null }, over: null };
  return { state: "on", cause: onCause(facts), over: null };
}

function offCause({ effective: { reason }, master, switch: own, trips, blocked }: StandingFacts): Cause | null {
  switch (reason) {
    case "ON":
      return null;
    case "MASTER":
      return { kind: "MASTER", by: master.by, reason: master.reason, at: master.since, until: master.until };
    case "KILLED": {
      const until = own.state === "off" ? own.until : null;
      return { kind: "KILLED", by: own.by, reason: own.reason, at: own.since, until };
    }
    case "TRIPPED": {
      const trip = trips.find(({ action }) => action === "kill");
      // Older releases stored a budget's kill in the switch itself.
      if (trip === undefined) return { kind: "KILLED", by: own.by, reason: own.reason, at: own.since, until: null };
      return tripped(trip);
    }
    case "NO_MODEL":
      return blockCause("NO_MODEL", blocked, own.since);
  }
}

/** What holds the effective step where it is: of equal causes the hand comes before the budget. */
function downCause(facts: StandingFacts): Cause | null {
  if (facts.effective.state !== "downgraded") return null;
  const { level, manual, trips, switch: own } = facts;
  const passed = passedSteps(facts);
  if (passed.length > 0) return blockCause("BLOCK", passed, own.since);
  if (manual !== null && manual.level >= level) {
    const { by, reason, since: at, until } = manual;
    return { kind: "LEVEL", by, reason, at, until };
  }
  const downgrades = trips.filter(({ action }) => action === "downgrade");
  const trip = downgrades.toSorted((a, b) => (b.level ?? 0) - (a.level ?? 0))[0];
  return trip === undefined ? blockCause("BLOCK", passed, own.since) : tripped(trip);
}

/** The blocked steps between the level and the one that is used. */
function passedSteps({ effective, blocked }: StandingFacts): BlockedStep[] {
  return blocked.filter(({ step }) => effective.step !== null && step < effective.step);
}

function blockCause(kind: "NO_MODEL" | "BLOCK", blocked: readonly BlockedStep[], fallback: Date): Cause {
  const blocks = blocked.flatMap(({ block }) => (block === null ? [] : [block]));
  const last = blocks.toSorted((a, b) => b.since.getTime() - a.since.getTime())[0];
  const byBreakers = kind === "BLOCK" && blocks.length > 0 && blocks.every(({ byBreaker }) => byBreaker === true);
  return {
    kind: byBreakers ? "BREAKER" : kind,
    models: blocked.map(({ model }) => model),
    by: last?.by ?? null,
    reason: last?.reason ?? null,
    at: last?.since ?? fallback,
    until: last?.until ?? null,
  };
}

function tripped({ budgetId, budgetName, atPercent, since, until }: TripInForce): Cause {
  return { kind: "TRIPPED", budget: { id: budgetId, name: budgetName }, atPercent, at: since, until };
}

function furthestOver(budgets: readonly OverBudget[]): OverBudget | null {
  return budgets.toSorted((a, b) => shareOf(b) - shareOf(a))[0] ?? null;
}

function shareOf({ spentNanoUsd, limitNanoUsd }: OverBudget): number {
  return spentNanoUsd / Math.max(1, limitNanoUsd);
}

/** Who turned it on last: by its switch, or by overriding a budget. */
function onCause({ switch: own, overridden }: StandingFacts): Extract<Cause, { kind: "ON" }> {
  const deeds = [
    { by: own.by, reason: own.reason, at: own.since },
    ...overridden.map(({ by, reason, at }) => ({ by, reason, at })),
  ];
  const last = deeds.toSorted((a, b) => b.at.getTime() - a.at.getTime())[0] ?? deeds[0];
  return { kind: "ON", by: last?.by ?? null, reason: last?.reason ?? null, at: last?.at ?? null, until: null };
}

/** A restore from before the state began is not what turned it on: a trip or a block has ended by itself since. */
function restoredAt(cause: Extract<Cause, { kind: "ON" }>, since: Date): Cause {
  if (cause.at !== null && cause.at >= since) return cause;
  return { kind: "ON", by: null, reason: null, at: null, until: null };
}

/** For what was never stored: of causes that each keep it off, the first; else when the deciding one began. */
function firstMoment({ effective, master, switch: own, trips }: StandingFacts, cause: Cause): Date {
  const at = cause.at ?? own.since;
  if (effective.state !== "off") return at;
  const moments = [
    at,
    ...(master.state === "off" ? [master.since] : []),
    ...(own.state === "off" ? [own.since] : []),
    ...trips.filter(({ action }) => action === "kill").map(({ since }) => since),
  ];
  return new Date(Math.min(...moments.map((moment) => moment.getTime())));
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((model, index) => model === b[index]);
}
