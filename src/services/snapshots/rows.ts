/** Reads all that the snapshot of one environment is compiled from, in one statement: one state, one round trip. */
import { and, eq, isNotNull, ne, or, sql } from "drizzle-orm";
import type { PriceTable } from "../../../sdk-client/src/pricing/price-table.ts";
import { StandbyError } from "../../database-away.ts";
import { jsonRows } from "../../db/json-rows.ts";
import { lineageColumns, lineageOf } from "../../db/lineage.ts";
import { budgets } from "../../db/schema/budgets.ts";
import { environments, flags, installation } from "../../db/schema/state.ts";
import type { Db, EnvironmentRow } from "../../db/types.ts";
import type { SnapshotBudgetSource, SnapshotFlagSource } from "../../domain/snapshot.ts";
import { priceTableOf } from "../models/price-rows.ts";
import { surroundingColumns, type SurroundingRows } from "../flags/surroundings.ts";

const FLAG_COLUMNS = {
  key: flags.key,
  chain: flags.chain,
  offMode: flags.offMode,
  offMessage: flags.offMessage,
  abortInFlight: flags.abortInFlight,
  clampMaxTokens: flags.clampMaxTokens,
  chainOnly: flags.chainOnly,
  limits: flags.limits,
  maxInputBytes: flags.maxInputBytes,
  maxOutputTokens: flags.maxOutputTokens,
  tags: flags.tags,
  rules: flags.rules,
  rollout: flags.rollout,
  salt: flags.salt,
  state: flags.state,
  cause: flags.cause,
  ramp: flags.ramp,
  levelModel: flags.levelModel,
  level: flags.level,
};

const BUDGET_COLUMNS = {
  id: budgets.id,
  name: budgets.name,
  flag: budgets.flag,
  model: budgets.model,
  tag: budgets.tag,
  userScope: budgets.userScope,
  sessionScope: budgets.sessionScope,
  enforcement: budgets.enforcement,
  onUnavailable: budgets.onUnavailable,
  reserveWaitMs: budgets.reserveWaitMs,
  minTokens: budgets.minTokens,
  whenHeld: budgets.whenHeld,
  limitNanoUsd: budgets.limitNanoUsd,
  period: budgets.period,
};

export interface SnapshotRows extends SurroundingRows {
  environment: EnvironmentRow;
  flags: readonly SnapshotFlagSource[];
  /** Those that clients enforce. */
  budgets: readonly SnapshotBudgetSource[];
  lineage: string;
  /** The lineage of environments whose own was never replaced. */
  sharedLineage: string;
  priceTable: PriceTable;
}

/**
 * Makes the statement once, as a kill waits for it. What it gives answers null when the environment is gone, and throws
 * StandbyError on a database that must not speak.
 */
export function snapshotReader(db: Db): (environmentId: string) => Promise<SnapshotRows | null> {
  const id = sql.placeholder("environmentId");
  const statement = db
    .select({
      environment: environments,
      ...lineageColumns,
      flags: jsonRows(FLAG_COLUMNS, sql`from ${flags} where ${eq(flags.environmentId, id)}`, [flags.key]),
      budgets: jsonRows(
        BUDGET_COLUMNS,
        sql`from ${budgets} where ${and(
          eq(budgets.environmentId, id),
          or(ne(budgets.enforcement, "track"), isNotNull(budgets.userScope), isNotNull(budgets.sessionScope)),
          eq(budgets.paused, false),
        )}`,
        [budgets.id],
      ),
      ...surroundingColumns(id),
    })
    .from(environments)
    .innerJoin(installation, eq(installation.id, 1))
    .where(eq(environments.id, id))
    .prepare("snapshot");
  return async (environmentId) => {
    const [row] = await statement.execute({ environmentId });
    if (row === undefined) return null;
    const lineage = lineageOf(row);
    if (lineage === null) throw new StandbyError();
    const {
      environment,
      flags: flagRows,
      budgets: budgetRows,
      chains,
      blocks,
      breakers,
      trips,
      overridden,
      over,
      prices,
    } = row;
    return {
      environment,
      lineage,
      sharedLineage: lineageOf({ ...row, own: "" }) ?? lineage,
      flags: flagRows,
      budgets: budgetRows,
      chains,
      blocks,
      breakers,
      trips,
      overridden,
      over,
      prices,
      priceTable: priceTableOf(prices),
    };
  };
}
