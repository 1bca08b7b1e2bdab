/**
 * A price table: the built-in price list with the rows of operators over it, made ready for lookups by exact id.
 * Invariant: a row that cannot be read is refused with its path and changes nothing; the other rows stand.
 */
import { parseInstant } from "../wire/instant.ts";
import { canonicalModel, plainModel } from "./model-id.ts";
import { PRICE_LIST } from "./price-list.ts";
import { type PriceRow, isPriceRow, type PriceRowFault } from "../wire/price-row.ts";

/** Rows accepted beside the price list. */
export const MAX_EXTRA_PRICE_ROWS = 1_000;

interface DatedRow {
  row: PriceRow;
  fromMs: number;
}

export interface PriceTable {
  /** Rows by model, newest first. */
  readonly byModel: ReadonlyMap<string, readonly DatedRow[]>;
  readonly modelByAlias: ReadonlyMap<string, string>;
  /** Prompt sizes above which some price goes up, in tokens, ascending. */
  readonly promptThresholds: readonly number[];
}

export interface RefusedPriceRow {
  /** Where in the given rows, such as `[3].rates.output`. */
  path: string;
  message: string;
}

/**
 * The built-in rows and `extra` over them: a row with the model and `validFrom` of another replaces it, any other is
 * added. Each extra row is checked; a bad one is listed in `refused` and left out. Never throws.
 */
export function priceTable(extra: readonly unknown[] = []): { table: PriceTable; refused: RefusedPriceRow[] } {
  const refused: RefusedPriceRow[] = [];
  const rows = new Map<string, DatedRow>();
  const aliases = new Map<string, string>();
  const put = (row: PriceRow, fromMs: number): void => {
    rows.set(`${row.model} ${fromMs}`, { row, fromMs });
    for (const alias of row.aliases ?? []) aliases.set(alias, row.model);
  };
  for (const row of PRICE_LIST) put(row, parseInstant(row.validFrom) ?? 0);
  for (const [position, value] of extra.entries()) {
    const report = (fault: PriceRowFault): void => {
      refused.push({ path: `[${position}]${fault.path}`, message: fault.message });
    };
    if (position >= MAX_EXTRA_PRICE_ROWS) report({ path: "", message: `at most ${MAX_EXTRA_PRICE_ROWS} rows` });
    else if (isPriceRow(value, aliases, report)) put(value, parseInstant(value.validFrom) ?? 0);
  }
  return { table: build([...rows.values()], aliases), refused };
}

/**
 * The row in force for a model at a moment, null when neither the id nor the model that it spells is in the table.
 * @param atMs Unix time in milliseconds
 */
export function findPriceRow(table: PriceTable, model: string, atMs: number): PriceRow | null {
  const id = pricedId(table, model);
  const rows = id === null ? undefined : table.byModel.get(id);
  if (rows === undefined) return null;
  // Before the first row (a wrong clock, a corrected date) the first row is nearer to the truth than the dearest rate.
  return (rows.find((entry) => entry.fromMs <= atMs) ?? rows.at(-1))?.row ?? null;
}

/** All rows of some models, for a snapshot: with them a client prices these models as this table does. */
export function priceRowsOf(table: PriceTable, models: Iterable<string>): PriceRow[] {
  const wanted = new Set<string>();
  for (const model of models) wanted.add(pricedId(table, model) ?? model);
  return [...wanted].flatMap((model) => (table.byModel.get(model) ?? []).map((entry) => entry.row));
}

/**
 * The id that a model's rows stand under. A dated snapshot is known by its listing alone; Google's `@date` names one
 * of a model too, so that an unlisted date is that model.
 */
function pricedId(table: PriceTable, model: string): string | null {
  const listed = listedId(table, model) ?? listedId(table, plainModel(model));
  return listed ?? (model.includes("@") ? listedId(table, canonicalModel(model)) : null);
}

/** An id with rows of its own beats the same id as an alias: a snapshot can be given a price of its own. */
function listedId(table: PriceTable, id: string): string | null {
  return table.byModel.has(id) ? id : (table.modelByAlias.get(id) ?? null);
}

function build(rows: readonly DatedRow[], modelByAlias: ReadonlyMap<string, string>): PriceTable {
  const byModel = new Map<string, DatedRow[]>();
  for (const entry of rows) {
    const list = byModel.get(entry.row.model);
    if (list === undefined) byModel.set(entry.row.model, [entry]);
    else list.push(entry);
  }
  for (const list of byModel.values()) list.sort((a, b) => b.fromMs - a.fromMs);
  const thresholds = new Set(rows.flatMap(({ row }) => row.long?.abovePromptTokens ?? []));
  return {
    byModel,
    modelByAlias,
    promptThresholds: [...thresholds].toSorted((a, b) => a - b),
  };
}
