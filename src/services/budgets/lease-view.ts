/** What leases hold, for people: the sums of each budget's window, and its leases one by one. */
import { and, desc, eq, gt, inArray, lte, ne, sql } from "drizzle-orm";
import { requireEnvironment } from "../../authorize.ts";
import type { LeaseResource } from "../../api/lease.ts";
import type { Ctx } from "../../deps.ts";
import { leases, leaseWants } from "../../db/schema/leases.ts";
import type { Db } from "../../db/types.ts";
import { NOT_REPORTING_MS } from "../../domain/bound.ts";
import { heldNanoUsd } from "../../domain/lease.ts";
import { windowAt } from "../../domain/window.ts";
import { read } from "../../transaction.ts";
import type { LeaseRow } from "./lease-rows.ts";
import { requireBudget } from "./rows.ts";

/** The largest first; with more, the rest is in the sums alone. */
const MAX_LISTED = 1_000;

/** Of one budget's current window. */
export interface LeaseSummary {
  grantedNanoUsd: number;
  settledNanoUsd: number;
  holders: number;
  /** Calls that wait now, at whatever server. */
  waiting: number;
  /** Clients that have not renewed theirs, though they do so every few seconds: they may reach no server. */
  unheard: number;
}

export const NO_LEASES: LeaseSummary = { grantedNanoUsd: 0, settledNanoUsd: 0, holders: 0, waiting: 0, unheard: 0 };

const sum = (of: ReturnType<typeof sql>) => sql`coalesce(sum(${of}), 0)`.mapWith(Number);

/** By budget; what has neither leases nor anybody waiting is left out. */
export async function summarizeLeases(
  db: Db,
  budgetIds: readonly string[],
  now: Date,
): Promise<Map<string, LeaseSummary>> {
  const sums = await db
    .select({
      budgetId: leases.budgetId,
      grantedNanoUsd: sum(sql`${leases.grantedNanoUsd} - ${leases.releasedNanoUsd}`),
      settledNanoUsd: sum(sql`${leases.settledNanoUsd}`),
      holders:
        sql`count(*) filter (where ${leases.state} = 'open' and ${leases.grantedNanoUsd} > ${leases.releasedNanoUsd} + ${leases.settledNanoUsd})`.mapWith(
          Number,
        ),
      unheard:
        sql`count(distinct ${leases.instance}) filter (where ${leases.state} <> 'ended' and ${leases.renewedAt} <= ${new Date(now.getTime() - NOT_REPORTING_MS).toISOString()}::timestamptz)`.mapWith(
          Number,
        ),
    })
    .from(leases)
    .where(and(inArray(leases.budgetId, [...budgetIds]), lte(leases.windowStartsAt, now), gt(leases.windowEndsAt, now)))
    .groupBy(leases.budgetId);
  const waits = await db
    .select({ budgetId: leaseWants.budgetId, waiting: sql`count(*)`.mapWith(Number) })
    .from(leaseWants)
    .where(and(inArray(leaseWants.budgetId, [...budgetIds]), gt(leaseWants.waitsUntil, now)))
    .groupBy(leaseWants.budgetId);
  const byBudget = new Map(sums.map(({ budgetId, ...rest }) => [budgetId, { ...rest, waiting: 0 }]));
  for (const { budgetId, waiting } of waits) {
    byBudget.set(budgetId, { ...(byBudget.get(budgetId) ?? NO_LEASES), waiting });
  }
  return byBudget;
}

/** The leases of the budget's current window that hold money, those that hold most first. */
export async function listLeases(
  ctx: Ctx,
  environmentKey: string,
  id: string,
): Promise<{ items: LeaseResource[]; revision: string }> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const items = await read(ctx, async (db) => {
    const budget = await requireBudget(db, environment.id, id);
    const { startMs } = windowAt(budget.period, budget.timezone, ctx.deps.clock.nowMs());
    const held = sql`${leases.grantedNanoUsd} - ${leases.releasedNanoUsd} - ${leases.settledNanoUsd}`;
    const rows = await db
      .select()
      .from(leases)
      .where(and(eq(leases.budgetId, id), eq(leases.windowStartsAt, new Date(startMs)), ne(leases.state, "ended")))
      .orderBy(desc(held), leases.id)
      .limit(MAX_LISTED);
    return rows.map(resourceOf);
  });
  return { items, revision: ctx.deps.snapshots.revisionOf(environment.id, environment.revision) };
}

function resourceOf(row: LeaseRow): LeaseResource {
  return {
    id: row.id,
    instance: row.instance,
    state: row.state === "indeterminate" ? "indeterminate" : "open",
    grantedNanoUsd: row.grantedNanoUsd,
    releasedNanoUsd: row.releasedNanoUsd,
    settledNanoUsd: row.settledNanoUsd,
    inFlightNanoUsd: row.inFlightNanoUsd,
    heldNanoUsd: heldNanoUsd(row),
    grantedAt: row.grantedAt.toISOString(),
    renewedAt: row.renewedAt.toISOString(),
  };
}
