/** The hot SQL of sightings and receipts: one statement each for a whole batch, never going back. */
import { sql } from "drizzle-orm";
import type { Db } from "../db/types.ts";

/** One instance as this server heard of it. Times are monotonic milliseconds of this process. */
export interface Heard {
  environmentId: string;
  instance: string;
  app: string | null;
  sdk: string | null;
  applied: { lineage: string; n: number } | null;
  appliedAtMs: number | null;
  firstSeenMs: number;
  lastSeenMs: number;
  stopped: boolean;
  /** When the connection of its parked poll closed; null while it is parked, or was heard of since. */
  disconnectedAtMs: number | null;
}

/**
 * Writes a batch. A receipt is newer when its `n` is higher in the same lineage, or when it is of another lineage and
 * was heard later. Instances of an environment that is gone are left out.
 */
export async function writeHeard(tx: Db, batch: readonly Heard[], nowMs: number): Promise<void> {
  const rows = batch.map((heard) => ({
    e: heard.environmentId,
    i: heard.instance,
    app: heard.app,
    sdk: heard.sdk,
    l: heard.applied?.lineage ?? null,
    n: heard.applied?.n ?? null,
    applied: heard.appliedAtMs === null ? null : Math.max(0, nowMs - heard.appliedAtMs),
    first: Math.max(0, nowMs - heard.firstSeenMs),
    last: Math.max(0, nowMs - heard.lastSeenMs),
    stopped: heard.stopped,
    gone: heard.disconnectedAtMs === null ? null : Math.max(0, nowMs - heard.disconnectedAtMs),
  }));
  // One order for all servers, or two batches could wait for each other's rows.
  rows.sort((a, b) => compare(a.e, b.e) || compare(a.i, b.i));
  const heard = sql`
    select v.*, now.at from jsonb_to_recordset(cast(${JSON.stringify(rows)} as text)::jsonb)
      as v(e text, i text, app text, sdk text, l text, n bigint, applied double precision, first double precision,
           last double precision, stopped boolean, gone double precision)
      join environments on environments.id = v.e
      cross join (select clock_timestamp() as at) as now`;
  await tx.execute(sql`
    insert into instances as known
      (environment_id, instance, app, sdk, lineage, revision, applied_at, first_seen, last_seen, stopped_at, disconnected_at)
    select e, i, app, sdk, l, n, at - applied * interval '1 ms', at - first * interval '1 ms',
      at - last * interval '1 ms', case when stopped then at - last * interval '1 ms' end, at - gone * interval '1 ms'
    from (${heard}) as heard
    on conflict (environment_id, instance) do update set
      app = coalesce(excluded.app, known.app),
      sdk = coalesce(excluded.sdk, known.sdk),
      lineage = case when ${IS_NEWER} then excluded.lineage else known.lineage end,
      revision = case when ${IS_NEWER} then excluded.revision else known.revision end,
      applied_at = case when ${IS_NEWER} then excluded.applied_at else known.applied_at end,
      stopped_at = case when excluded.last_seen >= known.last_seen then excluded.stopped_at else known.stopped_at end,
      disconnected_at = case when excluded.last_seen >= known.last_seen - ${SAME_SIGHTING} then excluded.disconnected_at
        else known.disconnected_at end,
      last_seen = greatest(known.last_seen, excluded.last_seen)`);
  await tx.execute(sql`
    insert into receipts as known (environment_id, lineage, revision, instance, applied_at)
    select e, l, n, i, at - applied * interval '1 ms' from (${heard}) as heard where l is not null
    on conflict (environment_id, lineage, revision, instance) do update set applied_at = excluded.applied_at
      where excluded.applied_at < known.applied_at - interval '5 ms'`);
}

/** Two writes of one sighting tell its time with some jitter. */
const SAME_SIGHTING = sql`interval '500 ms'`;

const IS_NEWER = sql`(excluded.revision is not null and (known.revision is null
  or (known.lineage = excluded.lineage and excluded.revision > known.revision)
  or (known.lineage <> excluded.lineage and excluded.applied_at > known.applied_at)))`;

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
