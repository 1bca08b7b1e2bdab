/**
 * The hot SQL of the ledger: one statement per table for a whole transaction's worth of records. Rows are written in the
 * order of their keys, so that two servers never wait for each other in a circle.
 */
import { and, eq, sql } from "drizzle-orm";
import { budgetWindows } from "../../db/schema/budgets.ts";
import { usageBatches } from "../../db/schema/usage.ts";
import { returnedRows } from "../../db/returned-rows.ts";
import type { Db } from "../../db/types.ts";
import type { MinuteSums, PricedRecord } from "../../domain/ledger.ts";

export interface BatchRow {
  batchId: string;
  accepted: number;
  rejected: { index: number; path: string; message: string }[];
}

/**
 * Claims the batches: those answered are counted by this transaction and no other. One that another transaction is
 * writing is waited for.
 */
export async function claimBatches(
  tx: Db,
  environmentId: string,
  batches: readonly BatchRow[],
  at: Date,
): Promise<Set<string>> {
  const rows = batches.toSorted((a, b) => (a.batchId < b.batchId ? -1 : 1));
  // One parameter for all rows: there may be more batches than a statement has parameters.
  const claimed = await tx.execute(sql`
    insert into usage_batches (environment_id, batch_id, received_at, accepted, rejected)
    select ${environmentId}, v."batchId", ${at.toISOString()}::timestamptz, v.accepted, v.rejected
    from jsonb_to_recordset(cast(${JSON.stringify(rows)} as text)::jsonb) as v("batchId" text, accepted integer,
      rejected jsonb)
    on conflict do nothing
    returning batch_id`);
  return new Set(returnedRows(claimed).map((row) => String(row["batch_id"])));
}

/**
 * The records without those that count once and have been counted, by this transaction or another. One that another
 * transaction is writing is waited for.
 */
export async function withoutCounted(
  tx: Db,
  environmentId: string,
  records: PricedRecord[],
  at: Date,
): Promise<PricedRecord[]> {
  const ids = new Set(records.flatMap(({ record }) => (record.once === true ? [record.id] : [])));
  if (ids.size === 0) return records;
  const claimed = await tx.execute(sql`
    insert into usage_once (environment_id, id, at)
    select ${environmentId}, id, ${at.toISOString()}::timestamptz
    from jsonb_array_elements_text(cast(${JSON.stringify([...ids].toSorted())} as text)::jsonb) as id
    on conflict do nothing
    returning id`);
  const fresh = new Set(returnedRows(claimed).map((row) => String(row["id"])));
  // The first of each counts; what is taken out of the set is not fresh any more.
  return records.filter(({ record }) => record.once !== true || fresh.delete(record.id));
}

/** Writes down what was rejected of a claimed batch after all. */
export async function amendBatch(tx: Db, environmentId: string, batch: BatchRow): Promise<void> {
  await tx
    .update(usageBatches)
    .set({ accepted: batch.accepted, rejected: batch.rejected })
    .where(and(eq(usageBatches.environmentId, environmentId), eq(usageBatches.batchId, batch.batchId)));
}

/** What was answered for batches that were counted before. */
export async function readBatches(tx: Db, environmentId: string, batchIds: readonly string[]): Promise<BatchRow[]> {
  if (batchIds.length === 0) return [];
  return tx
    .select({ batchId: usageBatches.batchId, accepted: usageBatches.accepted, rejected: usageBatches.rejected })
    .from(usageBatches)
    .where(
      and(
        eq(usageBatches.environmentId, environmentId),
        sql`${usageBatches.batchId} in (select jsonb_array_elements_text(cast(${JSON.stringify(batchIds)} as text)::jsonb))`,
      ),
    );
}

