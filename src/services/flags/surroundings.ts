/** Reads what decides about the flags of an environment besides the flags themselves. */
import { and, asc, eq, inArray, isNotNull, isNull, type Placeholder, sql } from "drizzle-orm";
import { modelTable } from "../../../sdk-client/src/evaluate/model-table.ts";
import type { PriceRow } from "../../../sdk-client/src/wire/price-row.ts";
import type { ChainStep, SnapshotBreaker } from "../../../sdk-client/src/wire/protocol.ts";
import { jsonRows } from "../../db/json-rows.ts";
import { budgetRaises, budgets, budgetWindows, trips } from "../../db/schema/budgets.ts";
import { chains, environments, modelBlocks, modelBreakers } from "../../db/schema/state.ts";
import type { Db, EnvironmentRow } from "../../db/types.ts";
import { BREAKER } from "../../domain/actor.ts";
import { type FleetCalls, whyOut } from "../../domain/breaker.ts";
import type { Surroundings } from "../../domain/flag.ts";
import type { TripInForce } from "../../domain/in-force.ts";
import type { OverBudget, Overridden } from "../../domain/over-limit.ts";
import type { BlockedModel } from "../../domain/standing.ts";
import { priceColumn } from "../models/price-rows.ts";

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

const BREAKER_COLUMNS = {
  model: modelBreakers.model,
  since: modelBreakers.since,
  probeShare: modelBreakers.probeShare,
  calls: modelBreakers.calls,
  failures: modelBreakers.failures,
  instances: modelBreakers.instances,
  failingInstances: modelBreakers.failingInstances,
};

const OVERRIDDEN_COLUMNS = {
  flag: trips.flag,
  budgetId: trips.budgetId,
  budgetName: budgets.name,
  action: trips.action,
  windowStartsAt: trips.windowStartsAt,
  until: trips.until,
  by: trips.overriddenBy,
  reason: trips.overrideReason,
  at: trips.overriddenAt,
};

const OVER_COLUMNS = {
  budgetId: budgets.id,
  budgetName: budgets.name,
  flag: budgets.flag,
  model: budgets.model,
  enforcement: budgets.enforcement,
  ladder: budgets.ladder,
  windowStartsAt: budgetWindows.startsAt,
  windowEndsAt: budgetWindows.endsAt,
  since: budgetWindows.overSince,
  spentNanoUsd: budgetWindows.spentNanoUsd,
  limitNanoUsd: budgetWindows.overLimitNanoUsd,
  raiseBy: budgetRaises.by,
  raiseEndedAt: budgetRaises.endedAt,
};

const NONE: SurroundingRows = { chains: [], blocks: [], breakers: [], trips: [], overridden: [], over: [], prices: [] };

/** In one statement: a kill waits for each. */
export async function readSurroundings(db: Db, environment: EnvironmentRow): Promise<Surroundings> {
  return surroundingsOf(environment, await readSurroundingRows(db, environment.id));
}

export async function readSurroundingRows(db: Db, environmentId: string): Promise<SurroundingRows> {
  const [row] = await db
    .select(surroundingColumns(environmentId))
    .from(environments)
    .where(eq(environments.id, environmentId));
  return row ?? NONE;
}

/** Columns for any query: what decides about the flags of an environment, and the prices that operators added. */
export function surroundingColumns(environmentId: string | Placeholder) {
  return {
    chains: jsonRows(
      { name: chains.name, steps: chains.steps },
      sql`from ${chains} where ${eq(chains.environmentId, environmentId)}`,
      [chains.name],
    ),
    blocks: jsonRows(
      {
        model: modelBlocks.model,
        by: modelBlocks.by,
        reason: modelBlocks.reason,
        since: modelBlocks.since,
        until: modelBlocks.until,
      },
      sql`from ${modelBlocks} where ${eq(modelBlocks.environmentId, environmentId)}`,
      [modelBlocks.model],
    ),
    breakers: jsonRows(
      BREAKER_COLUMNS,
      sql`from ${modelBreakers} where ${and(
        eq(modelBreakers.environmentId, environmentId),
        inArray(modelBreakers.state, ["open", "probing"]),
      )}`,
      [modelBreakers.since, modelBreakers.model],
    ),
    trips: jsonRows(
      TRIP_COLUMNS,
      sql`from ${trips} join ${budgets} on ${eq(budgets.id, trips.budgetId)} where ${inForce(environmentId)}`,
      [trips.since, trips.id],
    ),
    overridden: jsonRows(
      OVERRIDDEN_COLUMNS,
      sql`from ${trips} join ${budgets} on ${eq(budgets.id, trips.budgetId)} where ${and(
        eq(trips.environmentId, environmentId),
        isNull(trips.endedAt),
        isNotNull(trips.overriddenAt),
      )}`,
      [trips.overriddenAt, trips.id],
    ),
    over: jsonRows(
      OVER_COLUMNS,
      sql`from ${budgetWindows} join ${budgets} on ${eq(budgets.id, budgetWindows.budgetId)}
        left join lateral (
          select by, ended_at from ${budgetRaises} as ended
          where ended.budget_id = ${budgets.id} and ended.ended_at is not null order by ended.ended_at desc limit 1
        ) as "budget_raises" on true
        where ${and(eq(budgets.environmentId, environmentId), isNull(budgetWindows.closedAt), isNotNull(budgetWindows.overSince))}`,
      [budgets.name],
    ),
    prices: priceColumn(),
  };
}

export type BreakerInForce = FleetCalls & { model: string; since: Date; probeShare: number | null };

/** Of one environment. What the conditions of the queries above leave out is null nowhere. */
export interface SurroundingRows {
  chains: readonly { name: string; steps: readonly ChainStep[] }[];
  blocks: readonly BlockedModel[];
  /** Models that a breaker has taken out, the oldest first. */
  breakers: readonly BreakerInForce[];
  trips: readonly TripInForce[];
  overridden: readonly (Omit<Overridden, "at"> & { at: Date | null })[];
  over: readonly (Omit<OverBudget, "since" | "limitNanoUsd"> & { since: Date | null; limitNanoUsd: number | null })[];
  prices: readonly { row: PriceRow }[];
}

export function surroundingsOf(environment: EnvironmentRow, rows: SurroundingRows): Surroundings {
  return {
    master: {
      state: environment.masterState,
      by: environment.masterBy,
      reason: environment.masterReason,
      since: environment.masterSince,
      until: environment.masterUntil,
    },
    chains: new Map(rows.chains.map((row) => [row.name, row.steps])),
    models: modelTable({
      blocked: rows.blocks.map((row) => row.model),
      breakers: breakersOf(rows),
      aliases: environment.aliases,
      prices: rows.prices.map((price) => price.row),
    }),
    blocks: [...rows.blocks, ...rows.breakers.map(blockOfBreaker)],
    trips: rows.trips,
    overridden: rows.overridden.flatMap(({ at, ...row }) => (at === null ? [] : [{ ...row, at }])),
    over: rows.over.flatMap(({ since: overSince, limitNanoUsd, ...row }) =>
      overSince === null || limitNanoUsd === null ? [] : [{ ...row, since: overSince, limitNanoUsd }],
    ),
  };
}

/** The breakers as clients know them. */
export function breakersOf({ breakers }: Pick<SurroundingRows, "breakers">): SnapshotBreaker[] {
  return breakers.map(({ model, probeShare }) => ({ model, probeShare: probeShare ?? 0 }));
}

function blockOfBreaker(breaker: BreakerInForce): BlockedModel {
  const { model, since } = breaker;
  return { model, by: BREAKER.name, reason: whyOut(breaker), since, until: null, byBreaker: true };
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
