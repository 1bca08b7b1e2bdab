/** Triggers as stored, and as they are shown. */
import { and, eq } from "drizzle-orm";
import { triggers } from "../../db/schema/triggers.ts";
import type { Db } from "../../db/types.ts";
import type { Deps } from "../../deps.ts";
import { readFor } from "../../transaction.ts";
import type { TriggerResource } from "../../api/trigger.ts";
import { one } from "../shared/one.ts";

export type TriggerRow = typeof triggers.$inferSelect;

const NONE = "There is no such trigger in this environment.";

/** The row; NOT_FOUND when this environment has none by the id. */
export async function requireTrigger(db: Db, environmentId: string, id: string): Promise<TriggerRow> {
  const rows = await db
    .select()
    .from(triggers)
    .where(and(eq(triggers.environmentId, environmentId), eq(triggers.id, id)));
  return one(rows, NONE);
}

/** The trigger by its id, of whatever environment; null when there is none. */
export async function findTrigger(deps: Deps, id: string): Promise<TriggerRow | null> {
  const [row] = await readFor({ deps }, "tighten", (db) => db.select().from(triggers).where(eq(triggers.id, id)));
  return row ?? null;
}

/** Never with its secret. `publicUrl` is where senders reach this installation. */
export function triggerResource(row: TriggerRow, publicUrl: string): TriggerResource {
  return {
    id: row.id,
    name: row.name,
    source: row.source,
    action: row.action,
    level: row.level,
    flags: row.flags,
    tag: row.tag,
    expiresMinutes: row.expiresMinutes,
    paused: row.paused,
    isSigned: row.secret !== null,
    url: `${publicUrl}/v1/triggers/${row.id}`,
    version: row.version,
    createdAt: row.createdAt.toISOString(),
    receivedAt: row.receivedAt?.toISOString() ?? null,
    received: row.received,
  };
}
