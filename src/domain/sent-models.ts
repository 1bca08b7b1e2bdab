/**
 * What is shown is what is sent: the models of calls that a state in force let begin and that the flag's row would not
 * name. Pure. Models are compared by what they are, never by spelling.
 */
import type { ModelTable } from "../../sdk-client/src/evaluate/model-table.ts";
import type { ChainStep } from "../../sdk-client/src/wire/protocol.ts";
import { OTHER } from "./other.ts";
import type { Effective } from "./effective.ts";

/** More are not worth a line each. */
const MAX_SENT_MODELS = 5;

/** A model that calls of a flag use and its row would not name. */
export interface SentModel {
  model: string;
  /**
   * Not a model of the chain; a step that is passed now (its level or a block); one that a breaker has taken out (its
   * probes, and calls that have no other); or a lower one than calls start at.
   */
  why: "OUTSIDE" | "PASSED" | "BREAKER" | "LOWER";
  attempts: number;
  nanoUsd: number;
  /** Unix time in milliseconds at which the newest of them began, and the instance it ran in. */
  newestStartMs: number;
  newestInstance: string;
}

/** Calls of one model for one flag, begun since their instance applied the state in force. */
export interface SentCalls {
  model: string;
  requestedModel: string;
  attempts: number;
  nanoUsd: number;
  newestStartMs: number;
  newestInstance: string;
}

export interface SendingFlag {
  steps: readonly ChainStep[];
  effective: Effective;
}

/** The models that the row of the flag does not name, those with most attempts first. */
export function sentModels(
  calls: readonly SentCalls[],
  { steps, effective }: SendingFlag,
  models: ModelTable,
): SentModel[] {
  if (effective.state === "off" || steps.length === 0) return [];
  const chain = new Set(steps.map((step) => models.nameOf(step.model)));
  const usable = new Set(effective.models.map((model) => models.nameOf(model)));
  const first = models.nameOf(effective.model ?? "");
  const known = calls.filter(({ model, attempts }) => model !== OTHER && attempts > 0);
  const usesFirst = known.some(({ model }) => models.nameOf(model) === first);
  const sent = new Map<string, SentModel>();
  for (const call of known) {
    const name = models.nameOf(call.model);
    const passed = models.outAt(name) >= 0 && !models.isBlocked(name) ? "BREAKER" : "PASSED";
    const why = !chain.has(name) ? "OUTSIDE" : !usable.has(name) ? passed : usesFirst ? null : "LOWER";
    if (why === null) continue;
    const before = sent.get(name);
    if (before === undefined) sent.set(name, sentAs(call, why));
    else add(before, call);
  }
  return [...sent.values()].toSorted((a, b) => b.attempts - a.attempts).slice(0, MAX_SENT_MODELS);
}

function sentAs(
  { model, attempts, nanoUsd, newestInstance, newestStartMs }: SentCalls,
  why: SentModel["why"],
): SentModel {
  return { model, why, attempts, nanoUsd, newestInstance, newestStartMs };
}

function add(sum: SentModel, call: SentCalls): void {
  sum.attempts += call.attempts;
  sum.nanoUsd += call.nanoUsd;
  if (call.newestStartMs <= sum.newestStartMs) return;
  sum.newestStartMs = call.newestStartMs;
  sum.newestInstance = call.newestInstance;
}
