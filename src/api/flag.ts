/** A flag: how it is defined, and all that holds for it now. */
import { z } from "@hono/zod-openapi";
import type { ChainStep, Rule } from "../../sdk-client/src/wire/protocol.ts";
import {
  MAX_CALLS_AT_A_TIME,
  MAX_DESCRIPTION_CHARS,
  MAX_INPUT_BYTES,
  MAX_NAME_CHARS,
  MAX_OFF_MESSAGE_CHARS,
  MAX_OUTPUT_TOKENS,
  MAX_REQUESTS_PER_MINUTE,
  MAX_RULES,
  MAX_TAGS,
  MAX_TOKENS_PER_DAY,
  MAX_URL_CHARS,
} from "../domain/limits.ts";
import { chainNameSchema } from "./chain.ts";
import { chainStepSchema } from "./chain-step.ts";
import { auditId, budgetName, flagKeySchema, requiredText, revision, tagSchema, text, time } from "./fields.ts";
import { optionalField } from "./optional-field.ts";
import { ruleSchema } from "./rule.ts";
import { standingSchema } from "./standing.ts";
import { levelSchema, switchSchema, tripSchema } from "./switch.ts";

const SALT_PATTERN = /^[\w-]{1,64}$/;

const runbookUrlSchema = text(MAX_URL_CHARS).refine(isWebUrl, "must be an http or https address").nullable();

const steps: z.ZodArray<z.ZodType<ChainStep>> = z.array(chainStepSchema);
const rules: z.ZodArray<z.ZodType<Rule>> = z.array(ruleSchema, "must be a list of rules");

/** A whole number from 1; left out: no limit. */
function limit(most: number) {
  const words = `must be a whole number, 1 to ${String(most)}`;
  return z.number(words).int(words).min(1, words).max(most, words);
}

const callLimitsSchema = z
  .strictObject({
    concurrent: optionalField(limit(MAX_CALLS_AT_A_TIME)),
    requestsPerMinute: optionalField(limit(MAX_REQUESTS_PER_MINUTE)),
    tokensPerDay: optionalField(limit(MAX_TOKENS_PER_DAY)),
  })
  .openapi("CallLimits", {
    description:
      "Calls at a time, calls begun in any minute, tokens of all classes in a day (UTC). What is left out is not limited.",
  });

const limitsSchema = z
  .strictObject({
    flag: optionalField(callLimitsSchema),
    user: optionalField(callLimitsSchema),
    session: optionalField(callLimitsSchema),
  })
  .openapi("FlagLimits", {
    description:
      "For the flag as a whole, each of its users and each session. Every instance counts its own calls: n instances together let up to n times as many through. Replaced whole.",
  });

/** Each tag once, by name. */
const tagsSchema = z
  .array(tagSchema, "must be a list of tags")
  .max(MAX_TAGS, `must be at most ${String(MAX_TAGS)} tags`)
  .transform((tags) => [...new Set(tags)].toSorted())
  .openapi({ type: "array", items: { type: "string" }, description: "What budgets name flags by." });

const flagFields = {
  name: requiredText(MAX_NAME_CHARS, "must not be empty"),
  description: optionalField(text(MAX_DESCRIPTION_CHARS)),
  owner: optionalField(text(MAX_NAME_CHARS)),
  runbookUrl: optionalField(runbookUrlSchema),
  chain: optionalField(chainNameSchema.nullable()),
  offMode: optionalField(z.enum(["error", "message"], 'must be "error" or "message"')),
  offMessage: optionalField(text(MAX_OFF_MESSAGE_CHARS).nullable()),
  abortInFlight: optionalField(z.boolean("must be true or false")),
  clampMaxTokens: optionalField(z.boolean("must be true or false")),
  chainOnly: optionalField(z.boolean("must be true or false")).openapi({
    description: "True: only models of its chain are sent, whatever a request names.",
  }),
  limits: optionalField(limitsSchema),
  maxInputBytes: optionalField(limit(MAX_INPUT_BYTES).nullable()).openapi({
    description: "Largest body of a request, in bytes; larger ones are refused. In a message batch: of each request.",
  }),
  maxOutputTokens: optionalField(limit(MAX_OUTPUT_TOKENS).nullable()).openapi({
    description:
      "Largest `max_tokens`: a request that asks for more is lowered to it with clampMaxTokens, else refused.",
  }),
  tags: optionalField(tagsSchema),
  rules: optionalField(rules.max(MAX_RULES, `must be at most ${String(MAX_RULES)} rules`)),
  rollout: optionalField(z.number("must be a percentage").min(0, "must be 0 to 100").max(100, "must be 0 to 100")),
};
/** Decides, with its id, whom a rollout holds: a flag with the same salt holds the same ones. */
const saltSchema = z.string("must be a text").regex(SALT_PATTERN, "must be 1 to 64 letters, digits, - or _");
export const createFlagBody = z
  .strictObject({
    key: flagKeySchema,
    ...flagFields,
    salt: optionalField(saltSchema).openapi({
      description: "Whom a rollout holds follows from it: that of the flag it is a copy of. Left out: a new one.",
    }),
  })
  .openapi("CreateFlag");
export type NewFlag = z.infer<typeof createFlagBody>;

