/**
 * What looks like a slip in a price that somebody types. Pure. None of it is impossible: whoever means it says so
 * (`unusual`), and it is taken.
 */
import type { PriceRow, Rates } from "../../sdk-client/src/wire/price-row.ts";
import { TOKEN_CLASSES } from "../../sdk-client/src/wire/usage-protocol.ts";

/** A price that changes by this factor is oftener a decimal point than a price. */
const LEAP = 10;
const YEAR_MS = 366 * 86_400_000;
/** Before any model of the built-in list. */
const EARLIEST_MS = Date.UTC(2023, 0, 1);

/** Where it is in the input, and what is odd. */
export interface Oddity {
  path: string;
  message: string;
}

/**
 * @param before the row in force for the model at `fromMs` so far; null: it had no price
 * @param fromMs the row's `validFrom`, Unix time in milliseconds
 */
export function oddities(row: PriceRow, before: PriceRow | null, fromMs: number, nowMs: number): Oddity[] {
  const { rates, long, fast } = row;
  const found: [path: string, message: string][] = [];
  const odd = (path: string, isOdd: boolean, message: string): void => {
    if (isOdd) found.push([path, message]);
  };
  odd(
    "usdPerMillion",
    TOKEN_CLASSES.every((name) => rates[name] === 0),
    "makes every call free.",
  );
  odd("usdPerMillion.output", rates.output < rates.input, "is less than the input's.");
  odd("usdPerMillion.cacheRead", rates.cacheRead > rates.input, "is more than the input's.");
  odd("usdPerMillion.cacheWrite1h", rates.cacheWrite1h < rates.cacheWrite5m, "is less than that of 5 minutes.");
  for (const name of TOKEN_CLASSES) {
    const was = before?.rates[name] ?? 0;
    const isLeap = was > 0 && (rates[name] >= was * LEAP || rates[name] * LEAP <= was);
    odd(`usdPerMillion.${name}`, isLeap, `is ${LEAP} times more or less than the ${usdText(was)} USD before it.`);
    odd(`fastUsdPerMillion.${name}`, isLess(fast, rates, name), "is less than without fast mode.");
    odd(`long.usdPerMillion.${name}`, isLess(long?.rates, rates, name), "is less than for a short prompt.");
  }
  odd("validFrom", fromMs > nowMs + YEAR_MS, "is more than a year ahead.");
  odd("validFrom", fromMs < EARLIEST_MS, "is before 2023, when there was no such model.");
  return found.map(([path, message]) => ({ path, message }));
}

/**
 * What the price so far has and this row, which takes its place, has not any more.
 * @param soFar the row in force for the model at the row's `validFrom`; null: it had no price
 * @param lostAliases names that would have no price by this row
 */
export function removals(row: PriceRow, soFar: PriceRow | null, lostAliases: readonly string[]): Oddity[] {
  const has = "is removed, and the price so far has it:";
  return [
    ...(soFar?.fast !== undefined && row.fast === undefined
      ? [{ path: "fastUsdPerMillion", message: `${has} calls in fast mode would count at the dearest rate.` }]
      : []),
    ...(soFar?.long !== undefined && row.long === undefined
      ? [{ path: "long", message: `${has} long prompts would count as short ones.` }]
      : []),
    ...(lostAliases.length > 0
      ? [{ path: "aliases", message: `loses ${lostAliases.join(", ")}, which would have no price.` }]
      : []),
  ];
}

function isLess(rates: Rates | undefined, than: Rates, name: keyof Rates): boolean {
  return rates !== undefined && rates[name] < than[name];
}

/** Rates are pico-USD per token: a million of them is a dollar per million tokens. */
function usdText(pico: number): string {
  return String(pico / 1_000_000);
}
