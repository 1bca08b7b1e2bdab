/** Reads what decides about the flags of an environment besides the flags themselves. */
import { and, asc, eq, isNull, type Placeholder, sql } from "drizzle-orm";
import { modelTable } from "../../sdk-client/src/model-table.ts";
import type { PriceRow } from "../../sdk-client/src/price-list.ts";
import type { ChainStep } from "../../sdk-client/src/protocol.ts";
import { jsonRows } from "../db/json-rows.ts";
import { budgets, trips } from "../db/ledger-schema.ts";
import { chains, environments, modelBlocks } from "../db/schema.ts";
import type { Db, EnvironmentRow } from "../db/types.ts";
import type { Surroundings } from "../domain/flag.ts";
import type { TripInForce } from "../domain/in-force.ts";
import { priceColumn } from "./price-rows.ts";

const TRIP_COLUMNS = {
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
};

/** In one statement: a kill waits for each. */
export async function readSurroundings(db: Db, environment: EnvironmentRow): Promise<Surroundings> {
  const [row] = await db
    .select(surroundingColumns(environment.id))
    .from(environments)
    .where(eq(environments.id, environment.id));
  return surroundingsOf(environment, row ?? { chains: [], blocks: [], trips: [], prices: [] });
}

/** Columns for any query: the chains, blocks and trips of an environment, and the prices that operators added. */
export function surroundingColumns(environmentId: string | Placeholder) {
  return {
    chains: jsonRows(
      { name: chains.name, steps: chains.steps },
      sql`from ${chains} where ${eq(chains.environmentId, environmentId)}`,
      [chains.name],
    ),
    blocks: jsonRows(
      { model: modelBlocks.model },
      sql`from ${modelBlocks} where ${eq(modelBlocks.environmentId, environmentId)}`,
      [modelBlocks.model],
    ),
    trips: jsonRows(
      TRIP_COLUMNS,
      sql`from ${trips} join ${budgets} on ${eq(budgets.id, trips.budgetId)} where ${inForce(environmentId)}`,
      [trips.since, trips.id],
    ),
    prices: priceColumn(),
  };
}

/** Of one environment. */
export interface SurroundingRows {
  chains: readonly { name: string; steps: readonly ChainStep[] }[];
  blocks: readonly { model: string }[];
  trips: readonly TripInForce[];
  prices: readonly { row: PriceRow }[];
}

export function surroundingsOf(environment: EnvironmentRow, rows: SurroundingRows): Surroundings {
  return {
    masterOff: environment.masterState === "off",
    chains: new Map(rows.chains.map((row) => [row.name, row.steps])),
    models: modelTable({
      blocked: rows.blocks.map((row) => row.model),
      aliases: environment.aliases,
      prices: rows.prices.map(({ row }) => row),
    }),
    trips: rows.trips,
  };
}

/** The trips of an environment that have neither ended nor been overridden. */
export async function readTrips(db: Db, environmentId: string): Promise<TripInForce[]> {
  return db
    .select(TRIP_COLUMNS)
    .from(trips)
    .innerJoin(budgets, eq(budgets.id, trips.budgetId))
    .where(inForce(environmentId))
    .orderBy(asc(trips.since), asc(trips.id));
}

function inForce(environmentId: string | Placeholder) {
  return and(eq(trips.environmentId, environmentId), isNull(trips.endedAt), isNull(trips.overriddenAt));
}
