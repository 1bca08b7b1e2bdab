/**
 * The one pricer: what a call cost, for the server's ledger and for a client that enforces a lease.
 * Invariant: one call's cost is summed exactly in pico-USD and rounded up to a nano-USD once; no float ever holds money.
 */
import { MAX_RATE_PICO_USD_PER_TOKEN, type PriceRow, type Rates } from "../wire/price-row.ts";
import { spellsRegion } from "./model-id.ts";
import { findPriceRow, type PriceTable } from "./price-table.ts";
import { byTokenClass, MAX_TOKENS_PER_CLASS, MAX_WEB_SEARCHES, type TokenUsage } from "../wire/usage-protocol.ts";
import { promptTokens } from "./usage.ts";

/** 10 USD per 1,000 requests. Web fetch is free. */
export const WEB_SEARCH_NANO_USD = 10_000_000;
const PICO_PER_NANO = 1_000;
/** Half price. */
const BATCH_DIVISOR = 2;
/** US-only inference, and regional endpoints of the clouds: 11/10. */
const PLACE_NUMERATOR = 11;
const PLACE_DENOMINATOR = 10;
/** How `geo` names the region of a cloud's endpoint: `cloud:europe-west1`. */
const CLOUD_REGION = "cloud:";

/**
 * No cost can leave the safe integers: five classes at the largest count and the largest rate, with a place's premium, and
 * all web searches.
 */
export const MAX_COST_NANO_USD =
  ((5 * MAX_TOKENS_PER_CLASS) / PICO_PER_NANO) * ((MAX_RATE_PICO_USD_PER_TOKEN / PLACE_DENOMINATOR) * PLACE_NUMERATOR) +
  MAX_WEB_SEARCHES * WEB_SEARCH_NANO_USD;

export interface PricedCall {
  /** The model that answered: an exact id of the table. */
  model: string;
  /** Unix time in milliseconds: which row was in force. */
  atMs: number;
  usage: TokenUsage;
  batch?: boolean;
  fast?: boolean;
  /** `usage.inference_geo`, of which only `us` has a price of its own, or the {@link cloudRegion} of a regional endpoint. */
  geo?: string | null;
  /**
   * The prompt that thresholds look at, when `usage` is the sum of several calls: the largest prompt among them.
   * Left out, the prompt of `usage`.
   */
  promptTokens?: number;
}

export interface Price {
  /** Whole nano-USD (1e-9 USD). */
  costNanoUsd: number;
  /** False: no price is known for this model or its fast mode, and the dearest known rates were taken. */
  known: boolean;
  /** The row that was applied, null when the price is not known. */
  row: PriceRow | null;
}

/**
 * What a call cost. An unknown model is never free: it costs the dearest known rate of each class.
 * @throws RangeError when a count of `usage` is not a whole number within the bounds of `usage.ts`
 */
export function priceUsage(table: PriceTable, call: PricedCall): Price {
  const { usage } = call;
  checkUsage(usage);
  const fast = call.fast === true;
  const row = findPriceRow(table, call.model, call.atMs);
  const rates = row === null ? null : ratesFor(row, fast, call.promptTokens ?? promptTokens(usage));
  const tokens = tokensCost(usage, rates ?? dearestRates(table, fast), {
    place: hasPlacePremium(call, row),
    // The Batches API has no fast mode: a record that claims both gets no discount.
    batch: call.batch === true && !fast,
  });
  return {
    costNanoUsd: tokens + usage.webSearches * WEB_SEARCH_NANO_USD,
    known: rates !== null,
    row: rates === null ? null : row,
  };
}

/** What `geo` says of a call to a cloud's regional endpoint; its price is the global one and a tenth. */
export function cloudRegion(region: string): string {
  return `${CLOUD_REGION}${region}`;
}

