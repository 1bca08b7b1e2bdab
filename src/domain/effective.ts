/** What the switch, the level and the chain of a flag come to now, with the models of its chain that are blocked. Pure. */
import { type EffectiveState, effectiveState, type FlagFacts } from "../../sdk-client/src/evaluate/effective-state.ts";
import type { ModelTable } from "../../sdk-client/src/evaluate/model-table.ts";

export interface Effective {
  state: EffectiveState["state"];
  reason: EffectiveState["reason"];
  /** The first usable model; null without a chain and when off. */
  model: string | null;
  models: string[];
  /** The effective step: where in its chain calls start now; null when off. */
  step: number | null;
  /** Models of its chain that are blocked. */
  blocked: string[];
}

export function effectiveOf(flag: FlagFacts, models: ModelTable): Effective {
  const now = effectiveState(flag, models);
  const blocked = flag.steps.map((step) => step.model).filter((model) => models.isBlocked(model));
  if (now.state === "off") return { ...now, model: null, models: [], step: null, blocked };
  return { ...now, model: now.models[0] ?? null, models: [...now.models], blocked };
}
