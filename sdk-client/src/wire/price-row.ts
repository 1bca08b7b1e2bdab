/**
 * What a price row is and what it must be, for those of operators and those of a snapshot. Pure. Invariant: a row that passes can be
 * priced by without overflow and without a second look.
 */
import { parseInstant } from "./instant.ts";
import { isObject } from "./json.ts";
import { TOKEN_CLASSES, type TokenClass } from "./usage-protocol.ts";

/** Integer pico-USD (1e-12 USD) per token: 1 USD per million tokens is 1,000,000. */
export type Rates = Record<TokenClass, number>;

/** What a model costs from a moment on, until a later row of the same model. */
export interface PriceRow {
  /** The exact id. Ids are never compared by prefix: `claude-sonnet-5-5` is not a kind of `claude-sonnet-5`. */
  model: string;
  /** Other exact ids of the same model, such as dated snapshots. */
  aliases?: readonly string[];
  /** ISO 8601, UTC when only a date. A call before a model's first row is priced by that row. */
  validFrom: string;
  rates: Rates;
  /** In force for all tokens of a call whose prompt (input, cache writes, cache reads) is larger than this. */
  long?: { abovePromptTokens: number; rates: Rates };
  /** Rates of fast mode, absent for a model without one. */
  fast?: Rates;
  /** True when US-only inference costs 1.1 times as much. */
  usPremium: boolean;
  /** False when regional endpoints of the clouds cost no more than global ones: models before the 4.5 generation. */
  regionalPremium?: boolean;
}

/** Rates above this (1,000 USD per million tokens) are refused as typing errors; it also bounds the arithmetic. */
export const MAX_RATE_PICO_USD_PER_TOKEN = 1_000_000_000;
export const MAX_PRICE_ALIASES = 32;
const MAX_MODEL_ID_CHARS = 128;
const MAX_THRESHOLD_TOKENS = 1_000_000_000;

/** What is wrong with a row, and where in it, such as `.rates.output`. */
export interface PriceRowFault {
  path: string;
  message: string;
}

/** True for a whole and sound row; else the first fault is reported. `aliases` has the owner of each alias so far. */
export function isPriceRow(
  value: unknown,
  aliases: ReadonlyMap<string, string>,
  report: (fault: PriceRowFault) => void,
): value is PriceRow {
  const fault = rowFault(value, aliases);
  if (fault !== null) report(fault);
  return fault === null;
}

function rowFault(value: unknown, aliases: ReadonlyMap<string, string>): PriceRowFault | null {
  if (!isObject(value)) return { path: "", message: "must be an object" };
  const { model, validFrom, long, fast } = value;
  if (!isModelId(model)) return { path: ".model", message: modelIdRule };
  // Only text: a row travels as JSON, and a zone-less time would mean another moment on each machine.
  if (typeof validFrom !== "string" || parseInstant(validFrom) === null) {
    return { path: ".validFrom", message: "must be an ISO 8601 date, or a time with its zone" };
  }
  if (typeof value["usPremium"] !== "boolean") return { path: ".usPremium", message: "must be true or false" };
  if (typeof (value["regionalPremium"] ?? true) !== "boolean") {
    return { path: ".regionalPremium", message: "must be true or false" };
  }
  return (
    aliasFault(value["aliases"], model, aliases) ??
    ratesFault(value["rates"], ".rates") ??
    (long === undefined ? null : longFault(long)) ??
    (fast === undefined ? null : ratesFault(fast, ".fast"))
  );
}

const modelIdRule = `must be a model id of 1 to ${MAX_MODEL_ID_CHARS} characters`;

function aliasFault(value: unknown, model: string, aliases: ReadonlyMap<string, string>): PriceRowFault | null {
  if (value === undefined) return null;
  if (!Array.isArray(value) || value.length > MAX_PRICE_ALIASES) {
    return { path: ".aliases", message: `must be a list of at most ${MAX_PRICE_ALIASES} ids` };
  }
  for (const [index, alias] of value.entries()) {
    if (!isModelId(alias)) return { path: `.aliases[${index}]`, message: modelIdRule };
    const owner = aliases.get(alias);
    if (owner !== undefined && owner !== model) {
      return { path: `.aliases[${index}]`, message: `is already an alias of ${owner}` };
    }
  }
  return null;
}

function longFault(value: unknown): PriceRowFault | null {
  if (!isObject(value)) return { path: ".long", message: "must be an object" };
  if (!isWhole(value["abovePromptTokens"], MAX_THRESHOLD_TOKENS)) {
    return { path: ".long.abovePromptTokens", message: `must be a whole number from 0 to ${MAX_THRESHOLD_TOKENS}` };
  }
  return ratesFault(value["rates"], ".long.rates");
}

function ratesFault(value: unknown, path: string): PriceRowFault | null {
  if (!isObject(value)) return { path, message: "must be an object with a rate for each class of tokens" };
  for (const name of TOKEN_CLASSES) {
    if (!isWhole(value[name], MAX_RATE_PICO_USD_PER_TOKEN)) {
      const message = `must be a whole number of pico-USD per token from 0 to ${MAX_RATE_PICO_USD_PER_TOKEN}`;
      return { path: `${path}.${name}`, message };
    }
  }
  return null;
}

function isModelId(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= MAX_MODEL_ID_CHARS;
}

function isWhole(value: unknown, max: number): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value <= max;
}
