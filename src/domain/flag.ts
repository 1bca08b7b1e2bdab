/**
 * A flag as stored, and what follows from it: its switch and level as unions, and the resource that people see.
 */
import type { ChainStep, OffCause, OffMode, Rule, SwitchState } from "../../sdk-client/src/wire/protocol.ts";
import { effectiveState } from "../../sdk-client/src/evaluate/effective-state.ts";
import type { ModelTable } from "../../sdk-client/src/evaluate/model-table.ts";
import type { EffectiveResource } from "./effective.ts";
import type { FlagResource, SwitchResource, TripResource } from "./resources.ts";
import { inForce, type InForce, type TripInForce } from "./in-force.ts";
import type { OverBudget, Overridden } from "./over-limit.ts";
import {
  type BlockedModel,
  type BlockedStep,
  type CauseKind,
  type MasterFacts,
  nextStored,
  type StandingFacts,
  standingOf,
  type StandingState,
  type StoredStanding,
} from "./standing.ts";
import { standingResource } from "./standing-resource.ts";
import { type ManualLevel, resolveLevel, type Switch } from "./switch.ts";

/** The stored columns of a switch and a level. */
export interface FlagState {
  state: SwitchState;
  cause: OffCause | null;
  reason: string | null;
  by: string | null;
  since: Date;
  until: Date | null;
  ramp: number | null;
  levelModel: string | null;
  level: number | null;
  levelReason: string | null;
  levelBy: string | null;
  levelSince: Date | null;
  levelUntil: Date | null;
}

/** What is stored of a flag's standing; all null until a change has settled it. */
export interface StandingColumns {
  standing: StandingState | null;
  standingSince: Date | null;
  standingBegan: CauseKind | null;
  standingModels: readonly string[] | null;
  standingRevision: number | null;
}

export interface StoredFlag extends FlagState, StandingColumns {
  key: string;
  name: string;
  description: string;
  owner: string;
  runbookUrl: string | null;
  chain: string | null;
  offMode: OffMode;
  offMessage: string | null;
  abortInFlight: boolean;
  clampMaxTokens: boolean;
  chainOnly: boolean;
  rules: Rule[];
  rollout: number;
  salt: string;
  version: number;
  createdAt: Date;
  updatedAt: Date;
}

/** What else of the environment decides about a flag. */
export interface Surroundings {
  master: MasterFacts;
  /** Steps by chain name. */
  chains: ReadonlyMap<string, readonly ChainStep[]>;
  /** Which models are blocked, and which names are one model. */
  models: ModelTable;
  /** Of the environment; which model each is about, `models` says. */
  blocks: readonly BlockedModel[];
  /** Of all flags. */
  trips: readonly TripInForce[];
  overridden: readonly Overridden[];
  /** Budgets that are over their limit now. */
  over: readonly OverBudget[];
}

/** How often clients evaluated a flag, and when one last told so. */
export interface Checks {
  at: Date;
  on: number;
  off: number;
}

export function switchOf(flag: FlagState): Switch {
  const { reason, by, since } = flag;
  return flag.state === "on"
    ? { state: "on", reason, by, since, ramp: flag.ramp }
    : { state: "off", cause: flag.cause ?? "manual", reason, by, since, until: flag.until, ramp: flag.ramp };
}

export function switchColumns(value: Switch) {
  const { state, reason, by, since } = value;
  return value.state === "on"
    ? { state, reason, by, since, cause: null, until: null, ramp: value.ramp }
    : { state, reason, by, since, cause: value.cause, until: value.until, ramp: value.ramp };
}

export function manualLevelOf(flag: FlagState): ManualLevel | null {
  if (flag.level === null || flag.levelModel === null || flag.levelSince === null) return null;
  return {
    level: flag.level,
    model: flag.levelModel,
    reason: flag.levelReason,
    by: flag.levelBy ?? "",
    since: flag.levelSince,
    until: flag.levelUntil,
  };
}

export function levelColumns(value: ManualLevel | null) {
  return {
    level: value?.level ?? null,
    levelModel: value?.model ?? null,
    levelReason: value?.reason ?? null,
    levelBy: value?.by ?? null,
    levelSince: value?.since ?? null,
    levelUntil: value?.until ?? null,
  };
}

/** The steps of a flag's chain; `[]` without one. */
export function stepsOf(flag: Pick<StoredFlag, "chain">, around: Surroundings): readonly ChainStep[] {
  return flag.chain === null ? [] : (around.chains.get(flag.chain) ?? []);
}

/** What is in force for a flag: its switch and level, and the trips of budgets. */
export function flagInForce(flag: StoredFlag, around: Surroundings): InForce {
  return inForce(
    flag,
    stepsOf(flag, around).map((step) => step.model),
    around.trips.filter((trip) => trip.flag === flag.key),
  );
}

