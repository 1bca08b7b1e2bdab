/**
 * What caching and batches would save of what was spent, by the base rates of each model. Pure. Bounds under stated
 * assumptions, not promises: which prompts repeat, and what may wait for a batch, nobody knows but the application.
 */
import { findPriceRow, type PriceTable } from "../../sdk-client/src/pricing/price-table.ts";
import { WEB_SEARCH_NANO_USD } from "../../sdk-client/src/pricing/price.ts";
import { TOKEN_CLASSES, type TokenClass } from "../../sdk-client/src/wire/usage-protocol.ts";

const PICO_PER_NANO = 1_000n;
const BATCH_DIVISOR = 2n;
const TENTH = 10n;
/** Of ten parts that go through a cache one is written to it, for 5 minutes, and nine are read. */
const READ_PARTS = 9n;

export const CACHING_ASSUMPTION =
  "Caching: of the input that was sent uncached a further tenth goes through a cache of 5 minutes, one part in ten written and nine read.";
export const BATCHES_ASSUMPTION =
  "Batches: whatever was not in a batch costs half in one, answers within 24 hours instead of at once, and has no fast mode.";
export const RATES_ASSUMPTION =
  "By the base rates of each model at the end of the span; a model without a price saves nothing. A bound, not a promise: which prompts repeat and which calls can wait, the application knows.";

/** What one flag used of one model. */
export interface ModelUse {
  flag: string;
  model: string;
  costNanoUsd: bigint;
  webSearches: number;
  tokens: Record<TokenClass, bigint>;
}

export interface Savings {
  costNanoUsd: bigint;
  /** Input, cache writes and cache reads, and what of it was read from a cache. */
  promptTokens: bigint;
  cachedTokens: bigint;
  /** What each further tenth of the input that is not cached would save, see {@link CACHING_ASSUMPTION}. */
  perTenthCachedNanoUsd: bigint;
  /** What would be saved at most, were every call that is not in a batch in one. */
  batchesNanoUsd: bigint;
}

export const NO_SAVINGS: Savings = {
  costNanoUsd: 0n,
  promptTokens: 0n,
  cachedTokens: 0n,
  perTenthCachedNanoUsd: 0n,
  batchesNanoUsd: 0n,
};

/** @param atMs when prices are looked at, Unix time in milliseconds; a model without one saves nothing */
export function savingsOf(use: ModelUse, table: PriceTable, atMs: number): Savings {
  const { tokens, costNanoUsd } = use;
  const { input, cacheWrite5m, cacheWrite1h, cacheRead } = tokens;
  const used = { costNanoUsd, promptTokens: input + cacheWrite5m + cacheWrite1h + cacheRead, cachedTokens: cacheRead };
  const rates = findPriceRow(table, use.model, atMs)?.rates;
  if (rates === undefined) return { ...NO_SAVINGS, ...used };
  const cached = (BigInt(rates.cacheWrite5m) + READ_PARTS * BigInt(rates.cacheRead)) / (READ_PARTS + 1n);
  const cheaper = atLeastZero(BigInt(rates.input) - cached);
  const base = TOKEN_CLASSES.reduce((sum, name) => sum + tokens[name] * BigInt(rates[name]), 0n) / PICO_PER_NANO;
  const spent = costNanoUsd - BigInt(use.webSearches) * BigInt(WEB_SEARCH_NANO_USD);
  // What was in batches already has cost half of its base, which is told by what was spent below it.
  const notInBatches = spent < base ? 2n * spent - base : spent;
  return {
    ...used,
    perTenthCachedNanoUsd: (input * cheaper) / TENTH / PICO_PER_NANO,
    batchesNanoUsd: atLeastZero(notInBatches) / BATCH_DIVISOR,
  };
}

export function plusSavings(a: Savings, b: Savings): Savings {
  return {
    costNanoUsd: a.costNanoUsd + b.costNanoUsd,
    promptTokens: a.promptTokens + b.promptTokens,
    cachedTokens: a.cachedTokens + b.cachedTokens,
    perTenthCachedNanoUsd: a.perTenthCachedNanoUsd + b.perTenthCachedNanoUsd,
    batchesNanoUsd: a.batchesNanoUsd + b.batchesNanoUsd,
  };
}

function atLeastZero(value: bigint): bigint {
  return value < 0n ? 0n : value;
}
