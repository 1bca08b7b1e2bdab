/**
 * What is shown is what is sent: the models of calls that a state in force let begin and that the flag's row would not
 * name. Pure. Models are compared by what they are, never by spelling.
 */
import type { ModelTable } from "../../sdk-client/src/evaluate/model-table.ts";
import type { ChainStep } from "../../sdk-client/src/wire/protocol.ts";
import { OTHER } from "./other.ts";
import type { EffectiveResource } from "./effective.ts";
import type { SentModelResource } from "./resources.ts";

/** More are not worth a line each. */
const MAX_SENT_MODELS = 5;

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
  effective: EffectiveResource;
}

/** The models that the row of the flag does not name, those with most attempts first. */
export function sentModels(
  calls: readonly SentCalls[],
  { steps, effective }: SendingFlag,
  models: ModelTable,
): SentModelResource[] {
  if (effective.state === "off" || steps.length === 0) return [];
  const chain = new Set(steps.map((step) => models.nameOf(step.model)));
  const usable = new Set(effective.models.map((model) => models.nameOf(model)));
  const first = models.nameOf(effective.model ?? "");
  const known = calls.filter(({ model, attempts }) => model !== OTHER && attempts > 0);
  const usesFirst = known.some(({ model }) => models.nameOf(model) === first);
  const sent = new Map<string, SentModelResource>();
  for (const call of known) {
    const name = models.nameOf(call.model);
    const why = !chain.has(name) ? "OUTSIDE" : !usable.has(name) ? "PASSED" : usesFirst ? null : "LOWER";
    if (why === null) continue;
    const before = sent.get(name);
    if (before === undefined) sent.set(name, resourceOf(call, why));
    else add(before, call);
  }
  return [...sent.values()].toSorted((a, b) => b.attempts - a.attempts).slice(0, MAX_SENT_MODELS);
}

function resourceOf(call: SentCalls, why: SentModelResource["why"]): SentModelResource {
  const { model, attempts, nanoUsd, newestInstance, newestStartMs } = call;
  return { model, why, attempts, nanoUsd, newestInstance, newestAt: new Date(newestStartMs).toISOString() };
}

function add(sum: SentModelResource, call: SentCalls): void {
  sum.attempts += call.attempts;
  sum.nanoUsd += call.nanoUsd;
  if (call.newestStartMs <= Date.parse(sum.newestAt)) return;
  sum.newestAt = new Date(call.newestStartMs).toISOString();
  sum.newestInstance = call.newestInstance;
}
