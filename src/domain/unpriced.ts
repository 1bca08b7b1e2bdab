/** Calls that had no price, so that they were counted at the dearest rate: in words for on-call. Pure. */
import { findPriceRow, type PriceTable } from "../../sdk-client/src/pricing/price-table.ts";
import { usd } from "./alert-text.ts";

/** What has no price: a model, or the fast mode of one that has. */
export interface Unpriced {
  model: string;
  fast: boolean;
}

/** Of the last day. */
export interface UnpricedCalls extends Unpriced {
  calls: number;
  /** What they were counted at; null for fast mode, whose calls the ledger does not tell from others of the model. */
  nanoUsd: number | null;
}

/** Names of models said in one alert; the rest is counted. */
const MAX_SAID = 10;

/** What of a model's calls has no price at a moment; null when all of it has one. */
export function unpricedOf(table: PriceTable, model: string, atMs: number): Unpriced | null {
  const row = findPriceRow(table, model, atMs);
  if (row === null) return { model, fast: false };
  return row.fast === undefined ? { model, fast: true } : null;
}

export function sameUnpriced(a: Unpriced, b: Unpriced): boolean {
  return a.model === b.model && a.fast === b.fast;
}

export function unpricedTitle(all: readonly Unpriced[]): string {
  const [first] = all;
  if (all.length !== 1 || first === undefined) {
    return `${all.length} models have no price: their calls count at the dearest rate`;
  }
  return `${nameOf(first)} has no price: its calls count at the dearest rate`;
}

/** "12 calls of gpt-9 had no price and were counted at the dearest rate, $3.40." */
export function unpricedText(all: readonly UnpricedCalls[]): string {
  const said = all.slice(0, MAX_SAID).map((one) => {
    const calls = `${one.calls} ${one.calls === 1 ? "call" : "calls"} of ${nameOf(one)}`;
    return one.nanoUsd === null ? calls : `${calls} (${usd(one.nanoUsd)})`;
  });
  const more = all.length - said.length;
  const list = `${said.join(", ")}${more > 0 ? ` and those of ${more} more models` : ""}`;
  return `Without a price, and so counted at the dearest rate: ${list}.`;
}

/** What to do, for the alert that tells of it at once. */
export function addPriceText(): string {
  return " Add a price: it counts from then on; what was counted is not priced anew.";
}

function nameOf({ model, fast }: Unpriced): string {
  return fast ? `the fast mode of ${model}` : model;
}
