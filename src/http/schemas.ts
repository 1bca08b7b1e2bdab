/**
 * What the operator API accepts, field by field. Every object is strict: a misspelt field is a fault, not silence.
 * Messages are written to follow the path of the fault: "rollout: must be 0 to 100".
 */
import { z } from "@hono/zod-openapi";
import { OFFERED_TOKEN_KINDS, ROLES } from "../domain/actor.ts";
import {
  CHAIN_NAME_PATTERN,
  ENVIRONMENT_KEY_PATTERN,
  FLAG_KEY_PATTERN,
  MAX_CHAIN_STEPS,
  MAX_DESCRIPTION_CHARS,
  MAX_NAME_CHARS,
  MAX_OFF_MESSAGE_CHARS,
  MAX_PAGE_SIZE,
  MAX_REASON_CHARS,
  MAX_RULES,
  MAX_URL_CHARS,
  MODEL_PATTERN,
} from "../domain/limits.ts";
import { chainStepSchema, requireDistinctModels } from "./chain-step-schema.ts";
import { ruleSchema } from "./rule-schema.ts";
import { optionalField } from "./optional-field.ts";

const MAX_REVISION_CHARS = 128;
const MAX_ENVIRONMENTS_OF_TOKEN = 50;
const MAX_CURSOR_CHARS = 200;
const MAX_TARGET_CHARS = 200;
const MAX_LEVEL = MAX_CHAIN_STEPS - 1;

const text = (maxChars: number) =>
  z
    .string("must be a text")
    .trim()
    .max(maxChars, `must be at most ${String(maxChars)} characters`);

const requiredText = (maxChars: number, what: string) => text(maxChars).min(1, what);

export const flagKeySchema = z
  .string("must be a text")
  .regex(FLAG_KEY_PATTERN, "must be 1 to 64 lower-case letters, digits, - or _, and start with a letter or digit")
  .openapi({ example: "support-chat" });
export const chainNameSchema = z
  .string("must be a text")
  .regex(CHAIN_NAME_PATTERN, "must be 1 to 64 lower-case letters, digits, ., - or _, and start with a letter or digit")
  .openapi({ example: "opus-first" });
export const environmentKeySchema = z
  .string("must be a text")
  .regex(ENVIRONMENT_KEY_PATTERN, "must be 1 to 32 lower-case letters, digits or -, and start with a letter or digit")
  .openapi({ example: "production" });
export const modelSchema = z
  .string("must be a text")
  .regex(MODEL_PATTERN, "must be a model id such as claude-sonnet-5-5")
  .openapi({ example: "claude-opus-5-5" });

/** Why: the audit and the next on-call read it. */
export const reasonSchema = requiredText(MAX_REASON_CHARS, "must say why, in 1 to 500 characters").openapi({
  example: "Answers leak internal prices",
});
/** A moment with its offset; checked against the clock by `futureDate`. */
export const untilSchema = z.iso
  .datetime({ offset: true, error: "must be a time with its zone, such as 2030-01-31T06:00:00Z" })
  .openapi({
    example: "2030-01-31T06:00:00Z",
    description: "When it ends by itself. Left out: until someone restores it.",
  });

export const killBody = z
  .strictObject({
    reason: reasonSchema.nullable().openapi({ description: "Null: a kill waits for nothing; it is told afterwards." }),
    until: optionalField(untilSchema),
  })
  .openapi("Kill");

const rampSchema = z
  .number("must be a percentage")
  .gt(0, "must be more than 0")
  .lt(100, "must be less than 100; leave it out to restore at once");
export const restoreBody = z
  .strictObject({
    reason: reasonSchema,
    ramp: optionalField(rampSchema).openapi({
      description: "Percentage of contexts that get the feature back first. Left out: all.",
    }),
  })
  .openapi("Restore");
export const restoreMasterBody = z.strictObject({ reason: reasonSchema }).openapi("RestoreMaster");

export const deadBody = z.strictObject({ reason: optionalField(reasonSchema) }).openapi("DeclareDead");
export const allDeadBody = z
  .strictObject({
    lostBefore: optionalField(
      z.iso.datetime({ offset: true, error: "must be a time with its zone, such as 2030-01-31T06:00:00Z" }),
    ).openapi({
      example: "2030-01-31T06:00:00Z",
      description: "Only those that were lost by then: `at` of the list that was looked at. Left out: all.",
    }),
    reason: optionalField(reasonSchema),
  })
  .openapi("DeclareAllDead");

export const downgradeBody = z
  .strictObject({
    level: optionalField(
      z
        .int("must be a whole number")
        .min(0, "must be 0 (full quality) or more")
        .max(MAX_LEVEL, `must be at most ${String(MAX_LEVEL)}`),
    ),
    model: optionalField(modelSchema),
    reason: reasonSchema,
    until: optionalField(untilSchema),
  })
  .refine((body) => body.level === undefined || body.model === undefined, {
    path: ["model"],
    message: "give either level or model, not both",
  })
  .openapi("Downgrade", { description: "By level or by model; with neither, one step further than now." });

