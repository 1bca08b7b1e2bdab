/**
 * Leases whose clients went silent. Nobody knows what they spent since: all that is held becomes indeterminate, counts
 * against the limit, and is returned by a late report or by a person, never by time.
 */
import { and, asc, eq, inArray, lt, lte, sql } from "drizzle-orm";
import { LEASE_TTL_MS } from "../../../sdk-client/src/wire/lease-protocol.ts";
import type { Ctx } from "../../deps.ts";
import { withTransaction } from "../../transaction.ts";
import { leaseRequests, leases, leaseWants } from "../../db/schema/leases.ts";
import type { Db } from "../../db/types.ts";
import { heldNanoUsd } from "../../domain/lease.ts";
import { windowAt } from "../../domain/window.ts";
import { type LeaseRow, lockWindows, moveWindow, readBudgetRow, shareBudgets, writeLeases } from "./lease-rows.ts";

/** Of one transaction; what is left goes in the next turn. */
const MAX_EXPIRED_AT_A_TIME = 1_000;
/** No client sends a request again after so long. */
const REQUESTS_KEPT_MS = 3_600_000;
/** A late report can still name its lease. */
const ENDED_KEPT_MS = 3 * 86_400_000;

/** Makes what silent clients hold indeterminate. Cheap when there are none. */
export async function expireLeases(ctx: Ctx, environmentId: string): Promise<void> {
  const silentSince = new Date(ctx.deps.clock.nowMs() - LEASE_TTL_MS);
  const isSilent = and(
    eq(leases.environmentId, environmentId),
    eq(leases.state, "open"),
    lte(leases.renewedAt, silentSince),
  );
  const rows = await ctx.deps.db.selectDistinct({ budgetId: leases.budgetId }).from(leases).where(isSilent);
  for (const { budgetId } of rows.toSorted((a, b) => (a.budgetId < b.budgetId ? -1 : 1))) {
    await withTransaction(ctx, async (tx) => {
      await shareBudgets(tx, environmentId);
      const row = await readBudgetRow(tx, environmentId, budgetId);
      if (row === undefined) return;
      const nowMs = ctx.deps.clock.nowMs();
      const ofBudget = and(isSilent, eq(leases.budgetId, budgetId));
      const found = await tx
        .select({ id: leases.id })
        .from(leases)
        .where(ofBudget)
        .orderBy(asc(leases.id))
        .limit(MAX_EXPIRED_AT_A_TIME);
      const ids = found.map(({ id }) => id);
      await lockWindows(tx, budgetId, windowAt(row.period, row.timezone, nowMs), ids);
      // Looked at again under the lock: one may have been renewed meanwhile.
      const silent = await tx
        .select()
        .from(leases)
        .where(and(ofBudget, inArray(leases.id, ids)))
        .orderBy(asc(leases.id))
        .for("update");
      await expire(tx, budgetId, silent, new Date(nowMs));
    });
  }
}

async function expire(tx: Db, budgetId: string, silent: readonly LeaseRow[], now: Date): Promise<void> {
  const byWindow = new Map<number, number>();
  const after = silent.map((lease): LeaseRow => {
    const held = heldNanoUsd(lease);
    const startMs = lease.windowStartsAt.getTime();
    byWindow.set(startMs, (byWindow.get(startMs) ?? 0) + held);
    return held > 0 ? { ...lease, state: "indeterminate" } : { ...lease, state: "ended", endedAt: now };
  });
  for (const [startMs, held] of [...byWindow].toSorted(([a], [b]) => a - b)) {
    if (held > 0) {
      await moveWindow(tx, budgetId, {
        startsAt: new Date(startMs),
        reservedNanoUsd: -held,
        indeterminateNanoUsd: held,
      });
    }
  }
  await writeLeases(tx, after);
}

/** Removes requests, wants and leases that nobody asks for any more. */
export async function pruneLeases(db: Db, nowMs: number): Promise<void> {
  await db.delete(leaseRequests).where(lt(leaseRequests.at, new Date(nowMs - REQUESTS_KEPT_MS)));
  await db.delete(leaseWants).where(lt(leaseWants.livesUntil, new Date(nowMs)));
  await db.delete(leases).where(lt(leases.endedAt, new Date(nowMs - ENDED_KEPT_MS)));
  // What is held of a window that is long over counts nowhere any more.
  await db
    .delete(leases)
    .where(
      sql`${leases.windowEndsAt} < ${new Date(nowMs - ENDED_KEPT_MS).toISOString()}::timestamptz and ${leases.state} <> 'open'`,
    );
}
