/** When a lost process is over without a goodbye: a new one has taken its name since. */
import { type SQL, sql } from "drizzle-orm";
import type { Db } from "../../db/types.ts";
import { LIVE_SECONDS } from "../../domain/fleet.ts";
import type { Process } from "./writes.ts";

/**
 * A lost process whose name a new one has taken since is over: nothing else, short of a goodbye, says so. Idempotent;
 * of the given names, or of all.
 */
export async function replaceLost(db: Db, names?: readonly Process[]): Promise<void> {
  const running =
    names === undefined
      ? sql`instances as old where old.stopped_at is null`
      : sql`(select distinct e, i from jsonb_to_recordset(cast(${JSON.stringify(names.map(nameOf))} as text)::jsonb) as v(e text, i text)) as named
          cross join lateral (select ctid, * from instances
            where environment_id = e and instance = i offset 0) as old where old.stopped_at is null`;
  // By the whole key and by where the row is, whatever the planner believes of the table: see `writeHeard`.
  await db.execute(sql`
    update instances as known set stopped_at = clock_timestamp(), stopped_by = 'successor'
    from (
      select old.ctid from ${running} and exists (
        select 1 from instances as successor
        where successor.environment_id = old.environment_id and successor.instance = old.instance
          and successor.boot <> old.boot and successor.first_seen > ${LOST_AT} offset 0)
    ) as ended
    where known.ctid = ended.ctid and known.stopped_at is null`);
}

/** When `old` was lost; a later sighting makes it null. */
const LOST_AT: SQL = sql`coalesce(old.disconnected_at, old.last_seen + ${LIVE_SECONDS} * interval '1 second')`;

function nameOf({ environmentId, instance }: Process): { e: string; i: string } {
  return { e: environmentId, i: instance };
}
