/**
 * What is so now of what an incident switched. A step's sentence is history and stays; pages and alerts say beside it
 * which of its trips hold, and which people have overridden, or have ended, since.
 */
import { and, eq, isNull, type SQL, sql } from "drizzle-orm";
import { requireEnvironment } from "../../authorize.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { trips } from "../../db/schema/budgets.ts";
import { incidents } from "../../db/schema/incidents.ts";
import type { Db } from "../../db/types.ts";

/** A flag that the last switching step switched, and that none of the step's trips holds any more. */
export interface LapsedTrip {
  flag: string;
  /** Who overrode it; null when it ended without anybody overriding it. */
  overriddenBy: string | null;
  /** ISO 8601. */
  at: string;
}

export interface Lapsed {
  /** Flags that it still holds, by name. */
  held: readonly string[];
  action: "downgrade" | "kill";
  /** When what it holds ends by itself, ISO 8601; null: when somebody restores. */
  until: string | null;
  /** By flag. */
  trips: readonly LapsedTrip[];
  /** Nothing that the step switched is in force. */
  all: boolean;
}

/** By the id of the open incident; none for one that switched nothing. */
export async function lapsedTrips(ctx: Ctx, environmentKey: string): Promise<ReadonlyMap<string, Lapsed>> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  return read(ctx, (db) =>
    lapsedWhere(db, and(eq(incidents.environmentId, environment.id), isNull(incidents.resolvedAt))),
  );
}

/** Of one incident, open or not. */
export async function lapsedOf(db: Db, incidentId: string): Promise<Lapsed | undefined> {
  return (await lapsedWhere(db, eq(incidents.id, incidentId))).get(incidentId);
}

async function lapsedWhere(db: Db, where: SQL | undefined): Promise<ReadonlyMap<string, Lapsed>> {
  const rows = await db
    .select({ id: incidents.id, trip: trips })
    .from(incidents)
    .crossJoinLateral(
      sql`(select step ->> 'action' as action, (step ->> 'atPercent')::integer as at_percent
        from jsonb_array_elements(${incidents.steps}) with ordinality as each(step, n)
        where step ->> 'action' in ('kill', 'downgrade') order by n desc limit 1) as "last_switch"`,
    )
    .innerJoin(
      trips,
      and(
        eq(trips.budgetId, incidents.budgetId),
        eq(trips.windowStartsAt, incidents.windowStartsAt),
        sql`${trips.action} = "last_switch".action`,
        sql`${trips.atPercent} = "last_switch".at_percent`,
      ),
    )
    .where(where)
    .orderBy(trips.flag, trips.since);
  const lapsed = new Map<string, Lapsed>();
  for (const [id, own] of groups(rows, (row) => row.id)) {
    const flags = groups(own, ({ trip }) => trip.flag);
    const gone = [...flags.values()].flatMap((ofFlag) => lapsedTrip(ofFlag.map(({ trip }) => trip)));
    const left = own.map(({ trip }) => trip).filter(holds);
    lapsed.set(id, {
      held: [...new Set(left.map(({ flag }) => flag))],
      action: own[0]?.trip.action ?? "kill",
      until: left[0]?.until?.toISOString() ?? null,
      trips: gone,
      all: gone.length === flags.size,
    });
  }
  return lapsed;
}

type TripRow = typeof trips.$inferSelect;

function holds({ overriddenAt, endedAt }: TripRow): boolean {
  return overriddenAt === null && endedAt === null;
}

/** The newest trip of one flag tells, unless one is in force still. */
function lapsedTrip(oldestFirst: readonly TripRow[]): LapsedTrip[] {
  if (oldestFirst.some(holds)) return [];
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
