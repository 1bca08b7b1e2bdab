/**
 * A flag as stored, and what follows from it: its switch and level as unions, what is in force, and where it stands.
 */
import type {
  ChainStep,
  FlagLimits,
  OffCause,
  OffMode,
  Rule,
  SwitchState,
} from "../../sdk-client/src/wire/protocol.ts";
import type { ModelTable } from "../../sdk-client/src/evaluate/model-table.ts";
import { type Effective, effectiveOf } from "./effective.ts";
import { inForce, type InForce, type TripInForce } from "./in-force.ts";
import type { OverBudget, Overridden } from "./over-limit.ts";
import {
  type BlockedModel,
  type BlockedStep,
  type CauseKind,
  type MasterFacts,
  nextStored,
  type StandingFacts,
  type StandingState,
  type StoredStanding,
} from "./standing.ts";
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
  limits: FlagLimits;
  maxInputBytes: number | null;
  maxOutputTokens: number | null;
  tags: string[];
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
export interface Evaluations {
  at: Date;
  on: number;
  off: number;
  /** When a guard last held a call of it; null when none has told. */
  guardedAt: Date | null;
  /** The version of that guard's SDK, when it is known. */
  sdk: string | null;
  /** Calls that a limit refused, and when one last told of such; null: never. */
  limited: number;
  limitedAt: Date | null;
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
    around.models.nameOf,
  );
}

/** What to store of the flag's standing after a change; null when all of it is stored already. */
export function settled(flag: StoredFlag, around: Surroundings, at: Date, revision: number): StoredStanding | null {
  const facts = standingFacts(flag, around);
  const next = nextStored(facts, at, revision);
  return next === facts.stored ? null : next;
}

/** What decides where the flag stands. */
export function standingFacts(flag: StoredFlag, around: Surroundings): StandingFacts {
  const steps = stepsOf(flag, around);
  const models = steps.map((step) => step.model);
  const force = flagInForce(flag, around);
  const manual = manualLevelOf(flag);
  const effective = flagEffective(flag, around);
  return {
    switch: switchOf(flag),
    manual: manual === null ? null : { ...manual, level: resolveLevel(manual, models, around.models.nameOf) },
    level: force.level,
    effective,
    blocked: blockedSteps(models, force.level, effective, around),
    master: around.master,
    trips: around.trips.filter((trip) => trip.flag === flag.key),
    overridden: around.overridden.filter((one) => one.flag === flag.key),
    over: around.over.filter((budget) => budget.flag === flag.key && spends(budget, effective, around.models)),
    stored: storedStanding(flag),
  };
}

function blockedSteps(
  models: readonly string[],
  level: number,
  { reason, blocked }: Effective,
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
function spends({ model }: OverBudget, { models }: Effective, table: ModelTable): boolean {
  if (model === null || models.length === 0) return true;
  return models.some((usable) => table.nameOf(usable) === table.nameOf(model));
}

function storedStanding(flag: StandingColumns): StoredStanding | null {
  const { standing, standingSince, standingBegan, standingModels, standingRevision } = flag;
  if (standing === null || standingSince === null || standingBegan === null) return null;
  if (standingModels === null || standingRevision === null) return null;
  return { standing, standingSince, standingBegan, standingModels, standingRevision };
}

/** What the flag comes to with all that surrounds it. */
export function flagEffective(flag: StoredFlag, around: Surroundings): Effective {
  const facts = { ...flagInForce(flag, around), master: around.master.state, ramp: flag.ramp };
  return effectiveOf({ ...facts, steps: stepsOf(flag, around) }, around.models);
}
