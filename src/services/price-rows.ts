/** The prices in force: the built-in list with what operators added. The one place that makes a table of the rows. */
import { asc } from "drizzle-orm";
import { type PriceTable, priceTable } from "../../sdk-client/src/price-table.ts";
import { priceRows } from "../db/ledger-schema.ts";
import type { Db } from "../db/types.ts";

/** Read anew for each use: a price counts from the transaction after the one that changed it. */
export async function readPrices(db: Db): Promise<PriceTable> {
  const rows = await db
    .select({ row: priceRows.row })
    .from(priceRows)
    .orderBy(asc(priceRows.createdAt), asc(priceRows.id));
  return priceTable(rows.map(({ row }) => row)).table;
}
