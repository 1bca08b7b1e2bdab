/**
 * Which models Andon has heard of: by a price, a chain or a call. A budget of a model that none of them knows would wait
 * for ever, silently; most of the time its name is a slip of the keyboard.
 */
import { eq } from "drizzle-orm";
import { closestMatch } from "leven";
import { canonicalModel } from "../../sdk-client/src/model-id.ts";
import { usageMinutes } from "../db/ledger-schema.ts";
import { chains } from "../db/schema.ts";
import type { Db } from "../db/types.ts";
import { invalid } from "../errors.ts";
import { readPrices } from "./price-rows.ts";

/** Letters to insert, remove or replace between what was written and what may have been meant. */
const MAX_SLIPS = 3;

/** Throws INVALID at `path`, with the most similar name, unless a price, chain or call of the environment knows `model`. */
export async function requireKnownModel(db: Db, environmentId: string, model: string, path: string): Promise<void> {
  const wanted = canonicalModel(model);
  const known = await namedModels(db, environmentId);
  if (known.has(wanted)) return;
  // Last, because it reads the whole ledger of the environment.
  for (const name of await calledModels(db, environmentId)) known.add(name);
  if (known.has(wanted)) return;
  const similar = closestMatch(wanted, [...known], { maxDistance: MAX_SLIPS });
  const advice = similar === undefined ? "; give it a price or a chain first" : `; did you mean "${similar}"?`;
  throw invalid(path, `no price, chain or call knows the model "${model}"${advice}`);
}

async function namedModels(db: Db, environmentId: string): Promise<Set<string>> {
  const prices = await readPrices(db);
  const rows = await db.select({ steps: chains.steps }).from(chains).where(eq(chains.environmentId, environmentId));
  const ofChains = rows.flatMap(({ steps }) => steps.map(({ model }) => model));
  return new Set([...prices.byModel.keys(), ...prices.modelByAlias.keys(), ...ofChains].map(canonicalModel));
}

async function calledModels(db: Db, environmentId: string): Promise<string[]> {
  const rows = await db
    .selectDistinct({ model: usageMinutes.model })
    .from(usageMinutes)
    .where(eq(usageMinutes.environmentId, environmentId));
  return rows.map(({ model }) => canonicalModel(model));
}
