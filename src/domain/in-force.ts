/**
 * What is in force for a flag: its own switch and level, and the trips of budgets. The level is the highest of them all;
 * a kill by hand comes before a trip, because only a person lifts it.
 */
import type { NameOf } from "../../sdk-client/src/evaluate/model-names.ts";
import type { OffCause, SwitchState } from "../../sdk-client/src/wire/protocol.ts";
import { resolveLevel } from "./switch.ts";

/** A trip that has neither ended nor been overridden. */
export interface TripInForce {
  id: string;
  flag: string;
  budgetId: string;
  budgetName: string;
  atPercent: number;
  action: "downgrade" | "kill";
  /** Of a downgrade: the level, and the model it means. */
  level: number | null;
  model: string | null;
  since: Date;
  until: Date | null;
}

export interface OwnState {
  state: SwitchState;
  cause: OffCause | null;
  level: number | null;
  levelModel: string | null;
}

export interface InForce {
  state: SwitchState;
  /** Null while it is on. */
  cause: OffCause | null;
  /** The first step of the chain that may be used. */
  level: number;
}

/** `models` are those of the flag's chain, `[]` without one. */
export function inForce(
  flag: OwnState,
  models: readonly string[],
  trips: readonly TripInForce[],
  nameOf: NameOf,
): InForce {
  const levelIn = (level: number | null, model: string | null): number =>
    level === null || model === null ? 0 : resolveLevel({ level, model }, models, nameOf);
  const levels = [levelIn(flag.level, flag.levelModel)];
  for (const trip of trips) if (trip.action === "downgrade") levels.push(levelIn(trip.level, trip.model));
  const level = Math.max(...levels);
  if (flag.state === "off") return { state: "off", cause: flag.cause ?? "manual", level };
  if (trips.some((trip) => trip.action === "kill")) return { state: "off", cause: "budget", level };
  return { state: "on", cause: null, level };
}
