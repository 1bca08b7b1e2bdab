/** Reads all that the snapshot of one environment is compiled from, in one statement: one state, one round trip. */
import { eq, type SQL, sql } from "drizzle-orm";
import type { PriceRow } from "../../sdk-client/src/price-list.ts";
import type { PriceTable } from "../../sdk-client/src/price-table.ts";
import { StandbyError } from "../db/away.ts";
import { jsonRows } from "../db/json-rows.ts";
import { lineageColumns, lineageOf, type LineageParts } from "../db/lineage.ts";
import { environments, flags, installation } from "../db/schema.ts";
import type { Db, EnvironmentRow } from "../db/types.ts";
import type { SnapshotFlagSource } from "../domain/snapshot.ts";
import { priceColumn, priceTableOf } from "./price-rows.ts";
import { surroundingColumns, type SurroundingRows } from "./surroundings.ts";

const FLAG_COLUMNS = {
  key: flags.key,
  chain: flags.chain,
  offMode: flags.offMode,
  offMessage: flags.offMessage,
  abortInFlight: flags.abortInFlight,
  clampMaxTokens: flags.clampMaxTokens,
  rules: flags.rules,
  rollout: flags.rollout,
  salt: flags.salt,
  state: flags.state,
  cause: flags.cause,
  ramp: flags.ramp,
  levelModel: flags.levelModel,
  level: flags.level,
};

export interface SnapshotRows extends SurroundingRows {
  flags: readonly SnapshotFlagSource[];
  environment: EnvironmentRow;
  lineage: string;
  /** The lineage of environments whose own was never replaced. */
  sharedLineage: string;
  priceTable: PriceTable;
}

/** Null when the environment is gone. Throws StandbyError on a database that must not speak. */
export async function readSnapshotRows(db: Db, environmentId: string): Promise<SnapshotRows | null> {
  const [row] = await db
    .select(snapshotColumns(environmentId))
    .from(environments)
    .innerJoin(installation, eq(installation.id, 1))
    .where(eq(environments.id, environmentId));
  return row === undefined ? null : snapshotRowsOf(row);
}

type SnapshotColumns = typeof lineageColumns &
  ReturnType<typeof surroundingColumns> & {
    environment: typeof environments;
    flags: SQL<SnapshotFlagSource[]>;
    prices: ReturnType<typeof priceColumn>;
  };

/** Columns for a query from `installation` joined with `environments`. */
export function snapshotColumns(environmentId: string): SnapshotColumns {
  return {
    environment: environments,
    ...lineageColumns,
    flags: jsonRows(FLAG_COLUMNS, sql`from ${flags} where ${eq(flags.environmentId, environmentId)}`, [flags.key]),
    ...surroundingColumns(environmentId),
    prices: priceColumn(),
  };
}

interface SnapshotRow extends LineageParts, SurroundingRows {
  environment: EnvironmentRow;
  flags: readonly SnapshotFlagSource[];
  prices: { row: PriceRow }[];
}

/** What a query for `snapshotColumns` brought. Throws StandbyError on a database that must not speak. */
export function snapshotRowsOf(row: SnapshotRow): SnapshotRows {
  const lineage = lineageOf(row);
  if (lineage === null) throw new StandbyError();
  return {
    environment: row.environment,
    lineage,
    sharedLineage: lineageOf({ ...row, own: "" }) ?? lineage,
    flags: row.flags,
    chains: row.chains,
    trips: row.trips,
    blocks: row.blocks,
    priceTable: priceTableOf(row.prices),
  };
}
