/**
 * What a flag's switch, level and chain come to, whoever is asked: clients, snapshot, board and last-known page all ask
 * here, held by `test/vectors/evaluate.json`. Pure. What depends on the caller (rules, rollout) is the evaluator's.
 */
import type { ModelNames } from "./model-names.ts";
import type { ChainStep, OffCause, SwitchState } from "../wire/protocol.ts";

export interface FlagFacts {
  master: SwitchState;
  state: SwitchState;
  /** What keeps it off, when it is. */
  cause?: OffCause | null | undefined;
  /** The first step of the chain that may be used. */
  level: number;
  ramp: number | null;
  /** Of its chain; `[]` without one. */
  steps: readonly ChainStep[];
}

/** What is asked of a model's name: which it is, and whether it may be used. */
type UsableNames = Pick<ModelNames, "nameOf" | "isBlocked" | "outAt" | "admits">;

export type EffectiveState =
  | { state: "off"; reason: "MASTER" | "KILLED" | "TRIPPED" | "NO_MODEL" }
  | {
      state: "on" | "downgraded" | "ramping";
      reason: "ON";
      /** The effective step: the first usable one at or after the level; 0 without a chain. */
      step: number;
      /** Usable models, best first; `[]` without a chain. */
      models: readonly string[];
    };

export function effectiveState(flag: FlagFacts, models: UsableNames): EffectiveState {
  if (flag.master === "off") return { state: "off", reason: "MASTER" };
  if (flag.state === "off") return { state: "off", reason: flag.cause === "budget" ? "TRIPPED" : "KILLED" };
  const usable = usableSteps(flag.steps, flag.level, models);
  const [first] = usable;
  if (first === undefined && flag.steps.length > 0) return { state: "off", reason: "NO_MODEL" };
  const step = first === undefined ? 0 : flag.steps.indexOf(first);
  return {
    state: step > 0 ? "downgraded" : flag.ramp === null ? "on" : "ramping",
    reason: "ON",
    step,
    models: usable.map(({ model }) => model),
  };
}

/** The luck of a call that probes nothing. */
export const NO_LUCK = 1;
/** For asking what may be used whatever breakers have taken out. */
export const ANY_LUCK = -1;

/**
 * The steps from `start` on that may be used, each model once: the first is the effective step. None is blocked. A breaker
 * takes a step out for all calls but those with the luck to probe it, and never the last one: of steps that are all out the
 * one stays that was taken out last.
 */
export function usableSteps(
  steps: readonly ChainStep[],
  start: number,
  models: UsableNames,
  luck: number = NO_LUCK,
): ChainStep[] {
  // A model that stands before the start as well was passed over there.
  const seen: string[] = [];
  const allowed = steps.filter(({ model }, position) => {
    const name = models.nameOf(model);
    if (position >= start && (seen.includes(name) || models.isBlocked(model))) return false;
    seen.push(name);
    return position >= start;
  });
  const usable = allowed.filter(({ model }) => models.admits(model, luck));
  return usable.length > 0
    ? usable
    : allowed.toSorted((a, b) => models.outAt(b.model) - models.outAt(a.model)).slice(0, 1);
}
