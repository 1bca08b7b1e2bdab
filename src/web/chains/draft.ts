/** A chain as its form has it, and the way from there to what the service takes. Field names are the API's paths. */
import { isDearer, modelTable } from "../../../sdk-client/src/evaluate/model-table.ts";
import type { ChainStep } from "../../../sdk-client/src/wire/protocol.ts";
import { MAX_CHAIN_STEPS, MODEL_PATTERN } from "../../domain/limits.ts";
import { chainBody, chainNameSchema, type ChainResource } from "../../api/chain.ts";
import { AppError, type Fault } from "../../errors.ts";
import { fromIssues } from "../../http/problem.ts";
import type { Form } from "../shell/page-context.ts";

export interface StepDraft {
  model: string;
  maxTokens: string;
  /** JSON as typed; `""` for none. */
  set: string;
  /** Field names separated by commas. */
  unset: string;
}

export interface ChainDraft {
  name: string;
  steps: StepDraft[];
}

const EMPTY_STEP: StepDraft = { model: "", maxTokens: "", set: "", unset: "" };
export const EMPTY_CHAIN: ChainDraft = {
  name: "",
  steps: [{ ...EMPTY_STEP }, { ...EMPTY_STEP }],
};

export function chainDraftOf(chain: ChainResource): ChainDraft {
  return {
    name: chain.name,
    steps: chain.steps.map((step) => ({
      model: step.model,
      maxTokens: step.maxTokens === undefined ? "" : String(step.maxTokens),
      set: step.set === undefined ? "" : JSON.stringify(step.set),
      unset: step.unset?.join(", ") ?? "",
    })),
  };
}

/** The press that says: these model names are meant as they are. */
export function confirmsNew(form: Form): boolean {
  return form.has("newModel");
}

export function chainDraftFrom(form: Form): ChainDraft {
  const steps: StepDraft[] = [];
  for (let at = 0; at < MAX_CHAIN_STEPS && form.has(`steps.${at}.model`); at += 1) {
    const path = `steps.${at}`;
    steps.push({
      model: form.trimmed(`${path}.model`),
      maxTokens: form.trimmed(`${path}.maxTokens`),
      set: form.trimmed(`${path}.set`),
      unset: form.trimmed(`${path}.unset`),
    });
  }
  return { name: form.trimmed("name"), steps };
}

/** The draft with a step more for `model`: before the first that costs less, as a chain goes from dear to cheap. */
export function withStep(draft: ChainDraft, model: string, nowMs: number): ChainDraft {
  if (!MODEL_PATTERN.test(model) || draft.steps.length >= MAX_CHAIN_STEPS) return draft;
  const prices = modelTable({ blocked: [] });
  if (draft.steps.some((step) => prices.nameOf(step.model) === prices.nameOf(model))) return draft;
  const rates = prices.ratesOf(model, nowMs);
  const cheaper = draft.steps.findIndex((step) => isDearer(rates, prices.ratesOf(step.model, nowMs)));
  const steps = [...draft.steps];
  steps.splice(cheaper < 0 ? steps.length : cheaper, 0, { ...EMPTY_STEP, model });
  return { ...draft, steps };
}

/** `add-step`, `remove-step.1`, `raise-step.1`: what a button other than "save" does. Null for "save". */
export function reshapedChain(draft: ChainDraft, operation: string): ChainDraft | null {
  const [verb = "", position = ""] = operation.split(".");
  const steps = structuredClone(draft.steps);
  const at = Number(position);
  switch (verb) {
    case "add-step":
      if (steps.length < MAX_CHAIN_STEPS) steps.push({ ...EMPTY_STEP });
      break;
    case "remove-step":
      steps.splice(at, 1);
      break;
    case "raise-step":
      if (at > 0) steps.splice(at - 1, 0, ...steps.splice(at, 1));
      break;
    default:
      return null;
  }
  return { ...draft, steps };
}

/** Name and steps as the service takes them; steps left empty are not there. INVALID with the path of each fault. */
export function parseChain(draft: ChainDraft): { name: string; steps: ChainStep[] } {
  const faults: Fault[] = [];
  const steps = draft.steps.map((step, at) => {
    const set = parsePatch(step.set, `steps.${at}.set`, faults);
    return {
      model: step.model,
      ...(set === undefined ? {} : { set }),
      ...(step.unset === "" ? {} : { unset: step.unset.split(",").map((field) => field.trim()) }),
      ...(step.maxTokens === "" ? {} : { maxTokens: Number(step.maxTokens) }),
    };
  });
  const filled = steps.filter((step, at) => step.model !== "" || Object.keys(step).length > 1 || at === 0);
  const name = chainNameSchema.safeParse(draft.name);
  if (!name.success) faults.push(...name.error.issues.map(({ message }) => ({ path: "name", message })));
  const body = chainBody.safeParse({ steps: filled });
  if (!body.success) faults.push(...fromIssues(body.error.issues).faults);
  if (faults.length > 0 || !body.success || !name.success) {
    throw new AppError("INVALID", "The chain is not valid.", { faults: faults.map(atField) });
  }
  return { name: name.data, steps: body.data.steps };
}

function parsePatch(text: string, path: string, faults: Fault[]): unknown {
  if (text === "") return undefined;
  try {
    const parsed: unknown = JSON.parse(text);
    return parsed;
  } catch (error) {
    const why = error instanceof SyntaxError ? error.message : "not valid";
    faults.push({ path, message: `must be JSON such as {"thinking": {"type": "disabled"}}: ${why}` });
    return undefined;
  }
}

/** A fault inside a patch is shown at the field that holds the patch. */
function atField({ path, message }: Fault): Fault {
  const inside = /^(steps\.\d+\.(?:set|unset))\.(.+)$/.exec(path);
  return inside === null ? { path, message } : { path: inside[1] ?? path, message: `${inside[2] ?? ""}: ${message}` };
}
