/** The SQL of leases: one statement a table for a whole batch. Callers hold the locks of the windows. */
import { and, asc, eq, gt, inArray, or, sql } from "drizzle-orm";
import { budgets, budgetWindows } from "../../db/schema/budgets.ts";
import { leaseRequests, leases, leaseWants } from "../../db/schema/leases.ts";
import type { Db } from "../../db/types.ts";
import type { Window } from "../../domain/window.ts";
import { budgetColumns } from "./rows.ts";

export type LeaseRow = typeof leases.$inferSelect;
export type WantRow = typeof leaseWants.$inferSelect;
export type LockedWindow = Pick<
  typeof budgetWindows.$inferSelect,
  "startsAt" | "endsAt" | "spentNanoUsd" | "reservedNanoUsd" | "indeterminateNanoUsd" | "scarceUntil"
>;

/** A list of texts as one parameter. */
export const textsIn = (values: readonly string[]) =>
  sql`(select jsonb_array_elements_text(cast(${JSON.stringify(values)} as text)::jsonb))`;

/** The shared side of the lock under which a budget begins to count something else. */
export async function shareBudgets(tx: Db, environmentId: string): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock_shared(hashtextextended(${`budgets:${environmentId}`}, 0))`);
}

export async function readBudgetRow(tx: Db, environmentId: string, budgetId: string) {
  const [row] = await tx
    .select(budgetColumns)
    .from(budgets)
    .where(and(eq(budgets.environmentId, environmentId), eq(budgets.id, budgetId)));
  return row;
}

/** The budgets of these leases, as far as they are the environment's. */
export async function readBudgetsOfLeases(
  db: Db,
  environmentId: string,
  ids: readonly string[],
): Promise<{ id: string; budgetId: string }[]> {
  return db
    .select({ id: leases.id, budgetId: leases.budgetId })
    .from(leases)
    .where(and(eq(leases.environmentId, environmentId), sql`${leases.id} in ${textsIn(ids)}`));
}

/** Locks the windows of these leases, and the current one, which is made when it is not there. Oldest first. */
export async function lockWindows(
  tx: Db,
  budgetId: string,
  current: Window,
  leaseIds: readonly string[],
): Promise<LockedWindow[]> {
  const startsAt = new Date(current.startMs);
  const lock = () =>
    tx
      .select({
        startsAt: budgetWindows.startsAt,
        endsAt: budgetWindows.endsAt,
        spentNanoUsd: budgetWindows.spentNanoUsd,
        reservedNanoUsd: budgetWindows.reservedNanoUsd,
        indeterminateNanoUsd: budgetWindows.indeterminateNanoUsd,
        scarceUntil: budgetWindows.scarceUntil,
      })
      .from(budgetWindows)
      .where(
        and(
          eq(budgetWindows.budgetId, budgetId),
          or(
            eq(budgetWindows.startsAt, startsAt),
            sql`${budgetWindows.startsAt} in (select window_starts_at from leases where id in ${textsIn(leaseIds)})`,
          ),
        ),
      )
      .orderBy(asc(budgetWindows.startsAt))
      .for("update");
  const locked = await lock();
  if (locked.some((window) => window.startsAt.getTime() === current.startMs)) return locked;
  await tx
    .insert(budgetWindows)
    .values({ budgetId, startsAt, endsAt: new Date(current.endMs) })
    .onConflictDoNothing();
  return lock();
}

/** These leases of the budget, and those that these requests were granted; locked, in the order of their ids. */
export async function lockLeases(
  tx: Db,
  budgetId: string,
  { leaseIds, requestIds }: { leaseIds: readonly string[]; requestIds: readonly string[] },
): Promise<{ rows: LeaseRow[]; byRequest: Map<string, string> }> {
  const granted =
    requestIds.length === 0
      ? []
      : await tx
          .select({ requestId: leaseRequests.requestId, leaseId: leaseRequests.leaseId })
          .from(leaseRequests)
          .where(and(eq(leaseRequests.budgetId, budgetId), sql`${leaseRequests.requestId} in ${textsIn(requestIds)}`));
  const ids = [...new Set([...leaseIds, ...granted.map(({ leaseId }) => leaseId)])];
  const rows =
    ids.length === 0
      ? []
      : await tx
          .select()
          .from(leases)
          .where(and(eq(leases.budgetId, budgetId), sql`${leases.id} in ${textsIn(ids)}`))
          .orderBy(asc(leases.id))
          .for("update");
  return { rows, byRequest: new Map(granted.map(({ requestId, leaseId }) => [requestId, leaseId])) };
}

/** How many leases share the window, and how many of them hold money. */
export async function countHolders(
  tx: Db,
  budgetId: string,
  startsAt: Date,
): Promise<{ open: number; holding: number }> {
  const [row] = await tx
    .select({
      open: sql`count(*)`.mapWith(Number),
      holding:
        sql`count(*) filter (where ${leases.grantedNanoUsd} > ${leases.releasedNanoUsd} + ${leases.settledNanoUsd})`.mapWith(
          Number,
        ),
    })
    .from(leases)
    .where(and(eq(leases.budgetId, budgetId), eq(leases.windowStartsAt, startsAt), eq(leases.state, "open")));
  return row ?? { open: 0, holding: 0 };
}

/** The queue of a budget, at whatever server. */
export async function readWants(tx: Db, budgetId: string, now: Date): Promise<WantRow[]> {
  return tx
    .select()
    .from(leaseWants)
    .where(and(eq(leaseWants.budgetId, budgetId), gt(leaseWants.livesUntil, now)));
}

const excluded = (column: string) => sql.raw(`excluded.${column}`);

/** Writes leases, made or changed. */
export async function writeLeases(tx: Db, rows: readonly LeaseRow[]): Promise<void> {
  if (rows.length === 0) return;
  await tx
    .insert(leases)
    .values([...rows])
    .onConflictDoUpdate({
      target: leases.id,
      set: {
        windowStartsAt: excluded("window_starts_at"),
        windowEndsAt: excluded("window_ends_at"),
        state: excluded("state"),
        recalled: excluded("recalled"),
        grantedNanoUsd: excluded("granted_nano_usd"),
        releasedNanoUsd: excluded("released_nano_usd"),
        settledNanoUsd: excluded("settled_nano_usd"),
        spentNanoUsd: excluded("spent_nano_usd"),
        inFlightNanoUsd: excluded("in_flight_nano_usd"),
        renewedAt: excluded("renewed_at"),
        endedAt: excluded("ended_at"),
      },
    });
}

/** Notes what was granted, so that a request that is sent again is answered with it. */
export async function noteGranted(
  tx: Db,
  budgetId: string,
  granted: readonly { requestId: string; leaseId: string }[],
  at: Date,
): Promise<void> {
  if (granted.length === 0) return;
  await tx
    .insert(leaseRequests)
    .values(granted.map(({ requestId, leaseId }) => ({ budgetId, requestId, leaseId, at })))
    .onConflictDoNothing();
}

export async function dropWants(tx: Db, budgetId: string, requestIds: readonly string[]): Promise<void> {
  if (requestIds.length === 0) return;
  await tx
    .delete(leaseWants)
    .where(and(eq(leaseWants.budgetId, budgetId), inArray(leaseWants.requestId, [...requestIds])));
}

/** Writes wants, new ones and those that were overtaken. */
export async function writeWants(tx: Db, rows: readonly WantRow[]): Promise<void> {
  if (rows.length === 0) return;
  await tx
    .insert(leaseWants)
    .values([...rows])
    .onConflictDoUpdate({
      target: [leaseWants.budgetId, leaseWants.requestId],
      set: {
        server: sql`excluded.server`,
        overtaken: sql`greatest(${leaseWants.overtaken}, excluded.overtaken)`,
        waitsUntil: sql`excluded.waits_until`,
        livesUntil: sql`excluded.lives_until`,
      },
    });
}

export interface WindowMove {
  startsAt: Date;
  reservedNanoUsd: number;
  indeterminateNanoUsd: number;
}

/**
 * Moves what a window holds, in one atomic update. With a limit, what is added must fit under it.
 * @throws Error when it does not: whoever asked has computed that it does, under the window's lock
 */
export async function moveWindow(
  tx: Db,
  budgetId: string,
  move: WindowMove,
  { limitNanoUsd, scarceUntil }: { limitNanoUsd?: number; scarceUntil?: Date } = {},
): Promise<void> {
  const { startsAt, reservedNanoUsd, indeterminateNanoUsd } = move;
  const after = sql`${budgetWindows.reservedNanoUsd} + ${reservedNanoUsd}::bigint`;
  const moved = await tx
    .update(budgetWindows)
    .set({
      reservedNanoUsd: after,
      indeterminateNanoUsd: sql`${budgetWindows.indeterminateNanoUsd} + ${indeterminateNanoUsd}::bigint`,
      ...(scarceUntil !== undefined && { scarceUntil }),
    })
    .where(
      and(
        eq(budgetWindows.budgetId, budgetId),
        eq(budgetWindows.startsAt, startsAt),
        limitNanoUsd === undefined
          ? undefined
          : sql`${budgetWindows.spentNanoUsd} + ${after} + ${budgetWindows.indeterminateNanoUsd} + ${indeterminateNanoUsd}::bigint <= ${limitNanoUsd}::bigint`,
      ),
    )
    .returning({ startsAt: budgetWindows.startsAt });
  if (moved.length === 0) throw new Error("more would be held of the budget than it has");
}
