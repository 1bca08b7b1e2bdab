/**
 * Our prices beside those of `@pydantic/genai-prices`, a price library kept by others: equal for every model it knows,
 * except for the differences listed here. A difference that goes away, or a new one, fails.
 */
import { calcPrice } from "@pydantic/genai-prices";
import { describe, expect, it } from "vitest";
import { PRICE_LIST } from "../../../sdk-client/src/pricing/price-list.ts";
import { priceTable } from "../../../sdk-client/src/pricing/price-table.ts";
import { priceUsage } from "../../../sdk-client/src/pricing/price.ts";
import { promptTokens } from "../../../sdk-client/src/pricing/usage.ts";
import type { TokenUsage } from "../../../sdk-client/src/wire/usage-protocol.ts";

const { table } = priceTable();
const atMs = Date.UTC(2026, 10, 20);
const short: TokenUsage = {
  input: 1237,
  output: 611,
  cacheWrite5m: 409,
  cacheWrite1h: 307,
  cacheRead: 10_007,
  webSearches: 0,
};
const long: TokenUsage = { ...short, input: 250_000 };

/** Models that the library does not know, or takes for another one. */
const DIFFERENCES: Record<string, { short: string | null; long: string | null }> = {
  "claude-fable-5-2": { short: "unknown", long: "unknown" },
  "claude-mythos-5-2": { short: "unknown", long: "unknown" },
  "claude-mythos-5-1": { short: "unknown", long: "unknown" },
  "claude-mythos-5": { short: "unknown", long: "unknown" },
  "claude-haiku-5-5": { short: "unknown", long: "unknown" },
  // By prefix it is taken for claude-sonnet-5, whose cache reads cost 0.20 instead of 0.10.
  "claude-sonnet-5-5": { short: "claude-sonnet-5", long: "claude-sonnet-5" },
  // The library has no price above 200,000 tokens for it.
  "claude-sonnet-4": { short: null, long: "claude-sonnet-4-0" },
};

function theirs(model: string, usage: TokenUsage): { model: string; costNanoUsd: number } | null {
  const price = calcPrice(
    {
      // Its input tokens include what was written to and read from caches.
      input_tokens: promptTokens(usage),
      cache_write_tokens: usage.cacheWrite5m + usage.cacheWrite1h,
      cache_write_1h_tokens: usage.cacheWrite1h,
      cache_read_tokens: usage.cacheRead,
      output_tokens: usage.output,
      web_searches: usage.webSearches,
    },
    model,
    { providerId: "anthropic", timestamp: new Date(atMs) },
  );
  return price && { model: price.model.id, costNanoUsd: price.total_price * 1e9 };
}

function compare(model: string, usage: TokenUsage): string | null {
  const other = theirs(model, usage);
  if (other === null) return "unknown";
  const ours = priceUsage(table, { model, atMs, usage }).costNanoUsd;
  // They add in floats and do not round.
  return Math.abs(ours - other.costNanoUsd) < 1 ? null : other.model;
}

describe("beside genai-prices", () => {
  it.each([...new Set(PRICE_LIST.map((row) => row.model))])("%s costs the same, or differs as listed", (model) => {
    expect({ short: compare(model, short), long: compare(model, long) }).toEqual(
      DIFFERENCES[model] ?? { short: null, long: null },
    );
  });

  it.each(PRICE_LIST.flatMap((row) => row.aliases ?? []))("the alias %s is the same model", (alias) => {
    expect(compare(alias, short)).toBeNull();
  });

  it("web searches cost the same", () => {
    expect(compare("claude-opus-5-5", { ...short, webSearches: 3 })).toBeNull();
  });

  it("it overcharges cache reads of claude-sonnet-5-5 by the prefix, twice ours since 2026-10-07", () => {
    const reads = { ...short, input: 0, output: 0, cacheWrite5m: 0, cacheWrite1h: 0, cacheRead: 1_000_000 };
    expect(theirs("claude-sonnet-5-5", reads)?.costNanoUsd).toBeCloseTo(200_000_000, 0);
    expect(priceUsage(table, { model: "claude-sonnet-5-5", atMs, usage: reads }).costNanoUsd).toBe(100_000_000);
  });
});
