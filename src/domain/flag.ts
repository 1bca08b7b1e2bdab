/**
 * A flag as stored, and what follows from it: its switch and level as unions, and the resource that people see.
 */
import type { ChainStep, OffCause, OffMode, Rule, SwitchState } from "../../sdk-client/src/protocol.ts";
import { effectiveState } from "../../sdk-client/src/effective-state.ts";
import type { ModelTable } from "../../sdk-client/src/model-table.ts";
import type { EffectiveResource, FlagResource, SwitchResource, TripResource } from "./resources.ts";
import { inForce, type InForce, type TripInForce } from "./in-force.ts";
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

export interface StoredFlag extends FlagState {
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
  masterOff: boolean;
  /** Steps by chain name. */
  chains: ReadonlyMap<string, readonly ChainStep[]>;
  /** Which models are blocked, and which names are one model. */
  models: ModelTable;
  /** Of all flags. */
  trips: readonly TripInForce[];
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
    evaluated: checks === undefined ? null : { ...checks, at: checks.at.toISOString() },
    version: flag.version,
    createdAt: flag.createdAt.toISOString(),
    updatedAt: flag.updatedAt.toISOString(),
  };
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
  const { masterOff, models: table } = around;
  const { state, level } = force;
  const isTripped = force.cause === "budget";
  const now = effectiveState({ masterOff, state, isTripped, level, ramp: flag.ramp, steps }, table);
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
