/** The calls of an environment's last day that had no price and have none now. */
import { and, asc, eq, gt, gte, ne, sql } from "drizzle-orm";
import { findPriceRow } from "../../../sdk-client/src/pricing/price-table.ts";
import { priceRows, usageMinutes } from "../../db/schema/usage.ts";
import type { Db } from "../../db/types.ts";
import { OTHER } from "../../domain/other.ts";
import { type UnpricedCalls, unpricedOf } from "../../domain/unpriced.ts";
import { readPrices } from "./price-rows.ts";

/** A model that was not called for so long is not told of any more. */
const SPAN_MS = 24 * 3_600_000;

/** By model. What came under more names than are counted apart has no model that could be given a price. */
export async function unpricedCalls(db: Db, environmentId: string, nowMs: number): Promise<UnpricedCalls[]> {
  const rows = await db
    .select({
      model: usageMinutes.model,
      calls: sql`sum(${usageMinutes.unpriced})`.mapWith(Number),
      nanoUsd: sql`sum(${usageMinutes.exactNanoUsd} + ${usageMinutes.estimatedNanoUsd})`.mapWith(Number),
      last: sql`max(${usageMinutes.minute})`.mapWith(usageMinutes.minute),
    })
    .from(usageMinutes)
    .where(
      and(
        eq(usageMinutes.environmentId, environmentId),
        gte(usageMinutes.minute, new Date(nowMs - SPAN_MS)),
        gt(usageMinutes.unpriced, 0),
        ne(usageMinutes.model, OTHER),
      ),
    )
    .groupBy(usageMinutes.model)
    .orderBy(asc(usageMinutes.model));
  if (rows.length === 0) return [];
  const table = await readPrices(db);
  const added = await db.select({ row: priceRows.row, at: priceRows.createdAt }).from(priceRows);
  return rows.flatMap(({ model, calls, nanoUsd, last }): UnpricedCalls[] => {
    const unpriced = unpricedOf(table, model, nowMs);
    if (unpriced === null) return [];
    if (!unpriced.fast) return [{ ...unpriced, calls, nanoUsd }];
    // Its calls may be from before the model was given its price, and none of them fast.
    const priced = findPriceRow(table, model, nowMs)?.model;
    const isSince = added.every(({ row, at }) => row.model !== priced || at < last);
    return isSince ? [{ ...unpriced, calls, nanoUsd: null }] : [];
  });
}