/** An unknown model counts as a new one, and new ones cost more where the place is bound. Premiums do not add up. */
function hasPlacePremium({ model, geo }: PricedCall, row: PriceRow | null): boolean {
  if (isUs(geo) && (row?.usPremium ?? true)) return true;
  const isRegional = geo?.startsWith(CLOUD_REGION) === true || spellsRegion(model);
  if (!isRegional || row === null) return isRegional;
  // A row for an id of one region has that region's price.
  return (row.regionalPremium ?? true) && !spellsRegion(row.model);
}

function ratesFor(row: PriceRow, fast: boolean, prompt: number): Rates | null {
  if (fast) return row.fast ?? null;
  return row.long !== undefined && prompt > row.long.abovePromptTokens ? row.long.rates : row.rates;
}

interface Dearest {
  standard: Rates;
  fast: Rates;
}

const dearest = new WeakMap<PriceTable, Dearest>();

/** The highest rate of each class in any row of the table, long prompts included; with or without fast mode. */
function dearestRates(table: PriceTable, fast: boolean): Rates {
  const known = dearest.get(table) ?? findDearest(table);
  dearest.set(table, known);
  return fast ? known.fast : known.standard;
}

function findDearest(table: PriceTable): Dearest {
  const rows = [...table.byModel.values()].flatMap((list) => list.map(({ row }) => row));
  const standard = rows.flatMap(({ rates, long }) => (long === undefined ? [rates] : [rates, long.rates]));
  const fast = rows.flatMap((row) => row.fast ?? []);
  return { standard: highest(standard), fast: highest([...standard, ...fast]) };
}

function highest(rates: readonly Rates[]): Rates {
  return byTokenClass((name) => Math.max(...rates.map((rate) => rate[name])));
}

function isUs(geo: string | null | undefined): boolean {
  return geo?.toLowerCase() === "us";
}

function tokensCost(usage: TokenUsage, rates: Rates, modifiers: { place: boolean; batch: boolean }): number {
  const numerator = modifiers.place ? PLACE_NUMERATOR : 1;
  const divisor = PICO_PER_NANO * (modifiers.place ? PLACE_DENOMINATOR : 1) * (modifiers.batch ? BATCH_DIVISOR : 1);
  const scaled =
    (usage.input * rates.input +
      usage.output * rates.output +
      usage.cacheWrite5m * rates.cacheWrite5m +
      usage.cacheWrite1h * rates.cacheWrite1h +
      usage.cacheRead * rates.cacheRead) *
    numerator;
  // All terms are positive, so a result among the safe integers proves that every step on the way was exact.
  if (scaled <= Number.MAX_SAFE_INTEGER) {
    const rest = scaled % divisor;
    return (scaled - rest) / divisor + (rest > 0 ? 1 : 0);
  }
  const exact =
    (BigInt(usage.input) * BigInt(rates.input) +
      BigInt(usage.output) * BigInt(rates.output) +
      BigInt(usage.cacheWrite5m) * BigInt(rates.cacheWrite5m) +
      BigInt(usage.cacheWrite1h) * BigInt(rates.cacheWrite1h) +
      BigInt(usage.cacheRead) * BigInt(rates.cacheRead)) *
    BigInt(numerator);
  const by = BigInt(divisor);
  return Number((exact + by - 1n) / by);
}

function checkUsage(usage: TokenUsage): void {
  checkCount("input", usage.input, MAX_TOKENS_PER_CLASS);
  checkCount("output", usage.output, MAX_TOKENS_PER_CLASS);
  checkCount("cacheWrite5m", usage.cacheWrite5m, MAX_TOKENS_PER_CLASS);
  checkCount("cacheWrite1h", usage.cacheWrite1h, MAX_TOKENS_PER_CLASS);
  checkCount("cacheRead", usage.cacheRead, MAX_TOKENS_PER_CLASS);
  checkCount("webSearches", usage.webSearches, MAX_WEB_SEARCHES);
}

function checkCount(name: string, value: number, max: number): void {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new RangeError(`usage.${name} must be a whole number from 0 to ${max}, got ${value}`);
  }
}
