/** Reads what decides about the flags of an environment besides the flags themselves. */
import { eq } from "drizzle-orm";
import { canonicalModel } from "../../sdk-client/src/model-id.ts";
import { chains, modelBlocks } from "../db/schema.ts";
import type { Db, EnvironmentRow } from "../db/types.ts";
import type { Surroundings } from "../domain/flag.ts";

export async function readSurroundings(db: Db, environment: EnvironmentRow): Promise<Surroundings> {
  const chainRows = await db.select().from(chains).where(eq(chains.environmentId, environment.id));
  const blockRows = await db
    .select({ model: modelBlocks.model })
    .from(modelBlocks)
    .where(eq(modelBlocks.environmentId, environment.id));
  return {
    masterOff: environment.masterState === "off",
    chains: new Map(chainRows.map((row) => [row.name, row.steps])),
    blocked: new Set(blockRows.map((row) => canonicalModel(row.model))),
  };
}
