/**
 * Which models one call may use, in order. Pure. Invariants ("Never upgrade"): never a step before the level or before
 * the model that was asked for, never a blocked model, never a model twice.
 */
import { canonicalModel } from "./model-id.ts";
import type { ChainStep } from "./protocol.ts";

export interface PlanInput {
  /** The model the request names. */
  requested: string;
  /** The chain of the flag, blocked models included; `[]` without a chain. */
  steps: readonly ChainStep[];
  /** First step that may be used now. */
  level: number;
  isBlocked(model: string): boolean;
}

/** One model a call may use. */
export interface ModelChoice {
  /** The id to send: the request's own spelling when the step is the model it names. */
  model: string;
  /** The chain's step with its body patch; null for a model outside the chain. */
  step: ChainStep | null;
  /** True when this is another model than the request names. */
  replaced: boolean;
}

/** The models to try, best first. Empty when none is usable (reason `NO_MODEL`). */
export function planModels(input: PlanInput): ModelChoice[] {
  const { requested, steps, level } = input;
  const wanted = canonicalModel(requested);
  const position = steps.findIndex((step) => canonicalModel(step.model) === wanted);
  const outside = position < 0;
  if (outside && !input.isBlocked(requested) && (level <= 0 || steps.length === 0)) {
    return [{ model: requested, step: null, replaced: false }];
  }
  const start = Math.max(position, level, 0);
  const seen = new Set(steps.slice(0, start).map((step) => canonicalModel(step.model)));
  const choices: ModelChoice[] = [];
  for (const step of steps.slice(start)) {
    const model = canonicalModel(step.model);
    if (seen.has(model) || input.isBlocked(step.model)) continue;
    seen.add(model);
    const replaced = model !== wanted;
    choices.push({ model: replaced ? step.model : requested, step, replaced });
  }
  return choices;
}
