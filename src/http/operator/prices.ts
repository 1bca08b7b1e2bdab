/**
 * Prices, the same for all environments: the built-in list, and what operators add or correct without a release. A model
 * id that has a slash is written with %2F in the path.
 */
import { z } from "@hono/zod-openapi";
import { parseInstant } from "../../../sdk-client/src/wire/instant.ts";
import {
  MAX_RATE_PICO_USD_PER_TOKEN,
  type PriceRow,
  type Rates,
  MAX_PRICE_ALIASES,
} from "../../../sdk-client/src/wire/price-row.ts";
import { deletePrice, listPrices, type PriceResource, putPrice } from "../../services/models/prices.ts";
import { type Api, bareChangeRoute, body, changeRoute, createApi, json, readRoute } from "../openapi.ts";
import { optionalField } from "../optional-field.ts";
import { modelSchema, reasonSchema } from "../schemas.ts";

const tags = ["Prices"];
/** 1 USD per million tokens is a million pico-USD per token. */
const PICO_PER_USD_PER_MILLION = 1_000_000;
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
const validFromSchema = z
  .string()
  .refine((text) => parseInstant(text) !== null, "must be a date like 2026-01-31, or a time with its zone")
  .openapi({ example: "2026-11-20", description: "UTC when only a date." });

const priceBody = z
  .strictObject({
    usdPerMillion: ratesSchema,
    aliases: optionalField(
      z
        .array(modelSchema, "must be a list of model ids")
        .max(MAX_PRICE_ALIASES, `must be at most ${String(MAX_PRICE_ALIASES)}`),
    ).openapi({ description: "Other exact ids of the same model, such as dated snapshots." }),
    long: optionalField(longSchema),
    fastUsdPerMillion: optionalField(ratesSchema).openapi({ description: "Of fast mode, where the model has one." }),
    usPremium: z
      .boolean("must be true or false")
      .openapi({ description: "US-only inference costs 1.1 times as much." }),
    reason: reasonSchema,
  })
  .openapi("PutPrice");

const priceSchema = z
  .object({
    model: z.string(),
    validFrom: z.string(),
    aliases: z.array(z.string()),
    usdPerMillion: ratesSchema,
    long: longSchema.nullable(),
    fastUsdPerMillion: ratesSchema.nullable(),
    usPremium: z.boolean(),
    source: z.enum(["builtIn", "added"]),
    addedBy: z.string().nullable(),
    addedAt: z.string().nullable(),
  })
  .openapi("Price");

const params = z.object({ model: modelSchema, validFrom: validFromSchema });

const list = readRoute("viewer", {
  method: "get",
  path: "/v1/prices",
  tags,
  operationId: "listPrices",
  summary: "The prices in force and those before them, built-in and added",
  responses: { 200: json(z.object({ items: z.array(priceSchema) }), "By model, newest first.") },
});

const put = changeRoute("admin", {
  method: "put",
  path: "/v1/prices/{model}/{validFrom}",
  tags,
  operationId: "putPrice",
  summary: "Add a price, or correct the one of this model and moment; calls counted before keep their cost",
  request: { params, ...body(priceBody) },
  responses: { 200: json(priceSchema, "The price as it counts from now on.") },
});

const remove = bareChangeRoute("admin", {
  method: "delete",
  path: "/v1/prices/{model}/{validFrom}",
  tags,
  operationId: "deletePrice",
  summary: "Remove an added price; a built-in one that it stood for counts again",
  request: { params },
  responses: { 204: { description: "Removed." } },
});

export function priceRoutes(): Api {
  return createApi()
    .openapi(list, async (c) => {
      const { items } = await listPrices(c.get("ctx"));
      return c.json({ items: items.map(shown) }, 200);
    })
    .openapi(put, async (c) => {
      const { model, validFrom } = c.req.valid("param");
      const { reason, ...given } = c.req.valid("json");
      const row: PriceRow = {
        model,
        validFrom,
        rates: picoRates(given.usdPerMillion),
        ...(given.aliases !== undefined && { aliases: given.aliases }),
        ...(given.long !== undefined && {
          long: { abovePromptTokens: given.long.abovePromptTokens, rates: picoRates(given.long.usdPerMillion) },
        }),
        ...(given.fastUsdPerMillion !== undefined && { fast: picoRates(given.fastUsdPerMillion) }),
        usPremium: given.usPremium,
      };
      return c.json(shown(await putPrice(c.get("ctx"), row, reason)), 200);
    })
    .openapi(remove, async (c) => {
      const { model, validFrom } = c.req.valid("param");
      await deletePrice(c.get("ctx"), model, validFrom);
      return c.body(null, 204);
    });
}

function shown({ row, source, addedBy, addedAt }: PriceResource): z.infer<typeof priceSchema> {
  const { model, validFrom, aliases, rates, long, fast, usPremium } = row;
  return {
    model,
    validFrom,
    aliases: [...(aliases ?? [])],
    usdPerMillion: usdRates(rates),
    long:
      long === undefined ? null : { abovePromptTokens: long.abovePromptTokens, usdPerMillion: usdRates(long.rates) },
    fastUsdPerMillion: fast === undefined ? null : usdRates(fast),
    usPremium,
    source,
    addedBy,
    addedAt,
  };
}

function picoRates(rates: Rates): Rates {
  return eachRate(rates, (usd) => Math.round(usd * PICO_PER_USD_PER_MILLION));
}

function usdRates(rates: Rates): Rates {
  return eachRate(rates, (pico) => pico / PICO_PER_USD_PER_MILLION);
}

function eachRate(rates: Rates, convert: (rate: number) => number): Rates {
  return {
    input: convert(rates.input),
    output: convert(rates.output),
    cacheWrite5m: convert(rates.cacheWrite5m),
    cacheWrite1h: convert(rates.cacheWrite1h),
    cacheRead: convert(rates.cacheRead),
  };
}

/** Whole but for the last bits of a product of floats. */
function isWhole(value: number): boolean {
  return Math.abs(value - Math.round(value)) < 1e-3;
}
