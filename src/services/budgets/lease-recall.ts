/**
 * A budget that begins to count something else while leases are out: nothing more is granted on them or started from them,
 * and what they hold is held of the new window until it is settled, released or indeterminate.
 */
import { and, eq, inArray, ne, sql } from "drizzle-orm";
import { leasesPayload, NOTIFY_CHANNEL } from "../../db/listen.ts";
import { budgetWindows } from "../../db/schema/budgets.ts";
import { leases } from "../../db/schema/leases.ts";
import type { Db } from "../../db/types.ts";
import { heldNanoUsd } from "../../domain/lease.ts";

/** Has every server look at the budget anew: a lower limit calls idle money back, a higher one lets wants through. */
export async function wakeLeases(tx: Db, budgetId: string): Promise<void> {
  await tx.execute(sql`select pg_notify(${NOTIFY_CHANNEL}, ${leasesPayload(budgetId)})`);
}

/** Recalls the leases of a budget that does not work by them any more. */
export async function recallLeases(tx: Db, budgetId: string): Promise<void> {
  await tx
    .update(leases)
    .set({ recalled: true })
    .where(and(eq(leases.budgetId, budgetId), eq(leases.state, "open")));
}

/**
 * Recalls them, and moves what they hold in windows that are gone to the window that is current now. Callers hold the lock
 * under which no usage is counted and nothing is granted.
 */
export async function moveLeases(
  tx: Db,
  budgetId: string,
  { from, to }: { from: readonly Date[]; to: { startMs: number; endMs: number } },
): Promise<void> {
  if (from.length === 0) return;
  const moved = await tx
    .update(leases)
    .set({ recalled: true, windowStartsAt: new Date(to.startMs), windowEndsAt: new Date(to.endMs) })
    .where(and(eq(leases.budgetId, budgetId), inArray(leases.windowStartsAt, [...from]), ne(leases.state, "ended")))
    .returning();
  const sum = (state: "open" | "indeterminate") =>
    moved.filter((lease) => lease.state === state).reduce((held, lease) => held + heldNanoUsd(lease), 0);
  const amounts = { reservedNanoUsd: sum("open"), indeterminateNanoUsd: sum("indeterminate") };
  if (amounts.reservedNanoUsd === 0 && amounts.indeterminateNanoUsd === 0) return;
  await tx
    .insert(budgetWindows)
    .values({ budgetId, startsAt: new Date(to.startMs), endsAt: new Date(to.endMs), ...amounts })
    .onConflictDoUpdate({
      target: [budgetWindows.budgetId, budgetWindows.startsAt],
      set: {
        reservedNanoUsd: sql`${budgetWindows.reservedNanoUsd} + excluded.reserved_nano_usd`,
        indeterminateNanoUsd: sql`${budgetWindows.indeterminateNanoUsd} + excluded.indeterminate_nano_usd`,
      },
    });
}
