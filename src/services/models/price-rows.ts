/** The prices in force: the built-in list with what operators added. The one place that makes a table of the rows. */
import { asc, sql } from "drizzle-orm";
import type { PriceRow } from "../../../sdk-client/src/wire/price-row.ts";
import { type PriceTable, priceTable } from "../../../sdk-client/src/pricing/price-table.ts";
import { jsonRows } from "../../db/json-rows.ts";
import { priceRows } from "../../db/schema/usage.ts";
import type { Db } from "../../db/types.ts";

/** Read anew for each use: a price counts from the transaction after the one that changed it. */
export async function readPrices(db: Db): Promise<PriceTable> {
  return priceTableOf(
    await db.select({ row: priceRows.row }).from(priceRows).orderBy(asc(priceRows.createdAt), asc(priceRows.id)),
  );
}

/** A column for any query: what `priceTableOf` takes. */
export function priceColumn() {
  return jsonRows({ row: priceRows.row }, sql`from ${priceRows}`, [priceRows.createdAt, priceRows.id]);
}

export function priceTableOf(rows: readonly { row: PriceRow }[]): PriceTable {
  return priceTable(rows.map(({ row }) => row)).table;
}
