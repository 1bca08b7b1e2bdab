/**
 * The one evaluator, used by clients and by the server: the answer for one flag and one context, by the order of
 * authority. Pure; it never throws, whatever the context holds. This is the hot path: no parsing, no allocation beside
 * the decision itself.
 */
import { admitsAll, inRollout } from "./bucket.ts";
import { type CompiledFlag, type CompiledSnapshot, NO_MODELS, type Outcome } from "./compile.ts";
import { type CompiledCondition, holds } from "./conditions.ts";
import { isKilledLocally, type LocalKill } from "./local-override.ts";
import { type Decision, DEFAULT_OFF_MESSAGE, type EvaluationContext } from "../wire/protocol.ts";

export type OnUnknown = "on" | "off";

/** What stays the same between evaluations of one process. */
export interface EvaluationSettings {
  /** Bucket key of contexts without user and session. */
  readonly instance: string;
  readonly localKill: LocalKill | null;
}

const LOCAL: Outcome = refusal("LOCAL");
const MASTER: Outcome = refusal("MASTER");
const UNKNOWN_OFF: Outcome = refusal("UNKNOWN");
const UNKNOWN_ON: Outcome = {
  enabled: true,
  reason: "UNKNOWN",
  models: NO_MODELS,
  level: 0,
  message: "",
};

/**
 * Decides. `compiled` is null while no snapshot is known; `onUnknown` answers for flags that are not in it; `staleMs` is
 * passed through: the age of the last contact with the server in milliseconds, null for none.
 */
export function evaluate(
  compiled: CompiledSnapshot | null,
  flag: string,
  context: EvaluationContext | undefined,
  settings: EvaluationSettings,
  onUnknown: OnUnknown,
  staleMs: number | null,
): Decision {
  const entry = compiled === null ? undefined : compiled.flags.get(flag);
  let outcome: Outcome;
  if (settings.localKill !== null && isKilledLocally(settings.localKill, flag)) {
    outcome = entry === undefined ? LOCAL : localOutcome(entry);
  } else if (entry !== undefined) {
    outcome = entry.fixed ?? decide(entry, context, settings.instance);
  } else if (compiled !== null && compiled.masterOff) {
    outcome = MASTER;
  } else {
    outcome = onUnknown === "off" ? UNKNOWN_OFF : UNKNOWN_ON;
  }
  return {
    flag,
    enabled: outcome.enabled,
    reason: outcome.reason,
    models: outcome.models,
    level: outcome.level,
    message: outcome.message,
    revision: compiled === null ? null : compiled.revision,
    staleMs,
  };
}

function decide(flag: CompiledFlag, context: EvaluationContext | undefined, instance: string): Outcome {
  let threshold = flag.threshold;
  for (const rule of flag.rules) {
    if (!allHold(rule.conditions, context)) continue;
    if (!rule.admits) return flag.ruledOut;
    threshold = flag.rampThreshold;
    break;
  }
  if (admitsAll(threshold)) return flag.passed;
  return inRollout(bucketKey(context, instance), flag.seed, threshold) ? flag.passed : flag.rolledOut;
}

/** A loop, not `every`: no function is made per call. */
function allHold(conditions: readonly CompiledCondition[], context: unknown): boolean {
  for (const condition of conditions) {
    if (!holds(condition, context)) return false;
  }
  return true;
}

/** The user, else the session, else the instance. Numbers count as their decimal text; empty text counts as absent. */
function bucketKey(context: EvaluationContext | undefined, instance: string): string {
  try {
    return keyText(context?.targetingKey) ?? keyText(context?.session) ?? instance;
  } catch {
    // A getter or proxy of the caller threw: a key that cannot be read counts as absent.
    return instance;
  }
}

function keyText(value: unknown): string | undefined {
  if (typeof value === "string") return value === "" ? undefined : value;
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  return undefined;
}

function localOutcome(flag: CompiledFlag): Outcome {
  return { ...LOCAL, level: flag.source.level, message: flag.ruledOut.message };
}

function refusal(reason: Outcome["reason"]): Outcome {
  return { enabled: false, reason, models: NO_MODELS, level: 0, message: DEFAULT_OFF_MESSAGE };
}
