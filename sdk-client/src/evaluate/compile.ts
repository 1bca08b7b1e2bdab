/**
 * Turns a snapshot into the form that decisions are read from: everything that does not depend on the caller's context
 * is worked out here, once per revision. Pure. Keys live in Maps, so that no flag key can reach a prototype.
 */
import { admitsAll, bucketSeed, bucketThreshold } from "./bucket.ts";
import { type CompiledCondition, compileCondition } from "./conditions.ts";
import { type EffectiveState, effectiveState } from "./effective-state.ts";
import { type ModelNames, namesOf } from "./model-names.ts";
import { DEFAULT_OFF_MESSAGE } from "../wire/protocol.ts";
import type { ChainStep, Decision, Rule, Snapshot, SnapshotFlag } from "../wire/protocol.ts";

/** The part of a decision that is the same for every context that ends here. */
export type Outcome = Readonly<Pick<Decision, "enabled" | "reason" | "models" | "level" | "message">>;

export interface CompiledRule {
  readonly conditions: readonly CompiledCondition[];
  /** True: admitted past the rollout, not past the ramp. False: refused. */
  readonly admits: boolean;
}

export interface CompiledFlag {
  readonly source: SnapshotFlag;
  readonly steps: readonly ChainStep[];
  /** What holds for every context. */
  readonly now: EffectiveState;
  /** The answer when no context can change it, else null: rules and buckets decide between the three below. */
  readonly fixed: Outcome | null;
  readonly passed: Outcome;
  readonly ruledOut: Outcome;
  readonly rolledOut: Outcome;
  readonly rules: readonly CompiledRule[];
  readonly seed: number;
  /** Of the smaller of rollout and ramp. */
  readonly threshold: number;
  /** Of the ramp alone, for contexts that a rule admitted. */
  readonly rampThreshold: number;
}

export interface CompiledSnapshot {
  readonly snapshot: Snapshot;
  readonly revision: string;
  readonly masterOff: boolean;
  readonly flags: ReadonlyMap<string, CompiledFlag>;
  readonly models: ModelNames;
}

/** No models: one frozen array for all decisions that carry none. */
export const NO_MODELS: readonly string[] = Object.freeze([]);

/** Compiles a snapshot of valid shape. The snapshot must not be changed afterwards. */
export function compile(snapshot: Snapshot): CompiledSnapshot {
  const masterOff = snapshot.master.state === "off";
  const { blockedModels: blocked, breakers, aliases, prices } = snapshot;
  const models = namesOf({ blocked, breakers, aliases, prices });
  const flags = new Map<string, CompiledFlag>();
  for (const [key, flag] of Object.entries(snapshot.flags)) {
    flags.set(key, compileFlag(flag, snapshot, models));
  }
  return { snapshot, revision: snapshot.revision, masterOff, flags, models };
}

function compileFlag(flag: SnapshotFlag, snapshot: Snapshot, names: ModelNames): CompiledFlag {
  const steps = stepsOf(snapshot, flag);
  const off = (reason: Outcome["reason"]): Outcome => ({
    enabled: false,
    reason,
    models: NO_MODELS,
    level: flag.level,
    message: flag.offMessage || DEFAULT_OFF_MESSAGE,
  });
  const { level } = flag;
  const now = effectiveState({ ...flag, master: snapshot.master.state, steps }, names);
  const passed: Outcome =
    now.state === "off"
      ? off(now.reason)
      : { enabled: true, reason: "ON", models: frozen(now.models), level, message: "" };
  const rampThreshold = bucketThreshold(flag.ramp ?? 100);
  const compiled = {
    source: flag,
    steps,
    now,
    passed,
    ruledOut: off("RULE"),
    rolledOut: off("ROLLOUT"),
    rules: flag.rules.map(compileRule),
    seed: bucketSeed(flag.salt),
    threshold: Math.min(bucketThreshold(flag.rollout), rampThreshold),
    rampThreshold,
  };
  return { ...compiled, fixed: fixedOutcome(compiled) };
}

function fixedOutcome(flag: Omit<CompiledFlag, "fixed">): Outcome | null {
  const { passed, rules, threshold, rolledOut } = flag;
  // Whether a model is left comes after rules and rollout in the order of authority, a switch before.
  if (!passed.enabled && passed.reason !== "NO_MODEL") return passed;
  if (rules.length > 0) return null;
  if (admitsAll(threshold)) return passed;
  return threshold === 0 ? rolledOut : null;
}

function frozen(models: readonly string[]): readonly string[] {
  return models.length === 0 ? NO_MODELS : Object.freeze(models);
}

/** A chain that the snapshot does not hold, or an empty one, counts as no chain: the request's model stands. */
export function stepsOf(snapshot: Pick<Snapshot, "chains">, flag: Pick<SnapshotFlag, "chain">): readonly ChainStep[] {
  if (flag.chain === null || !Object.hasOwn(snapshot.chains, flag.chain)) return [];
  return snapshot.chains[flag.chain]?.steps ?? [];
}

function compileRule(rule: Rule): CompiledRule {
  return { conditions: rule.when.map(compileCondition), admits: rule.then === "on" };
}
