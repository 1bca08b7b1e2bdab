/**
 * What caching and batches would save of what was spent, by the base rates of each model. Pure. Bounds, not promises: which
 * prompts repeat, and what may wait for a batch, nobody knows but the application.
 */
import { findPriceRow, type PriceTable } from "../../sdk-client/src/pricing/price-table.ts";
import { WEB_SEARCH_NANO_USD } from "../../sdk-client/src/pricing/price.ts";
import { TOKEN_CLASSES, type TokenClass } from "../../sdk-client/src/wire/usage-protocol.ts";

const PICO_PER_NANO = 1_000n;
const BATCH_DIVISOR = 2n;
const TENTH = 10n;

export interface ModelUse {
  model: string;
  costNanoUsd: bigint;
  webSearches: number;
  tokens: Record<TokenClass, bigint>;
}

export interface Savings {
  /** Input, cache writes and cache reads, and what of it was read from a cache. */
  promptTokens: bigint;
  cachedTokens: bigint;
  /** What each tenth of the input that is not cached would save, were it read from a cache. */
  perTenthCachedNanoUsd: bigint;
  /** What would be saved at most, were every call that is not in a batch in one. */
  batchesNanoUsd: bigint;
}

/** @param atMs when prices are looked at, Unix time in milliseconds; a model without one saves nothing */
export function savingsOf(uses: readonly ModelUse[], table: PriceTable, atMs: number): Savings {
  const savings = { promptTokens: 0n, cachedTokens: 0n, perTenthCachedNanoUsd: 0n, batchesNanoUsd: 0n };
  for (const { model, tokens, costNanoUsd, webSearches } of uses) {
    const { input, cacheWrite5m, cacheWrite1h, cacheRead } = tokens;
    savings.promptTokens += input + cacheWrite5m + cacheWrite1h + cacheRead;
    savings.cachedTokens += cacheRead;
    const rates = findPriceRow(table, model, atMs)?.rates;
    if (rates === undefined) continue;
    const cheaper = BigInt(Math.max(0, rates.input - rates.cacheRead));
    savings.perTenthCachedNanoUsd += (input * cheaper) / TENTH / PICO_PER_NANO;
    const base = TOKEN_CLASSES.reduce((sum, name) => sum + tokens[name] * BigInt(rates[name]), 0n) / PICO_PER_NANO;
    const spent = costNanoUsd - BigInt(webSearches) * BigInt(WEB_SEARCH_NANO_USD);
    // What was in batches already has cost half of that.
    const left = spent - base / BATCH_DIVISOR;
    if (left > 0n) savings.batchesNanoUsd += left;
  }
  return savings;
}
