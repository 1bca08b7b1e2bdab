/** Prices by the vectors in test/vectors/price.json, computed with exact fractions from the published list. */
import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_RATE_PICO_USD_PER_TOKEN, type PriceRow } from "../../../sdk-client/src/wire/price-row.ts";
import { PRICE_LIST } from "../../../sdk-client/src/pricing/price-list.ts";
import { priceTable } from "../../../sdk-client/src/pricing/price-table.ts";
import { MAX_COST_NANO_USD, type PricedCall, priceUsage } from "../../../sdk-client/src/pricing/price.ts";
import {
  MAX_TOKENS_PER_CLASS,
  MAX_WEB_SEARCHES,
  NO_USAGE,
  type TokenUsage,
} from "../../../sdk-client/src/wire/usage-protocol.ts";
import { promptTokens } from "../../../sdk-client/src/pricing/usage.ts";

interface Vector extends Omit<PricedCall, "atMs"> {
  name: string;
  at: string;
  costNanoUsd: number;
  known: boolean;
}

const vectors: Vector[] = JSON.parse(readFileSync(new URL("../../vectors/price.json", import.meta.url), "utf8"));
const { table } = priceTable();
const at = Date.UTC(2026, 10, 20);

/** The models with a vector of this kind. */
const covered = (wanted: (vector: Vector) => boolean) =>
  new Set(vectors.filter((vector) => vector.known && wanted(vector)).map((vector) => vector.model));

describe("the price of a call", () => {
  it.each(vectors)("$name", ({ at: when, costNanoUsd, known, ...call }) => {
    expect(priceUsage(table, { ...call, atMs: Date.parse(when) })).toMatchObject({ costNanoUsd, known });
  });

  it("has a vector for every model of the list, and for every modifier", () => {
    for (const row of PRICE_LIST) {
      for (const id of [row.model, ...(row.aliases ?? [])]) expect(covered(() => true)).toContain(id);
      expect(covered((vector) => vector.batch === true)).toContain(row.model);
      expect(covered((vector) => vector.geo === "us")).toContain(row.model);
      if (row.fast !== undefined) expect(covered((vector) => vector.fast === true)).toContain(row.model);
      const threshold = row.long?.abovePromptTokens ?? Number.POSITIVE_INFINITY;
      if (row.long !== undefined) {
        expect(covered((vector) => promptTokens(vector.usage) > threshold)).toContain(row.model);
      }
    }
  });

  it("names the row that was applied, and none when the price is not known", () => {
    const usage = { ...NO_USAGE, input: 1 };
    expect(priceUsage(table, { model: "claude-opus-4-0", atMs: at, usage }).row?.model).toBe("claude-opus-4");
    expect(priceUsage(table, { model: "claude-opus-9", atMs: at, usage }).row).toBeNull();
  });

  it("is that of the first row, for a call before it", () => {
    const usage = { ...NO_USAGE, cacheRead: 1_000 };
    expect(priceUsage(table, { model: "claude-sonnet-5-5", atMs: 0, usage })).toMatchObject({
      costNanoUsd: 200_000,
      known: true,
    });
  });

  it("looks at the largest prompt when the usage is a sum of several calls", () => {
    const usage = { ...NO_USAGE, input: 300_000 };
    const call = { model: "claude-haiku-5-5", atMs: at, usage };
    expect(priceUsage(table, { ...call, promptTokens: 60_000 }).costNanoUsd).toBe(300_000 * 100);
    expect(priceUsage(table, call).costNanoUsd).toBe(300_000 * 500);
  });

  it("refuses a count that is not a whole number within its bounds", () => {
    for (const input of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, MAX_TOKENS_PER_CLASS + 1]) {
      expect(() => priceUsage(table, { model: "claude-opus-5-5", atMs: at, usage: { ...NO_USAGE, input } })).toThrow(
        RangeError,
      );
    }
  });
});

const tokens = fc.oneof(fc.integer({ min: 0, max: 300_000 }), fc.integer({ min: 0, max: MAX_TOKENS_PER_CLASS }));
const anyUsage: fc.Arbitrary<TokenUsage> = fc.record({
  input: tokens,
  output: tokens,
  cacheWrite5m: tokens,
  cacheWrite1h: tokens,
  cacheRead: tokens,
  webSearches: fc.integer({ min: 0, max: MAX_WEB_SEARCHES }),
});
const rate = fc.integer({ min: 0, max: MAX_RATE_PICO_USD_PER_TOKEN });
const anyRates = fc.record({
  input: rate,
  output: rate,
  cacheWrite5m: rate,
  cacheWrite1h: rate,
  cacheRead: rate,
});

describe("for any usage and any rates", () => {
  it("the cost is the exact sum, rounded up once", () => {
    fc.assert(
      fc.property(anyUsage, anyRates, fc.boolean(), fc.boolean(), (usage, rates, batch, us) => {
        const row: PriceRow = { model: "m", validFrom: "2026-01-01", rates, usPremium: true };
        const price = priceUsage(priceTable([row]).table, {
          model: "m",
          atMs: at,
          usage,
          batch,
          geo: us ? "us" : "global",
        });
        const sum =
          BigInt(usage.input) * BigInt(rates.input) +
          BigInt(usage.output) * BigInt(rates.output) +
          BigInt(usage.cacheWrite5m) * BigInt(rates.cacheWrite5m) +
          BigInt(usage.cacheWrite1h) * BigInt(rates.cacheWrite1h) +
          BigInt(usage.cacheRead) * BigInt(rates.cacheRead);
        // In 1/20,000 of a nano-USD: 1,000 for pico, 10 for the premium, 2 for the batch.
        const scaled = sum * (us ? 11n : 10n) * (batch ? 1n : 2n);
        const cost = BigInt(price.costNanoUsd - usage.webSearches * 10_000_000);
        expect(cost * 20_000n >= scaled && (cost - 1n) * 20_000n < scaled).toBe(true);
      }),
    );
  });

  it("the cost stays a safe integer, up to the largest record at the largest rate", () => {
    expect(Number.isSafeInteger(MAX_COST_NANO_USD)).toBe(true);
    const all = { input: 1, output: 1, cacheWrite5m: 1, cacheWrite1h: 1, cacheRead: 1 };
    const most = (value: number) => Object.fromEntries(Object.keys(all).map((name) => [name, value]));
    const row = { model: "m", validFrom: "2026-01-01", rates: most(MAX_RATE_PICO_USD_PER_TOKEN), usPremium: true };
    const usage = { ...NO_USAGE, ...most(MAX_TOKENS_PER_CLASS), webSearches: MAX_WEB_SEARCHES };
    const price = priceUsage(priceTable([row]).table, { model: "m", atMs: at, usage, geo: "us" });
    expect(price.costNanoUsd).toBe(MAX_COST_NANO_USD);
  });

  it("an unknown model costs at least what every known model costs", () => {
    const models = fc.constantFrom(...PRICE_LIST.map((row) => row.model));
    fc.assert(
      fc.property(anyUsage, models, fc.boolean(), fc.boolean(), (usage, model, fast, us) => {
        const call = { atMs: at, usage, fast, geo: us ? "us" : "global" };
        const unknown = priceUsage(table, { ...call, model: "claude-opus-9" });
        expect(unknown.costNanoUsd).toBeGreaterThanOrEqual(priceUsage(table, { ...call, model }).costNanoUsd);
      }),
    );
  });
});
