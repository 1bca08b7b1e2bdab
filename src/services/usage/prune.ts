/**
 * Bounds what the ledger keeps: batches that no client can retry any more, old minutes, and all but the newest calls.
 * Rows go in portions, each a statement of its own that ends well within the database's deadline.
 */
import { and, asc, desc, eq, inArray, lt, lte, type SQL, sql } from "drizzle-orm";
import type { Deps } from "../../deps.ts";
import { pruneTold } from "../budgets/told.ts";
import { environments } from "../../db/schema/state.ts";
import { subjectWindows } from "../../db/schema/budgets.ts";
import { usageBatches, usageMinutes, usageNames, usageOnce, usageRecent } from "../../db/schema/usage.ts";
import { returnedRows } from "../../db/returned-rows.ts";
import type { Db } from "../../db/types.ts";
import { GRAINS, HOUR_GRAIN, MONTH_GRAIN, QUARTER_GRAIN } from "../../domain/rollups.ts";
import { isAboutSubjects } from "../../domain/subject.ts";
import { windowAt } from "../../domain/window.ts";
import { readBudgets } from "../budgets/rows.ts";
import { pruneVerdicts } from "../verdicts/rows.ts";
import { pruneFleetCalls } from "../models/fleet-calls.ts";
import { pruneCalls } from "./calls-by-revision.ts";
import { pruneUnknownFlags } from "../flags/unknown-flags.ts";
import { NAME_KEPT_MS } from "./names.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** A month is kept until its last day may go. */
const MONTH_DAYS = 31;
const PORTION_ROWS = 10_000;
/** Portions of one turn; what is left goes in the next. */
const MAX_PORTIONS = 100;

type Pruned = Pick<Deps, "db" | "clock" | "config">;

/** Removes old batches, sums by `config.kept`, and names whose day is over. */
export async function pruneUsage({ db, clock, config: { kept } }: Pruned): Promise<void> {
  await pruneSubjects(db, clock.nowMs());
  const before = (ms: number) => new Date(clock.nowMs() - ms);
  const daysAgo = (days: number) => before(days * DAY_MS);
  await inPortions(async () => {
    const old = await db
      .select({ at: usageBatches.receivedAt })
      .from(usageBatches)
      .where(lt(usageBatches.receivedAt, daysAgo(kept.batches)))
      .orderBy(asc(usageBatches.receivedAt))
      .limit(PORTION_ROWS);
    const last = old.at(-1);
    if (last !== undefined) await db.delete(usageBatches).where(lte(usageBatches.receivedAt, last.at));
    return old.length;
  });
  await inPortions(async () => {
    const old = await db
      .select({ at: usageOnce.at })
      .from(usageOnce)
      .where(lt(usageOnce.at, daysAgo(kept.results)))
      .orderBy(asc(usageOnce.at))
      .limit(PORTION_ROWS);
    const last = old.at(-1);
    if (last !== undefined) await db.delete(usageOnce).where(lte(usageOnce.at, last.at));
    return old.length;
  });
  await db.delete(usageNames).where(lt(usageNames.admittedAt, before(NAME_KEPT_MS)));
  for (const id of await environmentIds(db)) {
    const ofEnvironment = eq(usageMinutes.environmentId, id);
    await inPortions(async () => {
      const old = await db
        .select({ minute: usageMinutes.minute })
        .from(usageMinutes)
        .where(and(ofEnvironment, lt(usageMinutes.minute, daysAgo(kept.minutes))))
        .orderBy(asc(usageMinutes.minute))
        .limit(PORTION_ROWS);
      const last = old.at(-1);
      if (last !== undefined)
        await db.delete(usageMinutes).where(and(ofEnvironment, lte(usageMinutes.minute, last.minute)));
      return old.length;
    });
    for (const grain of GRAINS) {
      const days = kept.rollups + (grain === MONTH_GRAIN ? MONTH_DAYS : 1);
      await pruneGrain(db, sql`usage_rollups`, { id, grain, before: daysAgo(days) });
      if (grain === QUARTER_GRAIN) continue;
      const topDays = grain === HOUR_GRAIN ? kept.topHours : days;
      await pruneGrain(db, sql`usage_top_names`, { id, grain, before: daysAgo(topDays) });
      await pruneGrain(db, sql`usage_top_spans`, { id, grain, before: daysAgo(topDays) });
    }
  }
}

