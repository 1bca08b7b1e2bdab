/**
 * Flag keys that applications ask for and no flag has: a misspelt key looks guarded, and nothing guards it. Bounded: who
 * reports usage chooses the keys. First come, first kept, until nobody asks any more.
 */
import { and, asc, desc, eq, inArray, lt, notExists, sql } from "drizzle-orm";
import type { Submission, Ctx } from "../../deps.ts";
import { requireEnvironment } from "../../authorize.ts";
import { read } from "../../transaction.ts";
import { unknownFlags } from "../../db/schema/usage.ts";
import { flags } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";
import { similarName } from "../../domain/did-you-mean.ts";
import { FLAG_KEY_PATTERN, MAX_UNKNOWN_FLAGS } from "../../domain/limits.ts";
import type { UnknownFlags } from "../../api/flag.ts";

/** A key that is asked for all the time is not written all the time. */
const REFRESH_SECONDS = 10;
const HOUR_MS = 3_600_000;
const KEPT_MS = 24 * HOUR_MS;
/** While there is no room for more: made-up keys go after this. */
const KEPT_WHEN_FULL_MS = HOUR_MS;
/** So many places are freed each time while they are all taken: a slip that came late must get one among made-up keys. */
const ROTATED = 10;

/** Takes note of the keys in evaluations and usage that are not a flag's. Rows are written in the order of their keys. */
export async function noteUnknownFlags(
  tx: Db,
  environmentId: string,
  batches: readonly Pick<Submission, "instance" | "records" | "checks">[],
  isFlag: (key: string) => boolean,
  at: Date,
): Promise<void> {
  const asked = new Map<string, string>();
  for (const { instance, records, checks } of batches) {
    for (const key of checks?.keys() ?? []) if (!isFlag(key)) asked.set(key, instance);
    for (const { flag } of records) if (!isFlag(flag)) asked.set(flag, instance);
  }
  if (asked.size === 0) return;
  const rows = JSON.stringify(Array.from(asked, ([flag, instance]) => ({ flag, instance })));
  const moment = sql`${at.toISOString()}::timestamptz`;
  const ofEnvironment = sql`environment_id = ${environmentId}`;
  // New ones get the free places by chance: in any order of theirs the same would always come too late.
  await tx.execute(sql`
    with asked as (
      select v.flag, v.instance, exists (select from unknown_flags u where u.${ofEnvironment} and u.flag = v.flag) as is_known
      from jsonb_to_recordset(cast(${rows} as text)::jsonb) as v(flag text, instance text)
      where not exists (select from flags where ${ofEnvironment} and key = v.flag)
    ), noted as (
      select flag, instance from asked where is_known
      union all (select flag, instance from asked where not is_known order by random()
        limit (select greatest(0, ${MAX_UNKNOWN_FLAGS} - count(*)) from unknown_flags u where u.${ofEnvironment}
          and not exists (select from flags where ${ofEnvironment} and key = u.flag)))
    )
    insert into unknown_flags as known (environment_id, flag, asked_at, instance)
    select ${environmentId}, flag, ${moment}, instance from noted order by flag
    on conflict (environment_id, flag) do update set asked_at = excluded.asked_at, instance = excluded.instance
      where known.asked_at < excluded.asked_at - make_interval(secs => ${REFRESH_SECONDS})`);
}

export async function listUnknownFlags(ctx: Ctx, environmentKey: string): Promise<UnknownFlags> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  return read(ctx, async (db) => {
    const ofEnvironment = eq(unknownFlags.environmentId, environment.id);
    const own = and(eq(flags.environmentId, environment.id), eq(flags.key, unknownFlags.flag));
    const rows = await db
      .select({
        key: unknownFlags.flag,
        askedAt: unknownFlags.askedAt,
        instance: unknownFlags.instance,
        // Drizzle would write these columns without their tables, and each would be that of the inner one.
        app: sql<string | null>`(select app from instances
          where environment_id = ${environment.id} and instances.instance = unknown_flags.instance
          order by last_seen desc limit 1)`,
      })
      .from(unknownFlags)
      .where(and(ofEnvironment, notExists(db.select({ key: flags.key }).from(flags).where(own))))
      .orderBy(desc(unknownFlags.askedAt), asc(unknownFlags.flag));
    if (rows.length === 0) return { items: [], isFull: false };
    const known = await db.select({ key: flags.key }).from(flags).where(eq(flags.environmentId, environment.id));
    const keys = known.map(({ key }) => key);
    const items = rows.slice(0, MAX_UNKNOWN_FLAGS).map(({ askedAt, ...row }) => ({
      ...row,
      askedAt: askedAt.toISOString(),
      meant: similarName(row.key, keys) ?? null,
      isKey: FLAG_KEY_PATTERN.test(row.key),
    }));
    // What looks like a slip first: among user ids in names it would not be seen.
    items.sort((a, b) => Number(b.meant !== null) - Number(a.meant !== null));
    return { items, isFull: rows.length >= MAX_UNKNOWN_FLAGS };
  });
}

/** Forgets those that nobody asks for any more, and while there is no room a few that look like no flag. */
export async function pruneUnknownFlags(db: Db, environmentId: string, nowMs: number): Promise<void> {
  const ofEnvironment = eq(unknownFlags.environmentId, environmentId);
  const stored = await db
    .select({ key: unknownFlags.flag })
    .from(unknownFlags)
    .where(ofEnvironment)
    .orderBy(asc(unknownFlags.askedAt));
  const isFull = stored.length >= MAX_UNKNOWN_FLAGS;
  const keptMs = isFull ? KEPT_WHEN_FULL_MS : KEPT_MS;
  await db.delete(unknownFlags).where(and(ofEnvironment, lt(unknownFlags.askedAt, new Date(nowMs - keptMs))));
  if (!isFull) return;
  const keys = await db.select({ key: flags.key }).from(flags).where(eq(flags.environmentId, environmentId));
  const known = keys.map(({ key }) => key);
  const rotated = stored.filter(({ key }) => similarName(key, known) === undefined).slice(0, ROTATED);
  if (rotated.length === 0) return;
  const of = inArray(
    unknownFlags.flag,
    rotated.map(({ key }) => key),
  );
  await db.delete(unknownFlags).where(and(ofEnvironment, of));
}