export function flagResource(flag: StoredFlag, around: Surroundings, checks: Checks | undefined): FlagResource {
  const steps = stepsOf(flag, around);
  const force = flagInForce(flag, around);
  const manual = manualLevelOf(flag);
  return {
    key: flag.key,
    name: flag.name,
    description: flag.description,
    owner: flag.owner,
    runbookUrl: flag.runbookUrl,
    chain: flag.chain,
    steps: [...steps],
    offMode: flag.offMode,
    offMessage: flag.offMessage,
    abortInFlight: flag.abortInFlight,
    clampMaxTokens: flag.clampMaxTokens,
    chainOnly: flag.chainOnly,
    rules: flag.rules,
    rollout: flag.rollout,
    switch: switchResource(switchOf(flag)),
    level: {
      level: force.level,
      manual:
        manual === null
          ? null
          : {
              ...manual,
              level: resolveLevel(
                manual,
                steps.map((step) => step.model),
              ),
              since: manual.since.toISOString(),
              until: manual.until?.toISOString() ?? null,
            },
    },
    trips: around.trips.filter((trip) => trip.flag === flag.key).map(tripResource),
    effective: effective(flag, steps, force, around),
    sends: [],
    standing: standingResource(standingOf(standingFacts(flag, around))),
    evaluated: checks === undefined ? null : { ...checks, at: checks.at.toISOString() },
    version: flag.version,
    createdAt: flag.createdAt.toISOString(),
    updatedAt: flag.updatedAt.toISOString(),
  };
}

/** What to store of the flag's standing after a change; null when all of it is stored already. */
export function settled(flag: StoredFlag, around: Surroundings, at: Date, revision: number): StoredStanding | null {
  const facts = standingFacts(flag, around);
  const next = nextStored(facts, at, revision);
  return next === facts.stored ? null : next;
}

function standingFacts(flag: StoredFlag, around: Surroundings): StandingFacts {
  const steps = stepsOf(flag, around);
  const models = steps.map((step) => step.model);
  const force = flagInForce(flag, around);
  const manual = manualLevelOf(flag);
  const inEffect = effective(flag, steps, force, around);
  return {
    switch: switchOf(flag),
    manual: manual === null ? null : { ...manual, level: resolveLevel(manual, models) },
    level: force.level,
    effective: inEffect,
    blocked: blockedSteps(models, force.level, inEffect, around),
    master: around.master,
    trips: around.trips.filter((trip) => trip.flag === flag.key),
    overridden: around.overridden.filter((one) => one.flag === flag.key),
    over: around.over.filter((budget) => budget.flag === flag.key && spends(budget, inEffect, around.models)),
    stored: storedStanding(flag),
  };
}

function blockedSteps(
  models: readonly string[],
  level: number,
  { reason, blocked }: EffectiveResource,
  { blocks, models: table }: Surroundings,
): BlockedStep[] {
  if (reason !== "ON" && reason !== "NO_MODEL") return [];
  return models.flatMap((model, step) => {
    if (step < level || !blocked.includes(model)) return [];
    const name = table.nameOf(model);
    return [{ step, model, block: blocks.find((block) => table.nameOf(block.model) === name) ?? null }];
  });
}

/** A budget of one model is not spent from by a flag that has been stepped past it. */
function spends({ model }: OverBudget, { models }: EffectiveResource, table: ModelTable): boolean {
  if (model === null || models.length === 0) return true;
  return models.some((usable) => table.nameOf(usable) === table.nameOf(model));
}

function storedStanding(flag: StandingColumns): StoredStanding | null {
  const { standing, standingSince, standingBegan, standingModels, standingRevision } = flag;
  if (standing === null || standingSince === null || standingBegan === null) return null;
  if (standingModels === null || standingRevision === null) return null;
  return { standing, standingSince, standingBegan, standingModels, standingRevision };
}

function switchResource(value: Switch): SwitchResource {
  const { state, reason, by } = value;
  const since = value.since.toISOString();
  return value.state === "on"
    ? { state, cause: null, reason, by, since, until: null, ramp: value.ramp }
    : {
        state,
        cause: value.cause,
        reason,
        by,
        since,
        until: value.until?.toISOString() ?? null,
        ramp: null,
      };
}

function effective(
  flag: StoredFlag,
  steps: readonly ChainStep[],
  force: InForce,
  around: Surroundings,
): EffectiveResource {
  const { master, models: table } = around;
  const { state, level } = force;
  const isTripped = force.cause === "budget";
  const now = effectiveState(
    { masterOff: master.state === "off", state, isTripped, level, ramp: flag.ramp, steps },
    table,
  );
  const blocked = steps.map((step) => step.model).filter((model) => table.isBlocked(model));
  if (now.state === "off") return { ...now, model: null, models: [], step: null, blocked };
  const { reason, step, models } = now;
  return { state: now.state, reason, model: models[0] ?? null, models: [...models], step, blocked };
}

function tripResource({
  id,
  budgetId,
  budgetName,
  atPercent,
  action,
  level,
  model,
  since,
  until,
}: TripInForce): TripResource {
  return {
    id,
    budget: { id: budgetId, name: budgetName },
    atPercent,
    action,
    level,
    model,
    since: since.toISOString(),
    until: until?.toISOString() ?? null,
  };
}
