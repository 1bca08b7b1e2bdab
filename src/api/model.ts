/** A model and its block; and the names that do not say their model. */
import { z } from "@hono/zod-openapi";
import { auditId, modelSchema, newModelSchema, reasonSchema, revision, time, untilSchema, warnings } from "./fields.ts";
import { optionalField } from "./optional-field.ts";

export const modelBody = z
  .strictObject({
    blocked: z.boolean("must be true or false"),
    reason: reasonSchema,
    until: optionalField(untilSchema),
    newModel: newModelSchema,
  })
  .refine((body) => body.blocked || body.until === undefined, { path: ["until"], message: "only a block has an end" })
  .openapi("PutModel");

export const restoreModelBody = z.strictObject({ reason: reasonSchema }).openapi("RestoreModel");

const breakerSchema = z
  .object({
    state: z.enum(["open", "probing", "overridden"]).openapi({
      description: "Out; out but for its probes; or in use, because somebody restored it.",
    }),
    since: time.openapi({ description: "When it was taken out." }),
    reason: z.string().openapi({ example: "31 of 40 calls failed on 5 of 5 instances in 60 s" }),
    calls: z.number(),
    failures: z.number(),
    instances: z.number(),
    failingInstances: z.number(),
    probeAt: time.nullable().openapi({ description: "Of `open`: when it is probed next." }),
    probeShare: z.number().nullable().openapi({ description: "Of `probing`: which share of its calls is." }),
    overriddenBy: z.string().nullable(),
    overrideReason: z.string().nullable(),
  })
  .openapi("Breaker", { description: "What a breaker has done with a model that failed on most instances." });
export type BreakerResource = z.infer<typeof breakerSchema>;

export const modelResourceSchema = z
  .object({
    model: z.string(),
    blocked: z.boolean(),
    reason: z.string().nullable(),
    by: z.string().nullable(),
    since: time.nullable(),
    until: time.nullable(),
    /** Null while no breaker has taken it out. A block by hand stands beside it. */
    breaker: breakerSchema.nullable(),
    /** Names of the chains that have it as a step. */
    usedBy: z.array(z.string()),
  })
  .openapi("Model");
export type ModelResource = z.infer<typeof modelResourceSchema>;

export const changedModelSchema = modelResourceSchema.extend({ revision, auditId, warnings }).openapi("ChangedModel");
export const restoredModelSchema = modelResourceSchema.extend({ revision }).openapi("RestoredModel");

export const aliasesBody = z
  .strictObject({
    aliases: z
      .record(modelSchema, modelSchema, "must be an object of names and their models")
      .openapi({ example: { "arn:aws:bedrock:…:application-inference-profile/a1b2c3": "claude-opus-5-5" } }),
    newModel: newModelSchema,
  })
  .openapi("PutAliases", { description: "All mappings: those left out are forgotten." });

export const aliasesSchema = z
  .object({ aliases: z.record(z.string(), z.string()), revision })
  .openapi("Aliases", { description: "The model behind each name that does not say it." });