export const updateFlagBody = z
  .strictObject({ ...flagFields, name: optionalField(flagFields.name) })
  .openapi("UpdateFlag");
export type FlagEdit = z.infer<typeof updateFlagBody>;
/** All that people define of a flag but its key and its salt. */
export type FlagDefinition = Required<FlagEdit>;

const effectiveSchema = z.object({
  state: z.enum(["on", "downgraded", "ramping", "off"]),
  reason: z.enum(["ON", "MASTER", "KILLED", "TRIPPED", "NO_MODEL"]),
  /** The first usable model; null without a chain and when off. */
  model: z.string().nullable(),
  models: z.array(z.string()),
  step: z
    .number()
    .nullable()
    .openapi({ description: "The effective step: where in its chain calls start now; null when off." }),
  blocked: z
    .array(z.string())
    .openapi({ description: "Models of its chain that are blocked; without a chain, all that are." }),
});
export type EffectiveResource = z.infer<typeof effectiveSchema>;

const sentModelSchema = z.object({
  model: z.string(),
  why: z.enum(["OUTSIDE", "PASSED", "BREAKER", "LOWER"]).openapi({
    description:
      "Outside the chain; a step that is passed now; one that a breaker has taken out; or lower than where calls start, alone.",
  }),
  attempts: z.number(),
  nanoUsd: z.number(),
  /** When the newest of them began, and in which instance. */
  newestAt: time,
  newestInstance: z.string(),
});
export type SentModelResource = z.infer<typeof sentModelSchema>;

export const flagSchema = z
  .object({
    key: z.string(),
    name: z.string(),
    description: z.string(),
    owner: z.string(),
    runbookUrl: z.string().nullable(),
    chain: z.string().nullable(),
    /** The steps of its chain; `[]` without one. */
    steps,
    offMode: z.enum(["error", "message"]),
    offMessage: z.string().nullable(),
    abortInFlight: z.boolean(),
    clampMaxTokens: z.boolean(),
    chainOnly: z.boolean(),
    limits: limitsSchema,
    maxInputBytes: z.number().nullable(),
    maxOutputTokens: z.number().nullable(),
    tags: z.array(z.string()),
    rules,
    rollout: z.number(),
    salt: z.string().openapi({ description: "Whom a rollout holds follows from it; never changes." }),
    switch: switchSchema,
    level: levelSchema,
    trips: z.array(tripSchema),
    effective: effectiveSchema,
    standing: standingSchema,
    sends: z.array(sentModelSchema).openapi({
      description:
        "Models of calls begun since their instance applied the state in force (15 minutes at most) that its chain does not account for. Empty in the answer to a change.",
    }),
    evaluated: z
      .object({ at: time, on: z.number(), off: z.number() })
      .nullable()
      .openapi({ description: "How often clients evaluated it, and when one last told so; null: never." }),
    guarded: z.object({ at: time, sdk: z.string().nullable() }).nullable().openapi({
      description:
        "When a guard last held a call of it, and its SDK's version; null: none was seen, so that a kill acts where code asks next, and ends no running call.",
    }),
    limited: z
      .object({ at: time, calls: z.number() })
      .nullable()
      .openapi({ description: "Calls that its limits refused, and when a client last told of one; null: none." }),
    version: z.number(),
    createdAt: time,
    updatedAt: time,
  })
  .openapi("Flag");
export type FlagResource = z.infer<typeof flagSchema>;

export const changedFlagSchema = flagSchema.extend({ revision }).openapi("ChangedFlag");
export const switchedFlagSchema = flagSchema.extend({ revision, auditId }).openapi("SwitchedFlag");

export const taggedFlagsSchema = z
  .object({ tag: z.string(), items: z.array(flagSchema), revision })
  .openapi("TaggedFlags");
export const switchedTagSchema = z
  .object({
    tag: z.string(),
    items: z.array(z.object({ flag: flagSchema, auditId })),
    refused: z
      .array(z.object({ key: z.string(), message: z.string() }))
      .openapi({ description: "Flags that stay as they are, and why." }),
    revision,
  })
  .openapi("SwitchedTag", { description: "Every change of it has this one revision." });

export const deletedFlagSchema = z.object({ budgets: z.array(budgetName), revision }).openapi("DeletedFlag");

const unknownFlagSchema = z.object({
  key: z.string(),
  /** When, and by which instance, last; `app` when that is known. */
  askedAt: time,
  instance: z.string(),
  app: z.string().nullable(),
  meant: z.string().nullable().openapi({ description: "The flag that may be meant." }),
  isKey: z.boolean().openapi({ description: "False when no flag can have this key." }),
});
export type UnknownFlagResource = z.infer<typeof unknownFlagSchema>;

/** Keys that applications ask for and no flag has, asked for last first. */
export const unknownFlagsSchema = z
  .object({
    items: z.array(unknownFlagSchema),
    isFull: z.boolean().openapi({ description: "True when there may be others, which there was no room for." }),
  })
  .openapi("UnknownFlags");
export type UnknownFlags = z.infer<typeof unknownFlagsSchema>;

function isWebUrl(value: string): boolean {
  return URL.canParse(value) && ["http:", "https:"].includes(new URL(value).protocol);
}
