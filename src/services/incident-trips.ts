/**
 * What is left of what an incident's last step switched. The step's sentence is history and stays; the board says beside
 * it which of its trips people have overridden, or have ended, since.
 */
import { and, eq, isNull, sql } from "drizzle-orm";
import { type Ctx, read, requireEnvironment } from "../context.ts";
import { incidents, trips } from "../db/ledger-schema.ts";

/** A flag that the last step switched, and that none of the step's trips holds any more. */
export interface LapsedTrip {
  flag: string;
  /** Who overrode it; null when it ended without anybody overriding it. */
  overriddenBy: string | null;
  /** ISO 8601. */
  at: string;
}

export interface Lapsed {
  /** By flag. */
  trips: readonly LapsedTrip[];
  /** Nothing that the step switched is in force. */
  all: boolean;
}

/** By the id of the open incident; none for one whose last step holds all that it switched, or switched nothing. */
export async function lapsedTrips(ctx: Ctx, environmentKey: string): Promise<ReadonlyMap<string, Lapsed>> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const rows = await read(ctx, (db) =>
    db
      .select({ id: incidents.id, trip: trips })
      .from(incidents)
      .innerJoin(
        trips,
        and(
          eq(trips.budgetId, incidents.budgetId),
          // An incident is of one window, which its cause names in Unix milliseconds.
          sql`${incidents.cause} = 'budget:' || ${trips.budgetId} || ':' ||
            (extract(epoch from ${trips.windowStartsAt}) * 1000)::bigint`,
          sql`${trips.action} = ${incidents.steps} -> -1 ->> 'action'`,
          sql`${trips.atPercent} = (${incidents.steps} -> -1 ->> 'atPercent')::integer`,
        ),
      )
      .where(and(eq(incidents.environmentId, environment.id), isNull(incidents.resolvedAt)))
      .orderBy(trips.flag, trips.since),
  );
  const lapsed = new Map<string, Lapsed>();
  for (const [id, own] of groups(rows, (row) => row.id)) {
    const flags = groups(own, ({ trip }) => trip.flag);
    const gone = [...flags.values()].flatMap((ofFlag) => lapsedOf(ofFlag.map(({ trip }) => trip)));
    if (gone.length > 0) lapsed.set(id, { trips: gone, all: gone.length === flags.size });
  }
  return lapsed;
}

/** The newest trip of one flag tells, unless one is in force still. */
function lapsedOf(oldestFirst: readonly (typeof trips.$inferSelect)[]): LapsedTrip[] {
  if (oldestFirst.some((trip) => trip.overriddenAt === null && trip.endedAt === null)) return [];
  const last = oldestFirst.at(-1);
  const at = last?.overriddenAt ?? last?.endedAt;
  if (last === undefined || at === undefined || at === null) return [];
  return [{ flag: last.flag, overriddenBy: last.overriddenBy, at: at.toISOString() }];
}

function groups<T>(rows: readonly T[], keyOf: (row: T) => string): Map<string, T[]> {
  const found = new Map<string, T[]>();
  for (const row of rows) {
    const known = found.get(keyOf(row));
    if (known === undefined) found.set(keyOf(row), [row]);
    else known.push(row);
  }
  return found;
}
