/**
 * Message batches in the ledger's transaction. A batch counts as an estimate in the minute of its submission; its results
 * count there as what they cost, each taking as much from the estimate; when all have been read, the rest of it is taken
 * back. Invariant: what a batch counts is never less than what it may still cost, and never negative.
 */
import { and, asc, eq, sql } from "drizzle-orm";
import { type BatchNews, BATCH_PART, NO_USAGE, type UsageRecord } from "../../../sdk-client/src/wire/usage-protocol.ts";
import { messageBatches } from "../../db/schema/batches.ts";
import type { Db } from "../../db/types.ts";
import type { Submission } from "../../deps.ts";
import type { PricedRecord } from "../../domain/ledger.ts";
import { type Estimated, isEstimate, laterState, MAX_CANCEL_TRIES, takeEstimate } from "../../domain/message-batch.ts";
import { textsIn } from "../budgets/lease-rows.ts";

type BatchRow = typeof messageBatches.$inferSelect;

interface Told extends BatchNews {
  instance: string;
}

interface Counting {
  records: PricedRecord[];
  submissions: readonly Submission[];
  nowMs: number;
}

/** The records as they count: results at the time of their batch, with what each takes from its estimate. */
export async function countBatches(tx: Db, environmentId: string, counting: Counting): Promise<PricedRecord[]> {
  const { records, submissions, nowMs } = counting;
  const named = records.filter(({ record }) => record.messageBatch !== undefined);
  const told = submissions.flatMap(({ messageBatches: news = [], instance }) =>
    news.map((each): Told => ({ ...each, instance })),
  );
  if (named.length === 0 && told.length === 0) return records;
  await insertNew(tx, environmentId, { estimates: named.filter(({ record }) => isEstimate(record)), told, nowMs });
  const ids = [...new Set([...named.map(({ record }) => record.messageBatch ?? ""), ...told.map(({ id }) => id)])];
  const rows = await tx
    .select()
    .from(messageBatches)
    .where(and(eq(messageBatches.environmentId, environmentId), sql`${messageBatches.id} in ${textsIn(ids)}`))
    .orderBy(asc(messageBatches.id))
    .for("update");
  const byId = new Map(rows.map((row) => [row.id, row]));
  const taken = new Map<BatchRow, Estimated[]>();
  const take = (row: BatchRow, nanoUsd: number, model: string | null): void => {
    const result = takeEstimate(row.left, nanoUsd, model);
    row.left = result.left;
    taken.set(row, [...(taken.get(row) ?? []), ...result.taken]);
  };
  for (const { record, costNanoUsd } of named) {
    const row = byId.get(record.messageBatch ?? "");
    if (row === undefined || row.state === "settled" || !isEstimate(record)) continue;
    row.estimatedNanoUsd += costNanoUsd;
    const leaseIds = record.leases?.map(({ leaseId }) => leaseId);
    row.left = [
      ...row.left,
      { flag: record.flag, model: record.model, nanoUsd: costNanoUsd, ...(leaseIds !== undefined && { leaseIds }) },
    ];
    row.user ??= record.user ?? null;
    row.session ??= record.session ?? null;
  }
  // Before the news: a report that tells that all has been read has told all of it.
  const moved = records.flatMap((one): PricedRecord[] => {
    const row = byId.get(one.record.messageBatch ?? "");
    if (row === undefined) return [one];
    // Its results were read before its client could tell of it: they have counted.
    if (isEstimate(one.record)) return row.state === "settled" ? [] : [one];
    const leases = inWindowsOf(row.left);
    take(row, one.costNanoUsd, one.record.model);
    const { user, session } = row;
    const record = { ...one.record, ...leases, ...(user !== null && { user }), ...(session !== null && { session }) };
    return [{ ...one, record, atMs: row.submittedAt.getTime() }];
  });
  for (const news of told) {
    const row = byId.get(news.id);
    if (row === undefined) continue;
    note(row, news, nowMs);
    if (row.state === "settled") take(row, Number.POSITIVE_INFINITY, null);
  }
  await write(tx, environmentId, rows);
  return [...moved, ...corrections(taken)];
}