const runbookUrlSchema = text(MAX_URL_CHARS).refine(isWebUrl, "must be an http or https address").nullable();

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
  rules: optionalField(
    z.array(ruleSchema, "must be a list of rules").max(MAX_RULES, `must be at most ${String(MAX_RULES)} rules`),
  ),
  rollout: optionalField(z.number("must be a percentage").min(0, "must be 0 to 100").max(100, "must be 0 to 100")),
};
export const createFlagBody = z.strictObject({ key: flagKeySchema, ...flagFields }).openapi("CreateFlag");
export const updateFlagBody = z
  .strictObject({ ...flagFields, name: optionalField(flagFields.name) })
  .openapi("UpdateFlag");

const newModelSchema = optionalField(z.boolean("must be true or false")).openapi({
  description:
    "True: take a model name that is one slip from a known one as it is. Left out, it is refused with the name that may have been meant.",
});

export const chainBody = z
  .strictObject({
    newModel: newModelSchema,
    steps: z
      .array(chainStepSchema, "must be a list of steps, best model first")
      .min(1, "must have at least one step")
      .max(MAX_CHAIN_STEPS, `must be at most ${String(MAX_CHAIN_STEPS)} steps`)
      .superRefine(requireDistinctModels),
  })
  .openapi("PutChain");

export const modelBody = z
  .strictObject({
    blocked: z.boolean("must be true or false"),
    reason: reasonSchema,
    until: optionalField(untilSchema),
    newModel: newModelSchema,
  })
  .refine((body) => body.blocked || body.until === undefined, { path: ["until"], message: "only a block has an end" })
  .openapi("PutModel");

export const aliasesBody = z
  .strictObject({
    aliases: z
      .record(modelSchema, modelSchema, "must be an object of names and their models")
      .openapi({ example: { "arn:aws:bedrock:…:application-inference-profile/a1b2c3": "claude-opus-5-5" } }),
    newModel: newModelSchema,
  })
  .openapi("PutAliases", { description: "All mappings: those left out are forgotten." });

export const environmentBody = z
  .strictObject({ key: environmentKeySchema, name: requiredText(MAX_NAME_CHARS, "must not be empty") })
  .openapi("CreateEnvironment");

export const tokenBody = z
  .strictObject({
    kind: z.enum(OFFERED_TOKEN_KINDS, {
      error: ({ input }) =>
        input === "web"
          ? "is not offered yet: nothing serves tokens for browsers"
          : `must be one of ${OFFERED_TOKEN_KINDS.join(", ")}`,
    }),
    name: requiredText(MAX_NAME_CHARS, "must say what or whom the token is for"),
    role: optionalField(z.enum(ROLES, `must be one of ${ROLES.join(", ")}`)),
    environments: optionalField(
      z
        .array(environmentKeySchema, "must be a list of environment keys, or null for all")
        .min(1, "must name at least one environment")
        .max(MAX_ENVIRONMENTS_OF_TOKEN, `must be at most ${String(MAX_ENVIRONMENTS_OF_TOKEN)}`)
        .nullable(),
    ).openapi({ description: "Keys of its environments; null or left out: all (op tokens only)." }),
    expiresAt: optionalField(untilSchema).openapi({ description: "Left out: until it is revoked." }),
  })
  .superRefine((body, check) => {
    const fault = (path: string, message: string) => {
      check.addIssue({ code: "custom", path: [path], message, input: body });
    };
    if (body.kind === "op" && body.role === undefined) fault("role", `an op token needs one of ${ROLES.join(", ")}`);
    if (body.kind !== "op" && body.role !== undefined) fault("role", "only op tokens have a role");
    if (body.kind !== "op" && body.environments?.length !== 1) {
      fault("environments", `a token of kind "${body.kind}" is for exactly one environment`);
    }
  })
  .openapi("CreateToken");

export const lateReasonBody = z.strictObject({ reason: reasonSchema }).openapi("LateReason");
export const revertBody = z.strictObject({ reason: optionalField(reasonSchema) }).openapi("Revert");

export const receiptsQuery = z.strictObject({
  revision: optionalField(z.string().max(MAX_REVISION_CHARS, "is not a revision")),
});
/** One page of a list. */
export const pageQuery = z.strictObject({
  cursor: optionalField(z.string().max(MAX_CURSOR_CHARS, "is not a cursor of this list")),
  limit: optionalField(
    z.coerce
      .number()
      .int("must be a whole number")
      .min(1, "must be 1 or more")
      .max(MAX_PAGE_SIZE, `must be at most ${String(MAX_PAGE_SIZE)}`),
  ),
});
export const auditQuery = pageQuery.extend({
  kind: optionalField(
    z.enum(["flag", "chain", "model", "master", "token", "environment", "budget", "incident", "channel", "price"]),
  ),
  key: optionalField(
    z
      .string()
      .max(MAX_TARGET_CHARS, "is too long")
      .regex(/^\P{Cc}*$/u, "has a control character"),
  ),
});

function isWebUrl(value: string): boolean {
  return URL.canParse(value) && ["http:", "https:"].includes(new URL(value).protocol);
}

/** A sum that may be larger than the integers of JSON readers. */
export const totalSchema = (description: string) =>
  z
    .union([z.number(), z.string()])
    .openapi({ description: `${description} As text where it is above 2^53, so that no digit is lost.` });
