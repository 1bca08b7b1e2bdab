/** Reads all that the snapshot of one environment is compiled from, in one statement: one state, one round trip. */
import { eq, sql } from "drizzle-orm";
import type { PriceTable } from "../../sdk-client/src/price-table.ts";
import { StandbyError } from "../db/away.ts";
import { jsonRows } from "../db/json-rows.ts";
import { lineageColumns, lineageOf } from "../db/lineage.ts";
import { environments, flags, installation } from "../db/schema.ts";
import type { Db, EnvironmentRow } from "../db/types.ts";
import type { SnapshotSource } from "../domain/snapshot.ts";
import { priceColumn, priceTableOf } from "./price-rows.ts";
import { surroundingColumns } from "./surroundings.ts";

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

export interface SnapshotRows extends Pick<SnapshotSource, "flags" | "chains" | "trips" | "blockedModels"> {
  environment: EnvironmentRow;
  lineage: string;
  /** The lineage of environments whose own was never replaced. */
  sharedLineage: string;
  priceTable: PriceTable;
}

/** Null when the environment is gone. Throws StandbyError on a database that must not speak. */
export async function readSnapshotRows(db: Db, environmentId: string): Promise<SnapshotRows | null> {
  const [row] = await db
    .select({
      environment: environments,
      ...lineageColumns,
      flags: jsonRows(FLAG_COLUMNS, sql`from ${flags} where ${eq(flags.environmentId, environmentId)}`, [flags.key]),
      ...surroundingColumns(environmentId),
      prices: priceColumn(),
    })
    .from(environments)
    .innerJoin(installation, eq(installation.id, 1))
    .where(eq(environments.id, environmentId));
  if (row === undefined) return null;
  const lineage = lineageOf(row);
  if (lineage === null) throw new StandbyError();
  return {
    environment: row.environment,
    lineage,
    sharedLineage: lineageOf({ ...row, own: "" }) ?? lineage,
    flags: row.flags,
    chains: row.chains,
    trips: row.trips,
    blockedModels: row.blocks.map(({ model }) => model),
    priceTable: priceTableOf(row.prices),
  };
}