/** Adds to the minute sums. */
export async function addMinutes(tx: Db, environmentId: string, sums: readonly MinuteSums[]): Promise<void> {
  if (sums.length === 0) return;
  const rows = sums.map((sum) => ({
    ...sum,
    exactNanoUsd: String(sum.exactNanoUsd),
    estimatedNanoUsd: String(sum.estimatedNanoUsd),
  }));
  await tx.execute(sql`
    insert into usage_minutes as known (environment_id, minute, flag, model, calls, attempts, errors, aborted, refused,
      input, output, cache_write_5m, cache_write_1h, cache_read, web_searches, exact_nano_usd, estimated_nano_usd,
      unpriced, ended, cut, largest_tokens, latency)
    select ${environmentId}, to_timestamp(v."minuteMs" / 1000.0), v.flag, v.model, v.calls, v.attempts, v.errors,
      v.aborted, v.refused, v.input, v.output, v."cacheWrite5m", v."cacheWrite1h", v."cacheRead", v."webSearches",
      v."exactNanoUsd", v."estimatedNanoUsd", v.unpriced, v.ended, v.cut, v."largestTokens", v.latency
    from jsonb_to_recordset(cast(${JSON.stringify(rows)} as text)::jsonb) as v("minuteMs" bigint, flag text, model text,
      calls bigint, attempts bigint, errors bigint, aborted bigint, refused bigint, input bigint, output bigint,
      "cacheWrite5m" bigint, "cacheWrite1h" bigint, "cacheRead" bigint, "webSearches" bigint, "exactNanoUsd" numeric,
      "estimatedNanoUsd" numeric, unpriced bigint, ended bigint, cut bigint, "largestTokens" bigint, latency bigint[])
    on conflict (environment_id, minute, flag, model) do update set
      calls = known.calls + excluded.calls,
      attempts = known.attempts + excluded.attempts,
      errors = known.errors + excluded.errors,
      aborted = known.aborted + excluded.aborted,
      refused = known.refused + excluded.refused,
      input = known.input + excluded.input,
      output = known.output + excluded.output,
      cache_write_5m = known.cache_write_5m + excluded.cache_write_5m,
      cache_write_1h = known.cache_write_1h + excluded.cache_write_1h,
      cache_read = known.cache_read + excluded.cache_read,
      web_searches = known.web_searches + excluded.web_searches,
      exact_nano_usd = known.exact_nano_usd + excluded.exact_nano_usd,
      estimated_nano_usd = known.estimated_nano_usd + excluded.estimated_nano_usd,
      unpriced = known.unpriced + excluded.unpriced,
      ended = known.ended + excluded.ended,
      cut = known.cut + excluded.cut,
      largest_tokens = greatest(known.largest_tokens, excluded.largest_tokens),
      latency = (select array_agg(a + b order by i)
                 from unnest(known.latency, excluded.latency) with ordinality as t(a, b, i))`);
}

/** Rows of recent calls per transaction and flag; a burst keeps its newest. */
const RECENT_PER_FLAG = 50;

/** Keeps the newest calls of this transaction, one row an attempt. */
export async function addRecent(tx: Db, environmentId: string, records: readonly PricedRecord[]): Promise<void> {
  const rows = newestOfEachFlag(records).map(recentRow);
  if (rows.length === 0) return;
  // One parameter for all rows: a parameter a cell would cost more than the rest of the transaction.
  await tx.execute(sql`
    insert into usage_recent (environment_id, at, flag, model, requested_model, outcome, exact, cost_nano_usd, input,
      output, latency_ms, attempt, status, error_type, stop_reason, request_id, user_id, session_id, instance)
    select ${environmentId}, to_timestamp(v."atMs" / 1000.0), v.flag, v.model, v."requestedModel", v.outcome, v.exact,
      v."costNanoUsd", v.input, v.output, v."latencyMs", v.attempt, v.status, v."errorType", v."stopReason",
      v."requestId", v."user", v.session, v.instance
    from jsonb_to_recordset(cast(${JSON.stringify(rows)} as text)::jsonb) as v("atMs" bigint, flag text, model text,
      "requestedModel" text, outcome text, exact boolean, "costNanoUsd" bigint, input bigint, output bigint,
      "latencyMs" integer, attempt integer, status integer, "errorType" text, "stopReason" text, "requestId" text,
      "user" text, session text, instance text)`);
}

