/**
 * The prices of the bill's endpoint: its own table, by which the product's is judged. One part of a call is summed exactly and
 * rounded up to a nano-USD once.
 */

/** The classes of a prompt's tokens, as positions in {@link Rates}. */
export const INPUT = 0;
export const WRITE_5M = 2;
export const WRITE_1H = 3;
export const READ = 4;

/** Nano-USD per token: input, output, cache writes for 5 minutes and for an hour, cache reads. */
type Rates = readonly [number, number, number, number, number];

interface Price {
  rates: Rates;
  /** Of prompts above so many tokens. */
  long?: { above: number; rates: Rates };
  fast?: Rates;
  /** US-only inference costs a tenth more. */
  us?: boolean;
}

const REGIONAL = "us.anthropic.";
export const WEB_SEARCH_NANO_USD = 10_000_000;

const PRICES: Readonly<Record<string, Price>> = {
  "claude-opus-5-5": {
    rates: [4_000, 20_000, 5_000, 8_000, 200],
    fast: [8_000, 40_000, 10_000, 16_000, 400],
    us: true,
  },
  "claude-sonnet-5-5": { rates: [2_000, 10_000, 2_500, 4_000, 100], us: true },
  "claude-fable-5-2": {
    rates: [8_000, 40_000, 10_000, 16_000, 200],
    fast: [16_000, 80_000, 20_000, 32_000, 400],
    us: true,
  },
  "claude-haiku-4-5": { rates: [1_000, 5_000, 1_250, 2_000, 100] },
  "claude-haiku-5-5": {
    rates: [100, 500, 125, 200, 10],
    long: { above: 100_000, rates: [500, 2_500, 625, 1_000, 50] },
    us: true,
  },
  "claude-sonnet-4-5": {
    rates: [3_000, 15_000, 3_750, 6_000, 300],
    long: { above: 200_000, rates: [6_000, 22_500, 7_500, 12_000, 600] },
  },
  // Nobody knows it: it costs what the dearest of all does.
  "claude-nova-9": { rates: [15_000, 75_000, 18_750, 30_000, 1_500], us: true },
};

export const isRegional = (model: string): boolean => model.startsWith(REGIONAL);
const priceOfModel = (model: string): Price | undefined => PRICES[model.replace(REGIONAL, "").replace("-v1:0", "")];

/** Whether it can be served so fast. */
export function hasFast(model: string): boolean {
  return !isRegional(model) && priceOfModel(model)?.fast !== undefined;
}

/** A prompt's tokens, and the class they are told and billed in. */
export interface Prompt {
  tokens: number;
  as: typeof INPUT | typeof WRITE_5M | typeof WRITE_1H | typeof READ;
}

export interface Part {
  model: string;
  prompt: Prompt;
  output: number;
  searches: number;
  fast: boolean;
  us: boolean;
  batch: boolean;
}

/** Whole nano-USD. */
export function billOf({ model, prompt, output, searches, fast, us, batch }: Part): number {
  const price = priceOfModel(model);
  if (price === undefined) throw new Error(`the endpoint has no price for ${model}`);
  const isLong = price.long !== undefined && prompt.tokens > price.long.above;
  const rates =
    fast && price.fast !== undefined ? price.fast : isLong ? (price.long?.rates ?? price.rates) : price.rates;
  const isDearer = isRegional(model) || (us && price.us === true);
  const nanoUsd = (prompt.tokens * rates[prompt.as] + output * rates[1]) * (isDearer ? 11 : 1);
  const divisor = (isDearer ? 10 : 1) * (batch ? 2 : 1);
  return Math.ceil(nanoUsd / divisor) + searches * WEB_SEARCH_NANO_USD;
}
