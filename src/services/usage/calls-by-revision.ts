/** Writes, for the ledger, which revision the calls of the last minutes were decided by; `calls-since.ts` reads it. */
import { and, desc, eq, inArray, isNotNull, lt, sql } from "drizzle-orm";
import type { Submission } from "../../deps.ts";
import { callsByRevision } from "../../db/schema/usage.ts";
import { instances } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";
import { type Applied, CALLS_SPAN_MS, type CallSums } from "../../domain/calls.ts";
import { MINUTE_MS } from "../../domain/ledger.ts";

/** Rows are kept for the span that is asked for, and two minutes more: of the minute in which it begins. */
export const CALLS_KEPT_MS = CALLS_SPAN_MS + 2 * MINUTE_MS;

/** What the instances have applied whose records do not say what decided them. */
export async function readApplied(
  tx: Db,
  environmentId: string,
  batches: readonly Pick<Submission, "instance" | "records">[],
): Promise<Map<string, Applied>> {
  const silent = batches.filter(({ records }) => records.some(({ revision }) => revision === undefined));
  if (silent.length === 0) return new Map();
  const names = [...new Set(silent.map(({ instance }) => instance))];
  const rows = await tx
    .select({
      instance: instances.instance,
      lineage: instances.lineage,
      n: instances.revision,
      since: instances.appliedAt,
    })
    .from(instances)
    .where(
      and(
        eq(instances.environmentId, environmentId),
        inArray(instances.instance, names),
        isNotNull(instances.revision),
      ),
    )
    // Of several processes of one name the slowest that runs decides: the last one here.
    .orderBy(sql`${instances.stoppedAt} is null`, desc(instances.revision));
  const applied = new Map<string, Applied>();
  for (const { instance, lineage, n, since } of rows) {
    if (lineage !== null && n !== null && since !== null)
      applied.set(instance, { lineage, n, sinceMs: since.getTime() });
  }
  return applied;
}

/** Adds to the sums. */
export async function addCalls(tx: Db, environmentId: string, sums: readonly CallSums[]): Promise<void> {
  if (sums.length === 0) return;
  const rows = sums.map((sum) => ({ ...sum, nanoUsd: String(sum.nanoUsd) }));
  await tx.execute(sql`
    insert into calls_by_revision as known (environment_id, minute, flag, lineage, revision, model, requested_model,
      attempts, nano_usd, newest_start, newest_instance)
    select ${environmentId}, to_timestamp(v."minuteMs" / 1000.0), v.flag, v.lineage, v.n, v.model, v."requestedModel",
      v.attempts, v."nanoUsd", to_timestamp(v."newestStartMs" / 1000.0), v."newestInstance"
    from jsonb_to_recordset(cast(${JSON.stringify(rows)} as text)::jsonb) as v("minuteMs" bigint, flag text,
      lineage text, n bigint, model text, "requestedModel" text, attempts bigint, "nanoUsd" numeric,
      "newestStartMs" bigint, "newestInstance" text)
    on conflict (environment_id, minute, flag, lineage, revision, model, requested_model) do update set
      attempts = known.attempts + excluded.attempts,
      nano_usd = known.nano_usd + excluded.nano_usd,
      newest_instance = case when excluded.newest_start >= known.newest_start then excluded.newest_instance
        else known.newest_instance end,
      newest_start = greatest(known.newest_start, excluded.newest_start)`);
}

/** Removes what is older than that. */
export async function pruneCalls(db: Db, environmentId: string, nowMs: number): Promise<void> {
  const before = new Date(nowMs - CALLS_KEPT_MS);
  await db
    .delete(callsByRevision)
    .where(and(eq(callsByRevision.environmentId, environmentId), lt(callsByRevision.minute, before)));
}
