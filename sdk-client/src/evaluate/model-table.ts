/**
 * What one environment knows of model names: which are one model, which are blocked, what each costs. Pure. Invariant:
 * names are compared here and nowhere by their text, so that guard, snapshot and board give one answer.
 */
import { canonicalModel, saysItsModel } from "../pricing/model-id.ts";
import type { PriceRow } from "../wire/price-row.ts";
import type { SnapshotBreaker } from "../wire/protocol.ts";
import { findPriceRow, type PriceTable, priceTable } from "../pricing/price-table.ts";

/** Base rates in pico-USD per token: what models are compared by. */
export interface BaseRates {
  input: number;
  output: number;
}

export interface ModelTable {
  /** The name a model id is compared by: that of its alias, or its canonical form. */
  readonly nameOf: NameOf;
  /** False for a name that says nothing about its model: neither mapped nor priced, and no Claude model's. */
  readonly isReadable: (id: string) => boolean;
  /** True for a blocked model, and while any model is blocked for every name that cannot be read. */
  readonly isBlocked: (id: string) => boolean;
  /** Some model is blocked. */
  readonly hasBlocks: boolean;
  /** A breaker has taken some model out. */
  readonly hasBreakers: boolean;
  /** The place of a model among those that a breaker has taken out, the oldest first; -1 for one that is in use. */
  readonly outAt: (id: string) => number;
  /** Whether a call with this luck, from 0 up to 1, may use the model: all may while no breaker has taken it out. */
  readonly admits: (id: string, luck: number) => boolean;
  /** Null without a price. `atMs` is Unix time in milliseconds. */
  readonly ratesOf: (id: string, atMs: number) => BaseRates | null;
  /** Prompt sizes above which some price goes up, in tokens, ascending. */
  readonly promptThresholds: () => readonly number[];
  /** The built-in prices, and those of the snapshot over them. */
  readonly prices: () => PriceTable;
}

export interface ModelFacts {
  /** Ids of blocked models, in any spelling. */
  blocked: Iterable<string>;
  /** Those that a breaker has taken out, the oldest first. */
  breakers?: readonly SnapshotBreaker[] | undefined;
  /** Model by opaque name. */
  aliases?: Readonly<Record<string, string>> | undefined;
  /** Rows over the built-in list, or a table that has them already. */
  prices?: readonly PriceRow[] | PriceTable | undefined;
}

/** The name that a model id is compared by. */
export type NameOf = (id: string) => string;

/** What makes two ids one model, whatever is blocked and whatever it costs. */
export function modelNames(aliases?: Readonly<Record<string, string>>): NameOf {
  const realModel = realModels(aliases);
  return (id) => canonicalModel(realModel(id));
}

/** The model behind a name: that of its mapping, or the name itself. */
export function realModels(aliases: Readonly<Record<string, string>> = {}): (id: string) => string {
  const mapped = byKey(aliases);
  return (id) => (mapped.size === 0 ? id : (mapped.get(aliasKey(id)) ?? id));
}

export function modelTable(facts: ModelFacts): ModelTable {
  const aliases = byKey(facts.aliases ?? {});
  const nameOf = modelNames(facts.aliases);
  const blocked = new Set(Array.from(facts.blocked, nameOf));
  const breakers = (facts.breakers ?? []).map(({ model, probeShare }) => ({ name: nameOf(model), probeShare }));
  const outAt = (id: string): number => {
    if (breakers.length === 0) return -1;
    const name = nameOf(id);
    return breakers.findIndex((breaker) => breaker.name === name);
  };
  // Most tables are never asked for a price.
  let prices: Prices | null = null;
  const pricesNow = (): Prices => (prices ??= pricesOf(facts.prices ?? []));
  const isReadable = (id: string): boolean =>
    aliases.has(aliasKey(id)) || saysItsModel(nameOf(id)) || pricesNow().idByName.has(nameOf(id));
  return {
    nameOf,
    isReadable,
    hasBlocks: blocked.size > 0,
    hasBreakers: breakers.length > 0,
    isBlocked: (id) => blocked.size > 0 && (blocked.has(nameOf(id)) || !isReadable(id)),
    outAt,
    admits: (id, luck) => luck < (breakers[outAt(id)]?.probeShare ?? Infinity),
    ratesOf: (id, atMs) => {
      const { table, idByName } = pricesNow();
      const known = idByName.get(nameOf(id));
      const row = findPriceRow(table, id, atMs) ?? (known === undefined ? null : findPriceRow(table, known, atMs));
      return row === null ? null : { input: row.rates.input, output: row.rates.output };
    },
    promptThresholds: () => pricesNow().table.promptThresholds,
    prices: () => pricesNow().table,
  };
}

/** True when `a` costs more than `b`: by the base output rate, then by input. Nothing is dearer than an unknown price. */
export function isDearer(a: BaseRates | null, b: BaseRates | null): boolean {
  if (a === null || b === null) return false;
  return a.output === b.output ? a.input > b.input : a.output > b.output;
}

/** Names of clouds are not told apart by case or by spaces around them. */
export function aliasKey(name: string): string {
  return name.trim().toLowerCase();
}

function byKey(aliases: Readonly<Record<string, string>>): ReadonlyMap<string, string> {
  return new Map(Object.entries(aliases).map(([name, model]) => [aliasKey(name), model]));
}

interface Prices {
  table: PriceTable;
  /** An id of the table by the name it is compared by. */
  idByName: ReadonlyMap<string, string>;
}

function pricesOf(given: readonly PriceRow[] | PriceTable): Prices {
  const table = "byModel" in given ? given : priceTable(given).table;
  const idByName = new Map<string, string>();
  // Later ones win: the plain name before an alias, an alias before a dated id.
  for (const model of table.byModel.keys()) idByName.set(canonicalModel(model), model);
  for (const [alias, model] of table.modelByAlias) idByName.set(canonicalModel(alias), model);
  for (const model of table.byModel.keys()) if (canonicalModel(model) === model) idByName.set(model, model);
  return { table, idByName };
}
