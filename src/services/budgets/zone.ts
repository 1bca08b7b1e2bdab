/** The zone whose clock an environment lives by: its day, and the hours that are compared with one another. */
import { asc, eq } from "drizzle-orm";
import { budgets } from "../../db/schema/budgets.ts";
import type { Db } from "../../db/types.ts";

type ScopedZone = Pick<
  typeof budgets.$inferSelect,
  "flag" | "model" | "tag" | "userScope" | "sessionScope" | "timezone"
>;

/** The day of the environment's own budget; else the day that all budgets agree on; else UTC's. */
export function zoneOfToday(rows: readonly ScopedZone[]): string {
  const whole = rows.find(
    ({ flag, model, tag, userScope, sessionScope }) =>
      flag === null && model === null && tag === null && userScope === null && sessionScope === null,
  );
  if (whole !== undefined) return whole.timezone;
  const zones = new Set(rows.map((row) => row.timezone));
  const [only] = zones;
  return zones.size === 1 && only !== undefined ? only : "UTC";
}

export async function readZone(db: Db, environmentId: string): Promise<string> {
  const { flag, model, tag, userScope, sessionScope, timezone } = budgets;
  const rows = await db
    .select({ flag, model, tag, userScope, sessionScope, timezone })
    .from(budgets)
    .where(eq(budgets.environmentId, environmentId))
    .orderBy(asc(budgets.name));
  return zoneOfToday(rows);
}
