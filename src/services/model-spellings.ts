/** The spellings of a model in the ledger of an environment: a dated id is the same model as its plain name. */
import { and, eq, gte } from "drizzle-orm";
import { canonicalModel } from "../../sdk-client/src/model-id.ts";
import { usageMinutes } from "../db/ledger-schema.ts";
import type { Db } from "../db/types.ts";
import { MINUTE_MS } from "../domain/ledger.ts";

/** Every id used since then that names `model`, itself included. */
export async function spellingsOf(db: Db, environmentId: string, model: string, since: Date): Promise<string[]> {
  const minute = new Date(Math.floor(since.getTime() / MINUTE_MS) * MINUTE_MS);
  const rows = await db
    .selectDistinct({ id: usageMinutes.model })
    .from(usageMinutes)
    .where(and(eq(usageMinutes.environmentId, environmentId), gte(usageMinutes.minute, minute)));
  const wanted = canonicalModel(model);
  return [model, ...rows.map(({ id }) => id).filter((id) => id !== model && canonicalModel(id) === wanted)];
}
