/** Who spends a flag's money: the few users or sessions that spend most, and what all spent, from the calls that are kept. */
import { and, asc, eq, gte, sql } from "drizzle-orm";
import { usageRecent } from "../../db/schema/usage.ts";
import type { Db } from "../../db/types.ts";

const TOP = 5;

export interface Spenders {
  /** Those with a name, who spent most first. */
  top: { name: string; costNanoUsd: number }[];
  /** Of all, also of calls that name none. */
  totalNanoUsd: number;
}

export async function topSpenders(
  db: Db,
  environmentId: string,
  { flag, by, since }: { flag: string; by: "user" | "session"; since: Date },
): Promise<Spenders> {
  const column = usageRecent[by];
  const isUnnamed = sql`coalesce(${column}, '') = ''`;
  const cost = sql`sum(${usageRecent.costNanoUsd})`;
  const rows = await db
    .select({
      name: sql<string>`coalesce(${column}, '')`,
      costNanoUsd: cost.mapWith(Number),
      totalNanoUsd: sql`sum(${cost}) over ()`.mapWith(Number),
    })
    .from(usageRecent)
    .where(and(eq(usageRecent.environmentId, environmentId), eq(usageRecent.flag, flag), gte(usageRecent.at, since)))
    .groupBy(column)
    .orderBy(isUnnamed, sql`${cost} desc`, asc(column))
    .limit(TOP);
  const top = rows.filter(({ name }) => name !== "").map(({ name, costNanoUsd }) => ({ name, costNanoUsd }));
  return { top, totalNanoUsd: rows[0]?.totalNanoUsd ?? 0 };
}
