/**
 * The published prices of Claude models, as known on 2026-11-20.
 * Invariant: every class of tokens has its own rate in every row. Cache rates are not a fixed multiple of input.
 */

import type { PriceRow, Rates } from "../wire/price-row.ts";

/** `validFrom` of a price whose beginning does not matter. */
const ALWAYS = "2023-01-01";

/** Rates from published figures in USD per million tokens, in the order of the price list. */
export function usdPerMillion(
  input: number,
  output: number,
  cacheWrite5m: number,
  cacheWrite1h: number,
  cacheRead: number,
): Rates {
  return {
    input: pico(input),
    output: pico(output),
    cacheWrite5m: pico(cacheWrite5m),
    cacheWrite1h: pico(cacheWrite1h),
    cacheRead: pico(cacheRead),
  };
}

function pico(usdPerMillionTokens: number): number {
  return Math.round(usdPerMillionTokens * 1e6);
}

const FABLE_5_2 = { rates: usdPerMillion(8, 40, 10, 16, 0.2), fast: usdPerMillion(16, 80, 20, 32, 0.4) };
const FABLE_5_1 = usdPerMillion(10, 50, 12.5, 20, 0.25);
const FABLE_5 = usdPerMillion(10, 50, 12.5, 20, 1);
const OPUS = usdPerMillion(5, 25, 6.25, 10, 0.5);
const OPUS_FAST = usdPerMillion(10, 50, 12.5, 20, 1);
const OPUS_4 = usdPerMillion(15, 75, 18.75, 30, 1.5);
const SONNET_4 = usdPerMillion(3, 15, 3.75, 6, 0.3);
const SONNET_4_LONG = { abovePromptTokens: 200_000, rates: usdPerMillion(6, 22.5, 7.5, 12, 0.6) };

/** One row per model and price change, newest models first. */
export const PRICE_LIST: readonly PriceRow[] = [
  // From third parties: the provider's own list did not have it yet.
  { model: "claude-fable-5-2", validFrom: ALWAYS, ...FABLE_5_2, usPremium: true },
  // Assumed: SDK 1.14 names it, and each Mythos has cost what its Fable costs.
  { model: "claude-mythos-5-2", validFrom: ALWAYS, ...FABLE_5_2, usPremium: true },
  { model: "claude-fable-5-1", validFrom: ALWAYS, rates: FABLE_5_1, usPremium: true },
  { model: "claude-mythos-5-1", validFrom: ALWAYS, rates: FABLE_5_1, usPremium: true },
  { model: "claude-fable-5", validFrom: ALWAYS, rates: FABLE_5, usPremium: true },
  { model: "claude-mythos-5", validFrom: ALWAYS, rates: FABLE_5, usPremium: true },
  {
    model: "claude-opus-5-5",
    validFrom: ALWAYS,
    rates: usdPerMillion(4, 20, 5, 8, 0.2),
    fast: usdPerMillion(8, 40, 10, 16, 0.4),
    usPremium: true,
  },
  { model: "claude-opus-5", validFrom: ALWAYS, rates: OPUS, fast: OPUS_FAST, usPremium: true },
  { model: "claude-opus-4-8", validFrom: ALWAYS, rates: OPUS, fast: OPUS_FAST, usPremium: true },
  { model: "claude-opus-4-7", validFrom: ALWAYS, rates: OPUS, usPremium: true },
  { model: "claude-opus-4-6", validFrom: ALWAYS, rates: OPUS, usPremium: true },
  {
    model: "claude-opus-4-5",
    aliases: ["claude-opus-4-5-20251101"],
    validFrom: ALWAYS,
    rates: OPUS,
    usPremium: false,
  },
  {
    model: "claude-opus-4-1",
    aliases: ["claude-opus-4-1-20250805"],
    validFrom: ALWAYS,
    rates: OPUS_4,
    usPremium: false,
    regionalPremium: false,
  },
  {
    model: "claude-opus-4",
    aliases: ["claude-opus-4-0", "claude-opus-4-20250514"],
    validFrom: ALWAYS,
    rates: OPUS_4,
    usPremium: false,
    regionalPremium: false,
  },
  {
    model: "claude-sonnet-5-5",
    validFrom: ALWAYS,
    rates: usdPerMillion(2, 10, 2.5, 4, 0.2),
    usPremium: true,
  },
  {
    model: "claude-sonnet-5-5",
    validFrom: "2026-10-07",
    rates: usdPerMillion(2, 10, 2.5, 4, 0.1),
    usPremium: true,
  },
  { model: "claude-sonnet-5", validFrom: ALWAYS, rates: usdPerMillion(2, 10, 2.5, 4, 0.2), usPremium: true },
  { model: "claude-sonnet-4-6", validFrom: ALWAYS, rates: SONNET_4, usPremium: true },
  {
    model: "claude-sonnet-4-5",
    aliases: ["claude-sonnet-4-5-20250929"],
    validFrom: ALWAYS,
    rates: SONNET_4,
    long: SONNET_4_LONG,
    usPremium: false,
  },
  {
    model: "claude-sonnet-4",
    aliases: ["claude-sonnet-4-0", "claude-sonnet-4-20250514"],
    validFrom: ALWAYS,
    rates: SONNET_4,
    long: SONNET_4_LONG,
    usPremium: false,
    regionalPremium: false,
  },
  {
    model: "claude-haiku-5-5",
    validFrom: ALWAYS,
    rates: usdPerMillion(0.1, 0.5, 0.125, 0.2, 0.01),
    long: { abovePromptTokens: 100_000, rates: usdPerMillion(0.5, 2.5, 0.625, 1, 0.05) },
    usPremium: true,
  },
  {
    model: "claude-haiku-4-5",
    aliases: ["claude-haiku-4-5-20251001"],
    validFrom: ALWAYS,
    rates: usdPerMillion(1, 5, 1.25, 2, 0.1),
    usPremium: false,
  },
  {
    model: "claude-3-5-haiku",
    aliases: ["claude-3-5-haiku-latest", "claude-3-5-haiku-20241022"],
    validFrom: ALWAYS,
    rates: usdPerMillion(0.8, 4, 1, 1.6, 0.08),
    usPremium: false,
    regionalPremium: false,
  },
  {
    model: "claude-3-haiku",
    aliases: ["claude-3-haiku-20240307"],
    validFrom: ALWAYS,
    rates: usdPerMillion(0.25, 1.25, 0.3, 0.5, 0.03),
    usPremium: false,
    regionalPremium: false,
  },
];
