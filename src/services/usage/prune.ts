/**
 * Bounds what the ledger keeps: batches that no client can retry any more, old minutes, and all but the newest calls.
 * Rows go in portions, each a statement of its own that ends well within the database's deadline.
 */
import { and, asc, desc, eq, inArray, lt, lte, type SQL, sql } from "drizzle-orm";
import type { Deps } from "../../deps.ts";
import { pruneTold } from "../budgets/told.ts";
import { environments } from "../../db/schema/state.ts";
import { subjectWindows } from "../../db/schema/budgets.ts";
import { usageBatches, usageMinutes, usageNames, usageOnce, usageRecent, usageRollups } from "../../db/schema/usage.ts";
import type { Db } from "../../db/types.ts";
import { GRAINS } from "../../domain/rollups.ts";
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
/** A client that was cut off for longer, after a batch whose answer it never got, counts that one batch twice. */
const BATCHES_KEPT_MS = 3 * DAY_MS;
/** The results of a message batch can be read for 29 days after it was made. */
const ONCE_KEPT_MS = 32 * DAY_MS;
/** A month's budget needs its minutes when it is edited; the usage page shows a quarter. */
const MINUTES_KEPT_MS = 100 * DAY_MS;
const PORTION_ROWS = 10_000;
/** Portions of one turn; what is left goes in the next. */
const MAX_PORTIONS = 100;

type Pruned = Pick<Deps, "db" | "clock" | "config">;

/** Removes old batches, minutes, and names whose day is over. */
export async function pruneUsage({ db, clock }: Pruned): Promise<void> {
  await pruneSubjects(db, clock.nowMs());
  const before = (ms: number) => new Date(clock.nowMs() - ms);
  await inPortions(async () => {
    const old = await db
      .select({ at: usageBatches.receivedAt })
      .from(usageBatches)
      .where(lt(usageBatches.receivedAt, before(BATCHES_KEPT_MS)))
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
      .where(lt(usageOnce.at, before(ONCE_KEPT_MS)))
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
        .where(and(ofEnvironment, lt(usageMinutes.minute, before(MINUTES_KEPT_MS))))
        .orderBy(asc(usageMinutes.minute))
        .limit(PORTION_ROWS);
      const last = old.at(-1);
      if (last !== undefined)
        await db.delete(usageMinutes).where(and(ofEnvironment, lte(usageMinutes.minute, last.minute)));
      return old.length;
    });
    for (const grain of GRAINS) {
      const old = and(eq(usageRollups.grain, grain), lt(usageRollups.start, before(MINUTES_KEPT_MS + DAY_MS)));
      await db.delete(usageRollups).where(and(eq(usageRollups.environmentId, id), old));
    }
  }
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
