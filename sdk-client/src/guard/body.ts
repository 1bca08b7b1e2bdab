/**
 * The request body for one model choice: the step's patch, what models do not share, and nothing that may not be named.
 * Invariant: `null` (send the body as the SDK encoded it) unless something really changes.
 */
import { fittingHistory, thinkNot } from "./history.ts";
import { type Naming, withoutNames } from "./names.ts";
import type { Body } from "./request.ts";
import { isObject } from "../wire/json.ts";
import type { ModelChoice } from "../evaluate/chain-plan.ts";
import type { NameOf } from "../evaluate/model-names.ts";
import type { ModelNames } from "../evaluate/model-names.ts";
import type { ChainStep } from "../wire/protocol.ts";
import type { Writers } from "./writers.ts";

/** What bodies are fitted by. */
export interface Fitting {
  models: ModelNames;
  writers: Writers;
  /** What is left out of fallbacks and advisors; null while every model may be named. */
  naming: Naming | null;
  /** What a call is refused for, where it cannot be left out. */
  refusing: Naming | null;
}

/** Fields a step cannot patch: the chain names the model, and the caller is waiting for the kind of answer it asked. */
const PROTECTED_FIELDS: ReadonlySet<string> = new Set(["model", "stream"]);

/** The changed body; null when the body stands. Never changes `body` itself. */
export function bodyFor(
  body: Body,
  choice: ModelChoice,
  { models, writers, naming }: Fitting,
): Record<string, unknown> | null {
  const { model, step, replaced } = choice;
  const requested = body["model"];
  let changed = step === null ? null : patched(body, step);
  if (replaced) changed = forAnotherModel(changed ?? body, model, models);
  if (naming !== null) changed = withoutNames(changed ?? body, naming) ?? changed;
  const target = { model, requested: typeof requested === "string" ? requested : model, models, writers };
  return fittingHistory(changed ?? body, target) ?? changed;
}

/** True when the changed body names another model, and all else is as it was. */
export function isOnlyRenamed(body: Body, changed: Body): boolean {
  for (const field in changed) if (changed[field] !== body[field] && field !== "model") return false;
  for (const field in body) if (!(field in changed)) return false;
  return true;
}

function patched(body: Body, step: ChainStep): Record<string, unknown> | null {
  const changes = stepChanges(body, step);
  if (changes === null) return null;
  const changed: Record<string, unknown> = { ...body, ...changes.set };
  for (const field of changes.unset) delete changed[field];
  return changed;
}

function forAnotherModel(body: Body, model: string, { nameOf }: ModelNames): Record<string, unknown> {
  const changed: Record<string, unknown> = { ...body, model };
  const fallbacks = body["fallbacks"];
  if (Array.isArray(fallbacks)) {
    const others = (fallbacks as unknown[]).filter((entry) => !isEntryFor(entry, nameOf(model), nameOf));
    if (others.length === 0) delete changed["fallbacks"];
    else if (others.length < fallbacks.length) changed["fallbacks"] = others;
  }
  // It is redeemed by the very request that was refused, and is an error in any other.
  delete changed["fallback_credit_token"];
  // Few models know this kind of thinking, and some cannot be told not to think: each may do what it does unasked.
  const thinking = changed["thinking"];
  if (isObject(thinking) && thinking["type"] === "between_tools") {
    thinkNot(changed);
    delete changed["thinking"];
  }
  return changed;
}

/** A model is no fallback of its own. */
function isEntryFor(entry: unknown, name: string, nameOf: NameOf): boolean {
  return isObject(entry) && typeof entry["model"] === "string" && nameOf(entry["model"]) === name;
}

function stepChanges(body: Body, step: ChainStep): { set: Record<string, unknown>; unset: string[] } | null {
  if (step.set === undefined && step.unset === undefined && step.maxTokens === undefined) return null;
  const set: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(step.set ?? {})) {
    if (!PROTECTED_FIELDS.has(field) && !sameJson(body[field], value)) set[field] = value;
  }
  const unset = (step.unset ?? []).filter((field) => !PROTECTED_FIELDS.has(field) && (field in body || field in set));
  const asked = set["max_tokens"] ?? body["max_tokens"];
  if (step.maxTokens !== undefined && typeof asked === "number" && asked > step.maxTokens) {
    set["max_tokens"] = step.maxTokens;
  }
  return Object.keys(set).length === 0 && unset.length === 0 ? null : { set, unset };
}

function sameJson(left: unknown, right: unknown): boolean {
  return left === right || JSON.stringify(left) === JSON.stringify(right);
}