/** Removes the rows of this grain that begin before, the oldest first. */
async function pruneGrain(
  db: Db,
  table: SQL,
  { id, grain, before }: { id: string; grain: number; before: Date },
): Promise<void> {
  const ofGrain = sql`environment_id = ${id} and grain = ${sql.raw(String(grain))}`;
  await inPortions(async () => {
    const gone = await db.execute(sql`
      delete from ${table} where ctid = any(array(
        select ctid from ${table} where ${ofGrain} and start < ${before.toISOString()}::timestamptz limit ${PORTION_ROWS}::int))
      returning 1`);
    return returnedRows(gone).length;
  });
}

/** Windows of users and sessions that are over, and verdicts that hold no more. */
async function pruneSubjects(db: Db, nowMs: number): Promise<void> {
  for (const environmentId of await environmentIds(db)) {
    await pruneVerdicts(db, environmentId, nowMs);
    for (const { id, scope, period, timezone } of await readBudgets(db, environmentId)) {
      if (!isAboutSubjects(scope)) continue;
      const startsAt = new Date(windowAt(period, timezone, nowMs).startMs);
      const over = and(eq(subjectWindows.budgetId, id), lt(subjectWindows.startsAt, startsAt));
      await inPortions(async () => {
        const old = await db
          .select({ startsAt: subjectWindows.startsAt, subject: subjectWindows.subject })
          .from(subjectWindows)
          .where(over)
          .orderBy(asc(subjectWindows.startsAt), asc(subjectWindows.subject))
          .limit(PORTION_ROWS);
        const last = old.at(-1);
        if (last === undefined) return 0;
        const upTo = sql`(${subjectWindows.startsAt}, ${subjectWindows.subject}) <= (${last.startsAt.toISOString()}::timestamptz, ${last.subject})`;
        await db.delete(subjectWindows).where(and(over, upTo));
        return old.length;
      });
    }
  }
}

/** Removes all recent calls of each environment but the newest, by `config.recentCalls…`, and what calls were decided by. */
export async function pruneRecentCalls({ db, clock, config }: Pruned): Promise<void> {
  await pruneTold(db, clock.nowMs());
  const oldest = new Date(clock.nowMs() - config.recentCallsHours * HOUR_MS);
  await deleteCalls(db, lt(usageRecent.at, oldest));
  for (const id of await environmentIds(db)) {
    await pruneCalls(db, id, clock.nowMs());
    await pruneFleetCalls(db, id, clock.nowMs());
    await pruneUnknownFlags(db, id, clock.nowMs());
    const ofEnvironment = eq(usageRecent.environmentId, id);
    const [beyond] = await db
      .select({ id: usageRecent.id })
      .from(usageRecent)
      .where(ofEnvironment)
      .orderBy(desc(usageRecent.id))
      .offset(config.recentCallsMax)
      .limit(1);
    if (beyond !== undefined) await deleteCalls(db, and(ofEnvironment, lte(usageRecent.id, beyond.id)));
  }
}

async function deleteCalls(db: Db, which: SQL | undefined): Promise<void> {
  await inPortions(async () => {
    const portion = db
      .select({ id: usageRecent.id })
      .from(usageRecent)
      .where(which)
      .orderBy(asc(usageRecent.id))
      .limit(PORTION_ROWS);
    const gone = await db.delete(usageRecent).where(inArray(usageRecent.id, portion)).returning({ id: usageRecent.id });
    return gone.length;
  });
}

/** Calls until a portion was not full. */
async function inPortions(portion: () => Promise<number>): Promise<void> {
  for (let n = 0; n < MAX_PORTIONS; n += 1) if ((await portion()) < PORTION_ROWS) return;
}

async function environmentIds(db: Db): Promise<string[]> {
  const rows = await db.select({ id: environments.id }).from(environments).orderBy(asc(environments.id));
  return rows.map(({ id }) => id);
}
