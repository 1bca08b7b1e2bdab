/** Reads what decides about the flags of an environment besides the flags themselves. */
import { and, asc, eq, isNull } from "drizzle-orm";
import { canonicalModel } from "../../sdk-client/src/model-id.ts";
import { budgets, trips } from "../db/ledger-schema.ts";
import { chains, modelBlocks } from "../db/schema.ts";
import type { Db, EnvironmentRow } from "../db/types.ts";
import type { Surroundings } from "../domain/flag.ts";
import type { TripInForce } from "../domain/in-force.ts";

export async function readSurroundings(db: Db, environment: EnvironmentRow): Promise<Surroundings> {
  // Asked together: PostgreSQL gets them in one round trip.
  const [chainRows, blockRows, tripsInForce] = await Promise.all([
    db.select().from(chains).where(eq(chains.environmentId, environment.id)),
    db.select({ model: modelBlocks.model }).from(modelBlocks).where(eq(modelBlocks.environmentId, environment.id)),
    readTrips(db, environment.id),
  ]);
  return {
    masterOff: environment.masterState === "off",
    chains: new Map(chainRows.map((row) => [row.name, row.steps])),
    blocked: new Set(blockRows.map((row) => canonicalModel(row.model))),
    trips: tripsInForce,
  };
}

/** The trips of an environment that have neither ended nor been overridden. */
export async function readTrips(db: Db, environmentId: string): Promise<TripInForce[]> {
  return db
    .select({
      id: trips.id,
      flag: trips.flag,
      budgetId: trips.budgetId,
      budgetName: budgets.name,
      atPercent: trips.atPercent,
      action: trips.action,
      level: trips.level,
      model: trips.model,
      since: trips.since,
      until: trips.until,
    })
    .from(trips)
    .innerJoin(budgets, eq(budgets.id, trips.budgetId))
    .where(and(eq(trips.environmentId, environmentId), isNull(trips.endedAt), isNull(trips.overriddenAt)))
    .orderBy(asc(trips.since), asc(trips.id));
}
