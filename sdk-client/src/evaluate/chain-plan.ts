/**
 * Which models one call may use, in order. Pure. Invariants ("Never upgrade"): never a step before the level or before
 * the model that was asked for, never a blocked model, one that a breaker has taken out only as its probe or for want of
 * another, never a model twice; for a model outside the chain never a dearer one, unless its flag is held to its chain.
 */
import { ANY_LUCK, NO_LUCK, usableSteps } from "./effective-state.ts";
import { isDearer, type ModelTable } from "./model-table.ts";
import type { ChainStep } from "../wire/protocol.ts";

export interface PlanInput {
  /** The model the request names. */
  requested: string;
  /** The chain of the flag, blocked models included; `[]` without a chain. */
  steps: readonly ChainStep[];
  /** First step that may be used now. */
  level: number;
  /** The flag is held to its chain: no other model is sent. */
  chainOnly: boolean;
  models: ModelTable;
  /** When prices are compared, Unix time in milliseconds. */
  nowMs: number;
  /** From 0 up to 1: which of the models that a breaker has taken out the call may probe; none by default. */
  luck?: number | undefined;
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

/** The models to try, best first. Empty when none is usable (reason `NO_MODEL`), which no breaker is the cause of. */
export function planModels(input: PlanInput): ModelChoice[] {
  const planned = planWith(input);
  return planned.length > 0 || !input.models.hasBreakers ? planned : planWith({ ...input, luck: ANY_LUCK });
}

function planWith(input: PlanInput): ModelChoice[] {
  const { requested, steps, models } = input;
  if (steps.length === 0) return models.isBlocked(requested) ? [] : [asAsked(requested)];
  const wanted = models.nameOf(requested);
  const position = steps.findIndex((step) => models.nameOf(step.model) === wanted);
  if (position < 0) return outsideChain(input);
  return usableSteps(steps, Math.max(position, input.level, 0), models, input.luck).map((step) =>
    models.nameOf(step.model) === wanted ? { model: requested, step, replaced: false } : instead(step),
  );
}

function outsideChain({ requested, steps, level, chainOnly, models, nowMs, luck }: PlanInput): ModelChoice[] {
  const usable = usableSteps(steps, Math.max(level, 0), models, luck);
  const isBlocked = models.isBlocked(requested);
  if (usable.length === 0) return [];
  // What cannot be read has no price either: a step in its place might be dearer.
  if (isBlocked && !models.isReadable(requested) && !chainOnly) return [];
  const asked = models.ratesOf(requested, nowMs);
  const cheaper = usable.filter((step) => !isDearer(models.ratesOf(step.model, nowMs), asked)).map(instead);
  const isTaken = isBlocked || !models.admits(requested, luck ?? NO_LUCK);
  if (usable[0] === steps[0] && !isTaken && !chainOnly) return [asAsked(requested), ...cheaper];
  if (cheaper.length > 0) return cheaper;
  // All are dearer. Held to its chain the model is never sent, blocked or not; else a block is no reason to pay more, and
  // a breaker never takes the last model.
  if (chainOnly) return cheapest(usable, models, nowMs).map(instead);
  return isBlocked ? [] : [asAsked(requested)];
}

/** The first of the cheapest, alone: the next would cost more still. */
function cheapest(steps: readonly ChainStep[], models: ModelTable, nowMs: number): ChainStep[] {
  const rates = (step: ChainStep) => models.ratesOf(step.model, nowMs);
  const [first, ...rest] = steps;
  if (first === undefined) return [];
  return [rest.reduce((best, step) => (isDearer(rates(best), rates(step)) ? step : best), first)];
}

function asAsked(requested: string): ModelChoice {
  return { model: requested, step: null, replaced: false };
}

function instead(step: ChainStep): ModelChoice {
  return { model: step.model, step, replaced: true };
}