/** The newest records of each flag, in the order they came. */
function newestOfEachFlag(records: readonly PricedRecord[]): PricedRecord[] {
  const kept: PricedRecord[] = [];
  const perFlag = new Map<string, number>();
  for (const priced of records.toReversed()) {
    const { flag } = priced.record;
    const n = perFlag.get(flag) ?? 0;
    if (n === RECENT_PER_FLAG) continue;
    perFlag.set(flag, n + 1);
    kept.push(priced);
  }
  return kept.toReversed();
}

function recentRow({ record, instance, atMs, costNanoUsd }: PricedRecord) {
  const { usage } = record;
  return {
    atMs,
    flag: record.flag,
    model: record.model,
    requestedModel: record.requestedModel,
    outcome: record.outcome,
    exact: record.exact,
    costNanoUsd,
    input: usage.input + usage.cacheWrite5m + usage.cacheWrite1h + usage.cacheRead,
    output: usage.output,
    latencyMs: Math.round(record.latencyMs),
    attempt: record.attempt,
    status: record.status,
    errorType: record.errorType,
    stopReason: record.stopReason,
    requestId: record.requestId,
    user: record.user,
    session: record.session,
    instance,
  };
}

export interface WindowSum {
  budgetId: string;
  startsAt: Date;
  endsAt: Date;
  spentNanoUsd: bigint;
  exactNanoUsd: bigint;
}

export type WindowRow = typeof budgetWindows.$inferSelect;

/** Adds to the budgets' windows under their row locks and answers with what they hold now. */
export async function addToWindows(tx: Db, sums: readonly WindowSum[]): Promise<WindowRow[]> {
  if (sums.length === 0) return [];
  const more = sums.filter(({ spentNanoUsd }) => spentNanoUsd >= 0n);
  const less = sums.filter(({ spentNanoUsd }) => spentNanoUsd < 0n);
  const lessened = await takeFromWindows(tx, less);
  return more.length === 0 ? lessened : [...lessened, ...(await upsertWindows(tx, more))];
}

/** What was counted too high before: of windows that are not there nothing was. */
async function takeFromWindows(tx: Db, sums: readonly WindowSum[]): Promise<WindowRow[]> {
  const rows: WindowRow[] = [];
  for (const { budgetId, startsAt, spentNanoUsd, exactNanoUsd } of sums) {
    const lessened = await tx
      .update(budgetWindows)
      .set({
        spentNanoUsd: sql`greatest(0, ${budgetWindows.spentNanoUsd} + ${whole(spentNanoUsd)})`,
        exactNanoUsd: sql`${budgetWindows.exactNanoUsd} + ${whole(exactNanoUsd)}`,
      })
      .where(and(eq(budgetWindows.budgetId, budgetId), eq(budgetWindows.startsAt, startsAt)))
      .returning();
    rows.push(...lessened);
  }
  return rows;
}

function upsertWindows(tx: Db, sums: readonly WindowSum[]): Promise<WindowRow[]> {
  const rows = sums
    .toSorted((a, b) =>
      a.budgetId < b.budgetId ? -1 : a.budgetId > b.budgetId ? 1 : a.startsAt.getTime() - b.startsAt.getTime(),
    )
    .map((sum) => ({ ...sum, spentNanoUsd: whole(sum.spentNanoUsd), exactNanoUsd: whole(sum.exactNanoUsd) }));
  return tx
    .insert(budgetWindows)
    .values(rows)
    .onConflictDoUpdate({
      target: [budgetWindows.budgetId, budgetWindows.startsAt],
      set: {
        spentNanoUsd: sql`${budgetWindows.spentNanoUsd} + excluded.spent_nano_usd`,
        exactNanoUsd: sql`${budgetWindows.exactNanoUsd} + excluded.exact_nano_usd`,
      },
    })
    .returning();
}

/** A value of a numeric column, to the last digit. */
export const whole = (amount: bigint) => sql`${String(amount)}::numeric`;
