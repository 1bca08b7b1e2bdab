/** What the switch, the level and the chain of a flag come to now, with the models of its chain that are blocked. Pure. */
import {
  type EffectiveState,
  effectiveState,
  type FlagFacts,
  usableSteps,
} from "../../sdk-client/src/evaluate/effective-state.ts";
import type { ModelTable } from "../../sdk-client/src/evaluate/model-table.ts";
import type { ChainStep, SwitchState } from "../../sdk-client/src/wire/protocol.ts";

export interface Effective {
  state: EffectiveState["state"];
  reason: EffectiveState["reason"];
  /** The first usable model; null without a chain and when off. */
  model: string | null;
  models: string[];
  /** The effective step: where in its chain calls start now; null when off. */
  step: number | null;
  /** Models of its chain that are blocked, by hand or by a breaker. */
  blocked: string[];
}

export function effectiveOf(flag: FlagFacts, models: ModelTable): Effective {
  const now = effectiveState(flag, models);
  const usable = new Set(usableSteps(flag.steps, flag.level, models).map(({ model }) => model));
  const isTaken = (model: string): boolean =>
    models.isBlocked(model) || (models.outAt(model) >= 0 && !usable.has(model));
  const blocked = flag.steps.map((step) => step.model).filter(isTaken);
  if (now.state === "off") return { ...now, model: null, models: [], step: null, blocked };
  return { ...now, model: now.models[0] ?? null, models: [...now.models], blocked };
}

/** What is told of a flag beside its state. */
interface Told {
  switch: { state: SwitchState; ramp: number | null };
  trips: readonly { action: "downgrade" | "kill" }[];
  level: { level: number };
  steps: readonly ChainStep[];
  effective: Pick<Effective, "blocked">;
}

/** Whether a hand or a budget keeps it off, whatever the master switch says. */
export function isHeldOff(flag: Pick<Told, "switch" | "trips">): boolean {
  return flag.switch.state === "off" || flag.trips.some(({ action }) => action === "kill");
}

/** What would hold for it under a master switch that is on. */
export function stateByItself(flag: Told): EffectiveState["state"] {
  const { blocked } = flag.effective;
  const names = {
    nameOf: (model: string) => model,
    isBlocked: (model: string) => blocked.includes(model),
    outAt: () => -1,
    admits: () => true,
  };
  const facts = { master: "on", state: isHeldOff(flag) ? "off" : "on", level: flag.level.level } as const;
  return effectiveState({ ...facts, ramp: flag.switch.ramp, steps: flag.steps }, names).state;
}
