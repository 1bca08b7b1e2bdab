/** Whether what an alert did to flags still holds. */
import { and, eq, inArray, isNotNull, or } from "drizzle-orm";
import { flags } from "../../db/schema/state.ts";
import { triggerAlerts, triggers } from "../../db/schema/triggers.ts";
import type { Db } from "../../db/types.ts";
import { triggerActorName } from "../../domain/trigger.ts";

/** True while a flag is off, or further down, by what the alert did. */
export async function holdsStill(db: Db, alertId: number): Promise<boolean> {
  const [pulled] = await db
    .select({ name: triggers.name, environmentId: triggers.environmentId, flags: triggerAlerts.flags })
    .from(triggerAlerts)
    .innerJoin(triggers, eq(triggers.id, triggerAlerts.triggerId))
    .where(eq(triggerAlerts.id, alertId));
  if (pulled === undefined || pulled.flags.length === 0) return false;
  const by = triggerActorName(pulled.name);
  const held = and(
    eq(flags.environmentId, pulled.environmentId),
    inArray(flags.key, pulled.flags),
    or(and(eq(flags.state, "off"), eq(flags.by, by)), and(isNotNull(flags.level), eq(flags.levelBy, by))),
  );
  return (await db.$count(flags, held)) > 0;
}
