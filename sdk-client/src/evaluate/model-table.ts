/** What one environment knows of model names, with what each costs. Pure. */
import { canonicalModel } from "../pricing/model-id.ts";
import { findPriceRow, type PriceTable, priceTable } from "../pricing/price-table.ts";
import type { PricedModel } from "../wire/protocol.ts";
import { type ModelNames, type NameFacts, namesOf } from "./model-names.ts";

/** Base rates in pico-USD per token: what models are compared by. */
export interface BaseRates {
  input: number;
  output: number;
}

export interface ModelTable extends ModelNames {
  /** Null without a price. `atMs` is Unix time in milliseconds. */
  readonly ratesOf: (id: string, atMs: number) => BaseRates | null;
  /** The built-in prices, and those of the snapshot over them. */
  readonly prices: () => PriceTable;
}

export interface ModelFacts extends Omit<NameFacts, "prices"> {
  /** Rows over the built-in list, or a table that has them already. */
  prices?: readonly PricedModel[] | PriceTable | undefined;
}

export function modelTable({ prices = [], ...facts }: ModelFacts): ModelTable {
  if (!("byModel" in prices)) return withPrices(namesOf({ ...facts, prices }), () => priceTable(prices).table);
  const rows = [...prices.byModel.values()].flatMap((dated) => dated.map(({ row }) => row));
  const aliases = Array.from(prices.modelByAlias.keys(), (model) => ({ model }));
  return withPrices(namesOf({ ...facts, prices: [...rows, ...aliases] }), () => prices);
}

/** The same names with their prices; most tables are never asked for one, so that `makeTable` is called by the first. */
export function withPrices(names: ModelNames, makeTable: () => PriceTable): ModelTable {
  let prices: Prices | null = null;
  const pricesNow = (): Prices => (prices ??= pricesOf(makeTable()));
  return {
    ...names,
    ratesOf: (id, atMs) => {
      const { table, idByName } = pricesNow();
      const known = idByName.get(names.nameOf(id));
      const row = findPriceRow(table, id, atMs) ?? (known === undefined ? null : findPriceRow(table, known, atMs));
      return row === null ? null : { input: row.rates.input, output: row.rates.output };
    },
    prices: () => pricesNow().table,
  };
}

/** True when `a` costs more than `b`: by the base output rate, then by input. Nothing is dearer than an unknown price. */
export function isDearer(a: BaseRates | null, b: BaseRates | null): boolean {
  if (a === null || b === null) return false;
  return a.output === b.output ? a.input > b.input : a.output > b.output;
}

interface Prices {
  table: PriceTable;
  /** An id of the table by the name it is compared by. */
  idByName: ReadonlyMap<string, string>;
}

function pricesOf(table: PriceTable): Prices {
  const idByName = new Map<string, string>();
  // Later ones win: the plain name before an alias, an alias before a dated id.
  for (const model of table.byModel.keys()) idByName.set(canonicalModel(model), model);
  for (const [alias, model] of table.modelByAlias) idByName.set(canonicalModel(alias), model);
  for (const model of table.byModel.keys()) if (canonicalModel(model) === model) idByName.set(model, model);
  return { table, idByName };
}
