/** The hot SQL of sightings and receipts: one statement each for a whole batch, never going back. */
import { sql } from "drizzle-orm";
import type { Db } from "../../db/types.ts";
import { recordOf, systemActor } from "../../domain/actor.ts";
import type { Action } from "../../domain/audit.ts";
import type { NotCountedBecause } from "../../domain/fleet.ts";

/** One process, as it names itself. */
export interface Process {
  environmentId: string;
  instance: string;
  /** Tells processes of one name apart; "" from a client that does not send it. */
  boot: string;
}

/** One instance as this server heard of it. Times are monotonic milliseconds of this process. */
export interface Heard extends Process {
  app: string | null;
  sdk: string | null;
  /** What its `ANDON_KILL` holds off, separated by commas; null for nothing. */
  local: string | null;
  applied: { lineage: string; n: number } | null;
  appliedAtMs: number | null;
  firstSeenMs: number;
  lastSeenMs: number;
  stopped: boolean;
  /** When its connection was lost; null while it has one, or was heard of since. */
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
    b: heard.boot,
    app: heard.app,
    sdk: heard.sdk,
    local: heard.local,
    l: heard.applied?.lineage ?? null,
    n: heard.applied?.n ?? null,
    applied: heard.appliedAtMs === null ? null : Math.max(0, nowMs - heard.appliedAtMs),
    first: Math.max(0, nowMs - heard.firstSeenMs),
    last: Math.max(0, nowMs - heard.lastSeenMs),
    stopped: heard.stopped,
    gone: heard.disconnectedAtMs === null ? null : Math.max(0, nowMs - heard.disconnectedAtMs),
  }));
  // One order for all servers, or two batches could wait for each other's rows.
  rows.sort((a, b) => compare(a.e, b.e) || compare(a.i, b.i) || compare(a.b, b.b));
  const heard = sql`
    select v.*, now.at from jsonb_to_recordset(cast(${JSON.stringify(rows)} as text)::jsonb)
      as v(e text, i text, b text, app text, sdk text, local text, l text, n bigint, applied double precision,
           first double precision, last double precision, stopped boolean, gone double precision)
      join environments on environments.id = v.e
      cross join (select clock_timestamp() as at) as now`;
  await tx.execute(sql`
    insert into instances as known
      (environment_id, instance, boot, app, sdk, local, lineage, revision, applied_at, first_seen, last_seen,
       stopped_at, stopped_by, disconnected_at)
    select e, i, b, app, sdk, string_to_array(local, ','), l, n, at - applied * interval '1 ms',
      at - first * interval '1 ms', at - last * interval '1 ms', case when stopped then at - last * interval '1 ms' end,
      case when stopped then 'goodbye' end, at - gone * interval '1 ms'
    from (${heard}) as heard
    on conflict (environment_id, instance, boot) do update set
      app = coalesce(excluded.app, known.app),
      sdk = coalesce(excluded.sdk, known.sdk),
      local = case when ${IS_LATER} then excluded.local else known.local end,
      lineage = case when ${IS_NEWER} then excluded.lineage else known.lineage end,
      revision = case when ${IS_NEWER} then excluded.revision else known.revision end,
      applied_at = case when ${IS_NEWER} then excluded.applied_at else known.applied_at end,
      stopped_at = case when ${IS_LATER} and not ${STAYS_DEAD} then excluded.stopped_at else known.stopped_at end,
      stopped_by = case when ${IS_LATER} and not ${STAYS_DEAD} then excluded.stopped_by else known.stopped_by end,
      disconnected_at = case when excluded.last_seen >= known.last_seen - ${SAME_SIGHTING} then excluded.disconnected_at
        else known.disconnected_at end,
      last_seen = greatest(known.last_seen, excluded.last_seen)`);
  // Row by row through the keys, whatever the planner believes: of tables that grew since they were last analysed it
  // may believe that they are empty, and compare all with all.
  await tx.execute(sql`
    insert into receipts as known (environment_id, lineage, revision, instance, boot, applied_at, first_seen)
    select e, l, n, i, b, heard.at - heard.applied * interval '1 ms', process.first_seen
    from (${heard}) as heard
      cross join lateral (select first_seen from instances
        where environment_id = e and instance = i and boot = b limit 1) as process
      cross join lateral (select committed_at from revisions where environment_id = e and revision = n limit 1) as made
    where l is not null and process.first_seen <= made.committed_at
    on conflict (environment_id, lineage, revision, instance, boot) do update set applied_at = excluded.applied_at
      where excluded.applied_at < known.applied_at - interval '5 ms'`);
}

/**
 * A process that was declared dead and was heard of since: it counts again by that, and the audit says that somebody was
 * wrong. Once for each time; whichever server comes first.
 */
export async function tellReturned(db: Db): Promise<void> {
  await db.execute(sql`
    with returned as (
      update instances set returned_at = last_seen
      where declared_dead_at is not null and returned_at is null and last_seen > declared_dead_at
      returning environment_id, instance, declared_dead_at, declared_dead_by, returned_at
    )
    insert into audit (environment_id, at, actor, action, target_kind, target, reason, before, after, request_id)
    select environment_id, returned_at, cast(${JSON.stringify(recordOf(FLEET))} as text)::jsonb, cast(${RETURNED} as text), 'instance', instance,
      'was declared dead by ' || declared_dead_by || ', and is heard of again',
      jsonb_build_object('declaredDeadBy', declared_dead_by, 'declaredDeadAt', declared_dead_at), null, 'fleet'
    from returned`);
}

/** Clients that were refused a place in the count; a lower figure replaces a higher one when that is no longer fresh. */
export async function writeNotCounted(
  db: Db,
  rows: readonly { environmentId: string; tokenId: string; because: NotCountedBecause; atLeast: number }[],
): Promise<void> {
  await db.execute(sql`
    insert into instances_not_counted as known (environment_id, token_id, because, at_least, seen_at)
    select environments.id, tokens.id, because, n, clock_timestamp()
    from jsonb_to_recordset(cast(${JSON.stringify(rows)} as text)::jsonb)
        as v("environmentId" text, "tokenId" text, because text, "atLeast" int)
      cross join lateral (select v."atLeast" as n) as least
      join environments on environments.id = v."environmentId" join tokens on tokens.id = v."tokenId"
    on conflict (environment_id, token_id) do update
      set because = excluded.because, at_least = excluded.at_least, seen_at = excluded.seen_at
      where excluded.at_least >= known.at_least or known.seen_at < excluded.seen_at - ${STILL_FRESH}`);
}

/** Two writes of one sighting tell its time with some jitter. */
const SAME_SIGHTING = sql`interval '500 ms'`;
const STILL_FRESH = sql`interval '30 seconds'`;

/** What was heard of it is from before it was declared dead, told late or by another server. */
const STAYS_DEAD = sql`coalesce(known.stopped_by = 'declared' and excluded.last_seen <= known.declared_dead_at, false)`;
const FLEET = systemActor("fleet", "fleet");
const RETURNED = "instance.returned" satisfies Action;

const IS_LATER = sql`excluded.last_seen >= known.last_seen`;

const IS_NEWER = sql`(excluded.revision is not null and (known.revision is null
  or (known.lineage = excluded.lineage and excluded.revision > known.revision)
  or (known.lineage <> excluded.lineage and excluded.applied_at > known.applied_at)))`;

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
