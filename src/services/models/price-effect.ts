/**
 * What a price that begins in the past leaves as it is: calls that were counted before the row was there keep their cost.
 * Told to whoever sets it, beside what they would about cost by it.
 */
import { asc, inArray, sql } from "drizzle-orm";
import { findPriceRow, type PriceTable } from "../../../sdk-client/src/pricing/price-table.ts";
import { parseInstant } from "../../../sdk-client/src/wire/instant.ts";
import type { PriceRow, Rates } from "../../../sdk-client/src/wire/price-row.ts";
import { WEB_SEARCH_NANO_USD } from "../../../sdk-client/src/pricing/price.ts";
import { TOKEN_CLASSES, type TokenClass } from "../../../sdk-client/src/wire/usage-protocol.ts";
import type { CountedBefore } from "../../api/price.ts";
import { usageMinutes } from "../../db/schema/usage.ts";
import { environments } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";
import { GRAINS, piecesOf, type Span } from "../../domain/rollups.ts";
import { totalOf } from "../../domain/total.ts";
import { rolledSpan, usageOf } from "../usage/rollups.ts";

const MINUTE_MS = 60_000;
const PICO_PER_NANO = 1_000n;

interface Corrected {
  row: PriceRow;
  /** All rows without and with the new one. */
  before: PriceTable;
  after: PriceTable;
  nowMs: number;
}

/** Of all environments, as far back as the ledger is kept; null when no call is concerned. */
export async function countedBefore(db: Db, corrected: Corrected): Promise<CountedBefore | null> {
  const { row, before, after, nowMs } = corrected;
  const span = spanOf(row, after, nowMs);
  if (span === null) return null;
  let attempts = 0;
  let counted = 0n;
  let atThisPrice = 0n;
  for (const { id } of await db.select({ id: environments.id }).from(environments).orderBy(asc(environments.id))) {
    for (const sums of await sumsOf(
      db,
      id,
      span,
      (model) => findPriceRow(after, model, span.fromMs)?.model === row.model,
    )) {
      attempts += sums.attempts;
      counted += sums.costNanoUsd;
      const old = findPriceRow(before, sums.model, span.fromMs);
      atThisPrice +=
        old === null
          ? costOf(sums, row.rates) + BigInt(sums.webSearches) * BigInt(WEB_SEARCH_NANO_USD)
          : sums.costNanoUsd + costOf(sums, row.rates) - costOf(sums, old.rates);
    }
  }
  if (attempts === 0) return null;
  return {
    from: new Date(span.fromMs).toISOString(),
    to: new Date(span.untilMs).toISOString(),
    attempts,
    countedNanoUsd: totalOf(String(counted)),
    atThisPriceNanoUsd: totalOf(String(atThisPrice < 0n ? 0n : atThisPrice)),
  };
}

/** From the row's beginning to the next row of its model, at most until now; in whole minutes. */
function spanOf(row: PriceRow, after: PriceTable, nowMs: number): Span | null {
  const fromMs = Math.ceil((parseInstant(row.validFrom) ?? nowMs) / MINUTE_MS) * MINUTE_MS;
  const later = (after.byModel.get(row.model) ?? []).filter((other) => other.fromMs > fromMs);
  // The minute that runs is looked at too.
  const untilMs = Math.min(nowMs + 1, ...later.map((other) => other.fromMs));
  return fromMs < untilMs ? { fromMs, untilMs } : null;
}

interface ModelSums extends Record<TokenClass, bigint> {
  model: string;
  attempts: number;
  webSearches: number;
  costNanoUsd: bigint;
}

async function sumsOf(
  db: Db,
  environmentId: string,
  span: Span,
  isMeant: (model: string) => boolean,
): Promise<ModelSums[]> {
  const pieces = piecesOf(span, await rolledSpan(db, environmentId), GRAINS);
  const used = await db
    .selectDistinct({ model: sql<string>`${usageMinutes.model}` })
    .from(usageOf(environmentId, pieces));
  const models = used.map(({ model }) => model).filter(isMeant);
  if (models.length === 0) return [];
  return db
    .select({
      model: sql<string>`${usageMinutes.model}`,
      attempts: sql`sum(${usageMinutes.attempts})`.mapWith(Number),
      webSearches: sql`sum(${usageMinutes.webSearches})`.mapWith(Number),
      costNanoUsd: sql`sum(${usageMinutes.exactNanoUsd} + ${usageMinutes.estimatedNanoUsd})::text`.mapWith(BigInt),
      input: whole(usageMinutes.input),
      output: whole(usageMinutes.output),
      cacheWrite5m: whole(usageMinutes.cacheWrite5m),
      cacheWrite1h: whole(usageMinutes.cacheWrite1h),
      cacheRead: whole(usageMinutes.cacheRead),
    })
    .from(usageOf(environmentId, pieces))
    .where(inArray(usageMinutes.model, models))
    .groupBy(sql`1`);
}

function whole(column: (typeof usageMinutes)[TokenClass]) {
  return sql`sum(${column})::text`.mapWith(BigInt);
}

/** Of the tokens alone, in nano-USD. */
function costOf(sums: ModelSums, rates: Rates): bigint {
  return TOKEN_CLASSES.reduce((pico, name) => pico + sums[name] * BigInt(rates[name]), 0n) / PICO_PER_NANO;
}
