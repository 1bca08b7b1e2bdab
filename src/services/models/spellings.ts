/** The spellings of a model in the ledger of an environment: a dated id is the same model as its plain name. */
import { sql } from "drizzle-orm";
import { modelNames } from "../../../sdk-client/src/evaluate/model-names.ts";
import { usageMinutes } from "../../db/schema/usage.ts";
import type { Db, EnvironmentRow } from "../../db/types.ts";
import { MINUTE_MS } from "../../domain/ledger.ts";
import { GRAINS, piecesOf, type Span } from "../../domain/rollups.ts";
import { rolledSpan, usageOf } from "../usage/rollups.ts";

/** Every id used in the span that names `model`, itself included. */
export async function spellingsOf(
  db: Db,
  { id: environmentId, aliases }: Pick<EnvironmentRow, "id" | "aliases">,
  model: string,
  span: Span,
): Promise<string[]> {
  const nameOf = modelNames(aliases);
  const wholeMinutes = { ...span, fromMs: Math.floor(span.fromMs / MINUTE_MS) * MINUTE_MS };
  const pieces = piecesOf(wholeMinutes, await rolledSpan(db, environmentId), GRAINS);
  const rows = await db.selectDistinct({ id: sql<string>`${usageMinutes.model}` }).from(usageOf(environmentId, pieces));
  const wanted = nameOf(model);
  return [model, ...rows.map(({ id }) => id).filter((id) => id !== model && nameOf(id) === wanted)];
}