/** Rows for what is told of for the first time, in one order, so that two servers never wait for each other in a circle. */
async function insertNew(
  tx: Db,
  environmentId: string,
  { estimates, told, nowMs }: { estimates: readonly PricedRecord[]; told: readonly Told[]; nowMs: number },
): Promise<void> {
  const fresh = new Map<string, typeof messageBatches.$inferInsert>();
  const toldAt = new Date(nowMs);
  for (const { id, flag, at, requests, state, instance } of told) {
    if (flag === undefined || fresh.has(id)) continue;
    const submittedAt = new Date(Math.min(at ?? nowMs, nowMs));
    fresh.set(id, { environmentId, id, flag, state, instance, requests: requests ?? 0, submittedAt, toldAt });
  }
  for (const { record, instance, atMs } of estimates) {
    const id = record.messageBatch ?? "";
    const known = fresh.get(id);
    const { flag, user = null, session = null } = record;
    const submittedAt = new Date(atMs);
    if (known?.user !== undefined) continue;
    const own = { flag, instance, user, session, submittedAt };
    // Whether it has ended by now is for the news to say, after its estimate.
    fresh.set(id, { environmentId, id, requests: 0, toldAt, ...known, ...own, state: "running" });
  }
  if (fresh.size === 0) return;
  const rows = [...fresh.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
  await tx.insert(messageBatches).values(rows).onConflictDoNothing();
}

function note(row: BatchRow, { state, requests, instance, cancel }: Told, nowMs: number): void {
  const before = row.state;
  row.state = laterState(before, state);
  row.toldAt = new Date(nowMs);
  if (requests !== undefined && requests > 0) row.requests = requests;
  if (cancel === undefined) {
    if (state === "running" || state === "canceling") row.instance = instance;
    return;
  }
  const hasFailed = cancel.outcome === "failed" || cancel.outcome === "unknown";
  row.detail = cancel.detail === "" ? null : cancel.detail;
  // Another client may have the key, or the API answer again.
  if (hasFailed && row.tries < MAX_CANCEL_TRIES) return;
  row.outcome = cancel.outcome;
  row.outcomeAt = new Date(nowMs);
}

async function write(tx: Db, environmentId: string, rows: readonly BatchRow[]): Promise<void> {
  if (rows.length === 0) return;
  await tx.execute(sql`
    update message_batches as b set state = v.state, instance = v.instance, requests = v.requests, told_at = v."toldAt",
      user_id = v."user", session_id = v.session, estimated_nano_usd = v."estimatedNanoUsd", left_estimates = v."left", cancel_outcome = v.outcome,
      cancel_detail = v.detail, cancel_outcome_at = v."outcomeAt"
    from jsonb_to_recordset(cast(${JSON.stringify(rows)} as text)::jsonb) as v(id text, state text, instance text,
      requests integer, "user" text, session text, "toldAt" timestamptz, "estimatedNanoUsd" bigint, "left" jsonb, outcome text, detail text,
      "outcomeAt" timestamptz)
    where b.environment_id = ${environmentId} and b.id = v.id`);
}

/** Names the leases of estimates and settles nothing of them. */
function inWindowsOf(estimates: readonly Estimated[]): Pick<UsageRecord, "leases"> {
  const ids = new Set(estimates.flatMap(({ leaseIds = [] }) => leaseIds));
  return ids.size === 0 ? {} : { leases: Array.from(ids, (leaseId) => ({ leaseId, nanoUsd: 0 })) };
}

/** What is taken from estimates, as records that count as less than nothing. */
function corrections(taken: ReadonlyMap<BatchRow, readonly Estimated[]>): PricedRecord[] {
  return [...taken].flatMap(([row, parts]) => {
    const sums = new Map<string, Estimated>();
    for (const part of parts) {
      const key = JSON.stringify([part.flag, part.model, part.leaseIds]);
      const known = sums.get(key);
      sums.set(key, { ...part, nanoUsd: part.nanoUsd + (known?.nanoUsd ?? 0) });
    }
    const { user, session, instance } = row;
    const atMs = row.submittedAt.getTime();
    return [...sums.values()].map(({ flag, model, nanoUsd, leaseIds = [] }): PricedRecord => ({
      record: {
        id: `${row.id}:taken`,
        at: atMs,
        flag,
        model,
        requestedModel: model,
        outcome: "ok",
        exact: false,
        usage: NO_USAGE,
        batch: true,
        part: BATCH_PART,
        messageBatch: row.id,
        attempt: 1,
        latencyMs: 0,
        ...inWindowsOf([{ flag, model, nanoUsd, leaseIds }]),
        ...(user !== null && { user }),
        ...(session !== null && { session }),
      },
      instance,
      tokenId: "",
      atMs,
      costNanoUsd: -nanoUsd,
      priced: true,
    }));
  });
}
