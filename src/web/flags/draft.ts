/**
 * A flag as its form has it: text as typed, so that nothing is lost on an error, and the way from there to what the
 * service takes. Field names are the paths of the API, so that its faults land beside their fields.
 */
import type { z } from "@hono/zod-openapi";
import { CONDITION_OPERATORS, type ConditionOperator } from "../../../sdk-client/src/wire/protocol.ts";
import { FLAG_KEY_PATTERN, MAX_CONDITIONS, MAX_RULES } from "../../domain/limits.ts";
import { createFlagBody, type FlagResource } from "../../api/flag.ts";
import type { Form } from "../shell/page-context.ts";
import { type LimitDraft, limitDraftFrom, limitDraftOf, limitsOfDraft } from "./limit-fields.tsx";
import { formatValue, parseValue } from "./rule-value.ts";
import { parseForm } from "../form/submit.ts";

export interface ConditionDraft {
  attribute: string;
  operator: ConditionOperator;
  value: string;
}

export interface RuleDraft {
  name: string;
  /** `on` or `off`: the rule's `then`. */
  outcome: string;
  when: ConditionDraft[];
}

export interface FlagDraft {
  key: string;
  name: string;
  description: string;
  owner: string;
  runbookUrl: string;
  chain: string;
  offMode: string;
  offMessage: string;
  abortInFlight: boolean;
  clampMaxTokens: boolean;
  chainOnly: boolean;
  limits: LimitDraft;
  /** Separated by commas or spaces. */
  tags: string;
  rollout: string;
  rules: RuleDraft[];
}

const EMPTY_FLAG: FlagDraft = {
  key: "",
  name: "",
  description: "",
  owner: "",
  runbookUrl: "",
  chain: "",
  offMode: "error",
  offMessage: "",
  abortInFlight: false,
  clampMaxTokens: false,
  chainOnly: false,
  limits: {},
  tags: "",
  rollout: "100",
  rules: [],
};
/** A new flag, with the key that an application asks for already. */
export function emptyFlag(key: string): FlagDraft {
  if (!FLAG_KEY_PATTERN.test(key)) return EMPTY_FLAG;
  const words = key.replaceAll(/[-_]+/g, " ").trim();
  return { ...EMPTY_FLAG, key, name: words.charAt(0).toUpperCase() + words.slice(1) };
}

const EMPTY_CONDITION: ConditionDraft = { attribute: "", operator: "in", value: "" };

export function draftOf(flag: FlagResource): FlagDraft {
  const { key, name, description, owner, offMode, abortInFlight, clampMaxTokens, chainOnly } = flag;
  return {
    key,
    name,
    description,
    owner,
    offMode,
    abortInFlight,
    clampMaxTokens,
    chainOnly,
    limits: limitDraftOf(flag),
    tags: flag.tags.join(", "),
    runbookUrl: flag.runbookUrl ?? "",
    chain: flag.chain ?? "",
    offMessage: flag.offMessage ?? "",
    rollout: String(flag.rollout),
    rules: flag.rules.map((rule) => ({
      name: rule.name ?? "",
      outcome: rule.then,
      when: rule.when.map(({ attribute, operator, value }) => ({ attribute, operator, value: formatValue(value) })),
    })),
  };
}

export function draftFrom(form: Form): FlagDraft {
  const rules: RuleDraft[] = [];
  for (let at = 0; at < MAX_RULES && form.has(`rules.${at}.then`); at += 1) {
    const when: ConditionDraft[] = [];
    for (let of = 0; of < MAX_CONDITIONS && form.has(`rules.${at}.when.${of}.attribute`); of += 1) {
      const path = `rules.${at}.when.${of}`;
      when.push({
        attribute: form.trimmed(`${path}.attribute`),
        operator: operatorOf(form.text(`${path}.operator`)),
        value: form.text(`${path}.value`),
      });
    }
    rules.push({ name: form.trimmed(`rules.${at}.name`), outcome: form.text(`rules.${at}.then`), when });
  }
  return {
    key: form.trimmed("key"),
    name: form.trimmed("name"),
    description: form.trimmed("description"),
    owner: form.trimmed("owner"),
    runbookUrl: form.trimmed("runbookUrl"),
    chain: form.text("chain"),
    offMode: form.text("offMode"),
    offMessage: form.trimmed("offMessage"),
    abortInFlight: form.has("abortInFlight"),
    clampMaxTokens: form.has("clampMaxTokens"),
    chainOnly: form.has("chainOnly"),
    limits: limitDraftFrom(form),
    tags: form.trimmed("tags"),
    rollout: form.trimmed("rollout"),
    rules,
  };
}

function operatorOf(text: string): ConditionOperator {
  return CONDITION_OPERATORS.find((one) => one === text) ?? "equals";
}

/**
 * What a button of the form other than "save" does to the draft: `add-rule`, `remove-rule.1`, `add-condition.0`,
 * `remove-condition.0.2`. Null for "save".
 */
export function reshaped(draft: FlagDraft, operation: string): FlagDraft | null {
  const [verb = "", rule = "", condition = ""] = operation.split(".");
  const rules = structuredClone(draft.rules);
  const at = Number(rule);
  switch (verb) {
    case "add-rule":
      rules.push({ name: "", outcome: "off", when: [{ ...EMPTY_CONDITION }] });
      break;
    case "remove-rule":
      rules.splice(at, 1);
      break;
    case "add-condition":
      rules[at]?.when.push({ ...EMPTY_CONDITION });
      break;
    case "remove-condition":
      rules[at]?.when.splice(Number(condition), 1);
      break;
    default:
      return null;
  }
  return { ...draft, rules };
}

/** What the service takes. INVALID with the path of each fault. */
export function parseDraft(draft: FlagDraft): z.output<typeof createFlagBody> {
  return parseForm(createFlagBody, {
    ...draft,
    ...limitsOfDraft(draft.limits),
    tags: draft.tags.split(/[\s,]+/).filter((tag) => tag !== ""),
    runbookUrl: draft.runbookUrl === "" ? null : draft.runbookUrl,
    chain: draft.chain === "" ? null : draft.chain,
    offMessage: draft.offMessage === "" ? null : draft.offMessage,
    rollout: draft.rollout === "" ? Number.NaN : Number(draft.rollout.replace(",", ".")),
    rules: draft.rules.map(ruleOf),
  });
}

function ruleOf({ name, outcome, when }: RuleDraft): unknown {
  return {
    ...(name === "" ? {} : { name }),
    then: outcome,
    when: when.map((one) => ({ ...one, value: parseValue(one.operator, one.value) })),
  };
}
