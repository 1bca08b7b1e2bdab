/** A price: rates of a model from a moment on, in USD per million tokens. */
import { z } from "@hono/zod-openapi";
import { parseInstant } from "../../sdk-client/src/wire/instant.ts";
import { MAX_PRICE_ALIASES, MAX_RATE_PICO_USD_PER_TOKEN } from "../../sdk-client/src/wire/price-row.ts";
import { TOKEN_CLASSES, type TokenClass } from "../../sdk-client/src/wire/usage-protocol.ts";
import { modelSchema, newModelSchema, reasonSchema, revision, time, totalSchema, warnings } from "./fields.ts";
import { optionalField } from "./optional-field.ts";

/** Of what a price has a rate each. */
export const RATE_NAMES = TOKEN_CLASSES;
export type RateName = TokenClass;
/** 1 USD per million tokens is a million pico-USD per token. */
export const PICO_PER_USD_PER_MILLION = 1_000_000;
const MAX_USD_PER_MILLION = MAX_RATE_PICO_USD_PER_TOKEN / PICO_PER_USD_PER_MILLION;
const MAX_THRESHOLD_TOKENS = 1_000_000_000;

const rate = z
  .number("must be an amount in USD per million tokens")
  .min(0, "must be 0 or more")
  .max(MAX_USD_PER_MILLION, `must be at most ${String(MAX_USD_PER_MILLION)} USD per million tokens`)
  .refine((usd) => isWhole(usd * PICO_PER_USD_PER_MILLION), "may have at most 6 decimals");
const ratesSchema = z
  .strictObject({ input: rate, output: rate, cacheWrite5m: rate, cacheWrite1h: rate, cacheRead: rate })
  .openapi({ description: "USD per million tokens, each class its own: cache rates do not follow from the input's." });
const longSchema = z
  .strictObject({
    abovePromptTokens: z
      .int("must be a whole number")
      .min(0, "must be 0 or more")
      .max(MAX_THRESHOLD_TOKENS, `must be at most ${String(MAX_THRESHOLD_TOKENS)}`),
    usdPerMillion: ratesSchema,
  })
  .openapi({ description: "For all tokens of a call whose prompt is larger than this." });
export const validFromSchema = z
  .string()
  .refine((text) => parseInstant(text) !== null, "must be a date like 2026-01-31, or a time with its zone")
  .openapi({ example: "2026-11-20", description: "UTC when only a date." });

const KEPT = "Left out: as the model's price has it so far.";
const priceFields = z.strictObject({
  usdPerMillion: ratesSchema,
  aliases: optionalField(
    z
      .array(modelSchema, "must be a list of model ids")
      .max(MAX_PRICE_ALIASES, `must be at most ${String(MAX_PRICE_ALIASES)}`),
  ).openapi({ description: `Other exact ids of the same model, such as dated snapshots. ${KEPT}` }),
  long: optionalField(longSchema.nullable()).openapi({ description: `Of long prompts; null: none. ${KEPT}` }),
  fastUsdPerMillion: optionalField(ratesSchema.nullable()).openapi({
    description: `Of fast mode, where the model has one; null: it has none. ${KEPT}`,
  }),
  usPremium: optionalField(z.boolean("must be true or false")).openapi({
    description: `False when US-only inference costs no more. True, 1.1 times, for a new model. ${KEPT}`,
  }),
  regionalPremium: optionalField(z.boolean("must be true or false")).openapi({
    description: `False when regional endpoints of the clouds cost no more than global ones. True, 1.1 times, for a new model. ${KEPT}`,
  }),
  reason: reasonSchema,
  newModel: newModelSchema,
  unusual: optionalField(z.boolean("must be true or false")).openapi({
    description:
      "True: take figures that look like a slip as they are. Left out, they are refused, each with its path.",
  }),
});
/** Of a row that its path dates. */
export const priceBody = priceFields.openapi("PutPrice");
export const datedPriceBody = priceFields
  .extend({
    validFrom: optionalField(validFromSchema).openapi({ description: "From when on it counts; now when left out." }),
  })
  .openapi("PutDatedPrice");
export type NewPrice = z.infer<typeof priceBody>;

export const priceSchema = z
  .object({
    model: z.string(),
    validFrom: z.string(),
    aliases: z.array(z.string()),
    usdPerMillion: ratesSchema,
    long: longSchema.nullable(),
    fastUsdPerMillion: ratesSchema.nullable(),
    usPremium: z.boolean(),
    regionalPremium: z.boolean(),
    source: z.enum(["builtIn", "added"]),
    addedBy: z.string().nullable(),
    addedAt: z.string().nullable(),
    reason: z.string().nullable().openapi({ description: "Why it was added; null for built-in rows." }),
    inForce: z.boolean().openapi({ description: "Whether calls of now are priced by it." }),
    note: z.string().nullable().openapi({ description: "What is not certain about a built-in price." }),
  })
  .openapi("Price");
export type PriceResource = z.infer<typeof priceSchema>;

const countedSchema = z
  .object({
    from: time,
    to: time,
    attempts: z.number(),
    countedNanoUsd: totalSchema("What these calls were counted at, and stay at. Whole nano-USD (1e-9 USD)."),
    atThisPriceNanoUsd: totalSchema(
      "About what they would cost by this row: batches, fast mode, long prompts and premiums of a place are not looked at.",
    ),
  })
  .openapi("CountedBefore");
export type CountedBefore = z.infer<typeof countedSchema>;

export const changedPriceSchema = priceSchema
  .extend({
    counted: countedSchema.nullable().openapi({
      description:
        "Calls that this row is about and that were counted before it was there, in all environments. Nothing is priced anew. Null: none.",
    }),
    warnings,
  })
  .openapi("ChangedPrice");
export const changedPriceAtSchema = changedPriceSchema.extend({ revision }).openapi("ChangedPriceAtRevision");
export type ChangedPrice = z.infer<typeof changedPriceSchema>;
export const removePriceQuery = z.strictObject({ reason: optionalField(reasonSchema) });

/** Whole but for the last bits of a product of floats. */
function isWhole(value: number): boolean {
  return Math.abs(value - Math.round(value)) < 1e-3;
}
