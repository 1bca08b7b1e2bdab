/** Bounds what the ledger keeps: batches that no client can retry any more, old minutes, and all but the newest calls. */
import { lt, sql } from "drizzle-orm";
import { usageBatches, usageMinutes, usageRecent } from "../db/ledger-schema.ts";
import type { Deps } from "../deps.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** A client gives a batch up long before: see the reporter's buffer. */
const BATCHES_KEPT_MS = 3 * DAY_MS;
/** A month's budget needs its minutes when it is edited; the usage page shows a quarter. */
const MINUTES_KEPT_MS = 100 * DAY_MS;

/** Removes old usage. The recent calls are kept by `config.recentCalls`. */
export async function pruneUsage(deps: Pick<Deps, "db" | "clock" | "config">): Promise<void> {
  const { db, clock, config } = deps;
  const before = (ms: number) => new Date(clock.nowMs() - ms);
  await db.delete(usageBatches).where(lt(usageBatches.receivedAt, before(BATCHES_KEPT_MS)));
  await db.delete(usageMinutes).where(lt(usageMinutes.minute, before(MINUTES_KEPT_MS)));
  await db.delete(usageRecent).where(lt(usageRecent.at, before(config.recentCallsHours * HOUR_MS)));
  const newest = sql`(select id from ${usageRecent} as r where r.environment_id = ${usageRecent.environmentId}
    order by id desc offset ${config.recentCallsMax} limit 1)`;
  await db.delete(usageRecent).where(sql`${usageRecent.id} <= ${newest}`);
}
