/** A flag as everybody is told of it: what is stored, and what follows from it and its surroundings. */
import type { FlagResource } from "../../api/flag.ts";
import type { StandingResource } from "../../api/standing.ts";
import type { SwitchResource, TripResource } from "../../api/switch.ts";
import {
  type Evaluations,
  flagEffective,
  flagInForce,
  manualLevelOf,
  standingFacts,
  stepsOf,
  type StoredFlag,
  type Surroundings,
  switchOf,
} from "../../domain/flag.ts";
import type { TripInForce } from "../../domain/in-force.ts";
import { type Cause, type Standing, standingOf } from "../../domain/standing.ts";
import { resolveLevel, type Switch } from "../../domain/switch.ts";

export function flagResource(
  flag: StoredFlag,
  around: Surroundings,
  evaluations: Evaluations | undefined,
): FlagResource {
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
    limits: flag.limits,
    maxInputBytes: flag.maxInputBytes,
    maxOutputTokens: flag.maxOutputTokens,
    tags: [...flag.tags],
    rules: flag.rules,
    rollout: flag.rollout,
    salt: flag.salt,
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
                around.models.nameOf,
              ),
              since: manual.since.toISOString(),
              until: manual.until?.toISOString() ?? null,
            },
    },
    trips: around.trips.filter((trip) => trip.flag === flag.key).map(tripResource),
    effective: effectiveResource(flag, around, steps.length > 0),
    sends: [],
    standing: standingResource(standingOf(standingFacts(flag, around))),
    evaluated: evaluations === undefined ? null : evaluatedResource(evaluations),
    guarded: evaluations === undefined ? null : guardedResource(evaluations),
    limited: evaluations === undefined ? null : limitedResource(evaluations),
    version: flag.version,
    createdAt: flag.createdAt.toISOString(),
    updatedAt: flag.updatedAt.toISOString(),
  };
}

/** Of a flag without a chain every blocked model counts: each of its requests names its own. */
function effectiveResource(flag: StoredFlag, around: Surroundings, hasChain: boolean): FlagResource["effective"] {
  const effective = flagEffective(flag, around);
  return hasChain ? effective : { ...effective, blocked: around.blocks.map(({ model }) => model) };
}

function evaluatedResource({ at, on, off }: Evaluations): FlagResource["evaluated"] {
  return { at: at.toISOString(), on, off };
}

function guardedResource({ guardedAt, sdk }: Evaluations): FlagResource["guarded"] {
  return guardedAt === null ? null : { at: guardedAt.toISOString(), sdk };
}

function limitedResource({ limited, limitedAt }: Evaluations): FlagResource["limited"] {
  return limitedAt === null ? null : { at: limitedAt.toISOString(), calls: limited };
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

export function standingResource({ state, since, cause, began, over, revision }: Standing): StandingResource {
  const { at } = cause;
  return {
    state,
    since: since.toISOString(),
    cause: causeResource(cause),
    heldSince: at !== null && at > since ? at.toISOString() : null,
    began,
    over:
      over === null
        ? null
        : {
            budget: { id: over.budgetId, name: over.budgetName },
            since: over.since.toISOString(),
            spentNanoUsd: over.spentNanoUsd,
            limitNanoUsd: over.limitNanoUsd,
          },
    revision,
  };
}

export function causeResource(cause: Cause): StandingResource["cause"] {
  const { kind, at, until } = cause;
  return {
    kind,
    by: "by" in cause ? cause.by : null,
    reason: "reason" in cause ? cause.reason : null,
    at: at?.toISOString() ?? null,
    until: until?.toISOString() ?? null,
    budget: "budget" in cause ? cause.budget : null,
    atPercent: percentOf(cause),
    models: "models" in cause ? [...cause.models] : [],
  };
}

function percentOf(cause: Cause): number | null {
  switch (cause.kind) {
    case "TRIPPED":
      return cause.atPercent;
    case "NO_KILL":
      return cause.killsAtPercent;
    case "RAMP":
      return cause.percent;
    case "MASTER":
    case "KILLED":
    case "LEVEL":
    case "NO_MODEL":
    case "BLOCK":
    case "BREAKER":
    case "OVERRIDE":
    case "RAISE_ENDED":
    case "TRACK":
    case "ON":
      return null;
  }
}
