/** The calls of a flag by the model that was sent, and what they would have cost at another one: what previews are made of. */
import { and, eq, gte, sql, type SQLWrapper } from "drizzle-orm";
import { priceUsage } from "../../../sdk-client/src/pricing/price.ts";
import type { PriceTable } from "../../../sdk-client/src/pricing/price-table.ts";
import { usageMinutes } from "../../db/schema/usage.ts";
import type { Db } from "../../db/types.ts";

export interface ModelSums {
  model: string;
  attempts: number;
  nanoUsd: number;
  input: number;
  output: number;
  cacheWrite5m: number;
  cacheWrite1h: number;
  cacheRead: number;
}

/** @param sinceMs the beginning of a minute, Unix time in milliseconds */
export async function modelSums(db: Db, environmentId: string, flag: string, sinceMs: number): Promise<ModelSums[]> {
  return db
    .select({
      model: usageMinutes.model,
      attempts: total(usageMinutes.attempts),
      nanoUsd: total(sql`${usageMinutes.exactNanoUsd} + ${usageMinutes.estimatedNanoUsd}`),
      input: total(usageMinutes.input),
      output: total(usageMinutes.output),
      cacheWrite5m: total(usageMinutes.cacheWrite5m),
      cacheWrite1h: total(usageMinutes.cacheWrite1h),
      cacheRead: total(usageMinutes.cacheRead),
    })
    .from(usageMinutes)
    .where(
      and(
        eq(usageMinutes.environmentId, environmentId),
        eq(usageMinutes.flag, flag),
        gte(usageMinutes.minute, new Date(sinceMs)),
      ),
    )
    .groupBy(usageMinutes.model);
}

const total = (column: SQLWrapper) => sql`sum(${column})`.mapWith(Number);

/** By the ratio of what an average call costs at both models: discounts stay, and thresholds see one call's prompt. */
export function costAt(table: PriceTable, sums: ModelSums, to: string, nowMs: number): number {
  const each = (count: number): number => Math.ceil(count / Math.max(1, sums.attempts));
  const usage = {
    input: each(sums.input),
    output: each(sums.output),
    cacheWrite5m: each(sums.cacheWrite5m),
    cacheWrite1h: each(sums.cacheWrite1h),
    cacheRead: each(sums.cacheRead),
    webSearches: 0,
  };
  const [was, then] = [sums.model, to].map((model) => priceUsage(table, { model, atMs: nowMs, usage }).costNanoUsd);
  return was === undefined || then === undefined || was === 0 ? sums.nanoUsd : (sums.nanoUsd * then) / was;
}
