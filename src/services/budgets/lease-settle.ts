/**
 * The way from reserved to spent: a usage record that names its lease settles it in the transaction that counts it. It counts
 * in the lease's window, though it may end after it: what was set aside in a window is spent in that window.
 */
import { and, eq, sql } from "drizzle-orm";
import type { NameOf } from "../../../sdk-client/src/evaluate/model-names.ts";
import { leases } from "../../db/schema/leases.ts";
import type { Db } from "../../db/types.ts";
import { type Budget, subjectOf } from "../../domain/budget.ts";
import type { PricedRecord } from "../../domain/ledger.ts";
import { windowAt } from "../../domain/window.ts";
import type { WindowSum } from "../usage/ledger-writes.ts";
import { textsIn } from "./lease-rows.ts";

export type NamedLease = Pick<typeof leases.$inferSelect, "id" | "budgetId" | "windowStartsAt" | "windowEndsAt">;

/** What the records settle, by lease. */
export function leaseUses(records: readonly PricedRecord[]): Map<string, number> {
  const uses = new Map<string, number>();
  for (const { record } of records) {
    for (const { leaseId, nanoUsd } of record.leases ?? []) uses.set(leaseId, (uses.get(leaseId) ?? 0) + nanoUsd);
  }
  return uses;
}

/** The leases that are named, as far as they are the environment's and their budgets are there. */
export async function readNamedLeases(
  tx: Db,
  environmentId: string,
  uses: ReadonlyMap<string, number>,
): Promise<ReadonlyMap<string, NamedLease>> {
  if (uses.size === 0) return new Map();
  const rows = await tx
    .select({
      id: leases.id,
      budgetId: leases.budgetId,
      windowStartsAt: leases.windowStartsAt,
      windowEndsAt: leases.windowEndsAt,
    })
    .from(leases)
    .where(and(eq(leases.environmentId, environmentId), sql`${leases.id} in ${textsIn([...uses.keys()])}`));
  return new Map(rows.map((row) => [row.id, row]));
}

/**
 * Moves what these records add from the window of their time to that of their lease, for the lease's budget. Every window of
 * a lease is among the result, so that its row is locked before the lease.
 */
export function inLeaseWindows(
  sums: readonly WindowSum[],
  records: readonly PricedRecord[],
  { named, budgets, nameOf }: { named: ReadonlyMap<string, NamedLease>; budgets: readonly Budget[]; nameOf: NameOf },
): WindowSum[] {
  if (named.size === 0) return [...sums];
  const byKey = new Map(sums.map((sum) => [keyOf(sum.budgetId, sum.startsAt), sum]));
  const windowOf = (budgetId: string, startsAt: Date, endsAt: Date): WindowSum => {
    const key = keyOf(budgetId, startsAt);
    const sum = byKey.get(key) ?? { budgetId, startsAt, endsAt, spentNanoUsd: 0n, exactNanoUsd: 0n };
    byKey.set(key, sum);
    return sum;
  };
  const budgetById = new Map(budgets.map((budget) => [budget.id, budget]));
  for (const { budgetId, windowStartsAt, windowEndsAt } of named.values())
    windowOf(budgetId, windowStartsAt, windowEndsAt);
  for (const { record, atMs, costNanoUsd } of records) {
    for (const lease of namedBy(record.leases, named)) {
      const budget = budgetById.get(lease.budgetId);
      if (budget === undefined || subjectOf(budget.scope, record, nameOf) === null) continue;
      // What nobody knows settles at its worst case: what is not reserved any more is spent, also beyond the estimate.
      const settled = (record.leases ?? []).find(({ leaseId }) => leaseId === lease.id)?.nanoUsd ?? 0;
      const beyond = settled === 0 ? 0n : BigInt(Math.max(0, settled - costNanoUsd));
      windowOf(budget.id, lease.windowStartsAt, lease.windowEndsAt).spentNanoUsd += beyond;
      const { startMs, endMs } = windowAt(budget.period, budget.timezone, atMs);
      if (startMs === lease.windowStartsAt.getTime()) continue;
      const cost = BigInt(costNanoUsd);
      const from = windowOf(budget.id, new Date(startMs), new Date(endMs));
      const to = windowOf(budget.id, lease.windowStartsAt, lease.windowEndsAt);
      from.spentNanoUsd -= cost;
      to.spentNanoUsd += cost;
      if (!record.exact) continue;
      from.exactNanoUsd -= cost;
      to.exactNanoUsd += cost;
    }
  }
  return [...byKey.values()];
}

/** The leases that a record names, one for each budget. */
function namedBy(uses: PricedRecord["record"]["leases"], named: ReadonlyMap<string, NamedLease>): NamedLease[] {
  const byBudget = new Map<string, NamedLease>();
  for (const { leaseId } of uses ?? []) {
    const lease = named.get(leaseId);
    if (lease !== undefined && !byBudget.has(lease.budgetId)) byBudget.set(lease.budgetId, lease);
  }
  return [...byBudget.values()];
}

function keyOf(budgetId: string, startsAt: Date): string {
  return `${budgetId} ${startsAt.getTime()}`;
}

/**
 * Settles the leases: what their windows hold becomes less by what they spent, and never less than nothing. The rows of the
 * windows are locked by now.
 */
export async function settleLeases(tx: Db, environmentId: string, uses: ReadonlyMap<string, number>): Promise<void> {
  if (uses.size === 0) return;
  const rows = [...uses].map(([id, nanoUsd]) => ({ id, nanoUsd }));
  await tx.execute(sql`
    with uses as (
      select id, "nanoUsd" as nano_usd
      from jsonb_to_recordset(cast(${JSON.stringify(rows)} as text)::jsonb) as v(id text, "nanoUsd" bigint)
    ), held as (
      select l.id, least(uses.nano_usd, l.granted_nano_usd - l.released_nano_usd - l.settled_nano_usd) as moved
      from leases as l join uses on uses.id = l.id
      where l.environment_id = ${environmentId}
      order by l.id for update of l
    ), settled as (
      update leases as l set settled_nano_usd = l.settled_nano_usd + held.moved
      from held where l.id = held.id
      returning l.budget_id, l.window_starts_at, l.state, held.moved
    ), sums as (
      select budget_id, window_starts_at,
        coalesce(sum(moved) filter (where state <> 'indeterminate'), 0) as reserved,
        coalesce(sum(moved) filter (where state = 'indeterminate'), 0) as indeterminate
      from settled group by budget_id, window_starts_at
    )
    update budget_windows as w set
      reserved_nano_usd = w.reserved_nano_usd - sums.reserved,
      indeterminate_nano_usd = w.indeterminate_nano_usd - sums.indeterminate
    from sums where w.budget_id = sums.budget_id and w.starts_at = sums.window_starts_at`);
}
