/** Names that usage is asked for and that nothing knows: an empty answer about them would look like one about a quiet flag. */
import { and, eq, sql } from "drizzle-orm";
import type { UsageAnswer, UsageQuery } from "../../api/usage.ts";
import { usageMinutes, usageRollups } from "../../db/schema/usage.ts";
import { flags } from "../../db/schema/state.ts";
import type { Db, EnvironmentRow } from "../../db/types.ts";
import { didYouMean } from "../../domain/did-you-mean.ts";
import { unknownModel } from "../models/known-models.ts";

/** In words, each by its path. A flag that is gone, or was never defined, is known while sums of its calls are kept. */
export async function unknownNames(
  db: Db,
  environment: EnvironmentRow,
  { flag, model }: Pick<UsageQuery, "flag" | "model">,
): Promise<UsageAnswer["unknown"]> {
  const unknown: UsageAnswer["unknown"] = [];
  const noFlag = flag === undefined ? null : await unknownFlag(db, environment.id, flag);
  if (noFlag !== null) unknown.push({ path: "flag", message: noFlag });
  const noModel = model === undefined ? null : await unknownModel(db, environment, model);
  if (noModel !== null) unknown.push({ path: "model", message: noModel });
  return unknown;
}

async function unknownFlag(db: Db, environmentId: string, flag: string): Promise<string | null> {
  const rows = await db.select({ key: flags.key }).from(flags).where(eq(flags.environmentId, environmentId));
  const keys = rows.map(({ key }) => key);
  if (keys.includes(flag) || (await wasCalled(db, environmentId, flag))) return null;
  return `no flag "${flag}" has usage${didYouMean(flag, keys)}`;
}

async function wasCalled(db: Db, environmentId: string, flag: string): Promise<boolean> {
  for (const sums of [usageMinutes, usageRollups]) {
    const ofFlag = and(eq(sums.environmentId, environmentId), eq(sums.flag, flag));
    const [found] = await db
      .select({ one: sql`1` })
      .from(sums)
      .where(ofFlag)
      .limit(1);
    if (found !== undefined) return true;
  }
  return false;
}
