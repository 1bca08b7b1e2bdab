/** The standing of a flag as the API and the pages show it. */
import type { StandingResource } from "./resources.ts";
import type { Cause, Standing } from "./standing.ts";

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
    case "OVERRIDE":
    case "RAISE_ENDED":
    case "TRACK":
    case "ON":
      return null;
  }
}
