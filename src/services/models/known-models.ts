/**
 * The one check of model names that people type: a price, a chain, a mapping or a call knows them, or they are a slip of
 * the keyboard. What is refused and what only warned of depends on what an unknown name would do; see each caller.
 */
import { eq } from "drizzle-orm";
import { modelNames, type NameOf } from "../../../sdk-client/src/evaluate/model-names.ts";
import { usageMinutes } from "../../db/schema/usage.ts";
import { chains, environments } from "../../db/schema/state.ts";
import type { Db, EnvironmentRow } from "../../db/types.ts";
import { similarName } from "../../domain/did-you-mean.ts";
import { AppError, type Fault, invalid } from "../../errors.ts";
import { readPrices } from "./price-rows.ts";

/** A name that a field has, by its path. */
export interface NamedModel {
  path: string;
  model: string;
}

type Environment = Pick<EnvironmentRow, "id" | "aliases">;

/**
 * Throws INVALID at each name that is one slip from a known one, unless `isNew` says that it is meant so. Answers with a
 * sentence for each other unknown name: it may be a model of tomorrow, and is taken.
 */
export async function checkModels(
  db: Db,
  environment: Environment,
  named: readonly NamedModel[],
  isNew: boolean,
): Promise<string[]> {
  return warningsOf(await unknownOf(db, environment, named), isNew);
}

/** The same for what counts in all environments: a name that one of them knows is known. */
export async function checkModelsEverywhere(db: Db, named: readonly NamedModel[], isNew: boolean): Promise<string[]> {
  const all = await db.select({ id: environments.id, aliases: environments.aliases }).from(environments);
  let unknown: Unknown[] = named.map((one) => ({ ...one, similar: undefined }));
  for (const environment of all) unknown = await unknownOf(db, environment, unknown);
  return warningsOf(unknown, isNew);
}

function warningsOf(unknown: readonly Unknown[], isNew: boolean): string[] {
  const faults = isNew ? [] : unknown.flatMap(faultOf);
  const [first] = faults;
  if (first !== undefined) throw new AppError("INVALID", `${first.path}: ${first.message}`, { faults });
  return unknown.map(({ model }) => `No price, chain or call knows the model "${model}" yet.`);
}

/** Throws INVALID at `path`, with the most similar name, unless `model` is known. */
export async function requireKnownModel(db: Db, environment: Environment, model: string, path: string): Promise<void> {
  const [unknown] = await unknownOf(db, environment, [{ path, model }]);
  if (unknown === undefined) return;
  const { similar } = unknown;
  const advice = similar === undefined ? "; give it a price or a chain first" : `; did you mean "${similar}"?`;
  throw invalid(path, `${nobodyKnows(model)}${advice}`);
}

/** What is wrong with a model that is asked about: nothing knows it. Null for one that something knows. */
export async function unknownModel(db: Db, environment: Environment, model: string): Promise<string | null> {
  const [unknown] = await unknownOf(db, environment, [{ path: "model", model }]);
  if (unknown === undefined) return null;
  const meant = unknown.similar === undefined ? "" : `; did you mean "${unknown.similar}"?`;
  return `${nobodyKnows(model)}${meant}`;
}

type Unknown = NamedModel & { similar: string | undefined };

function faultOf({ path, model, similar }: Unknown): Fault[] {
  if (similar === undefined) return [];
  return [{ path, message: `${nobodyKnows(model)}; did you mean "${similar}"?`, confirm: "newModel" }];
}

function nobodyKnows(model: string): string {
  return `no price, chain or call knows the model "${model}"`;
}

async function unknownOf(db: Db, environment: Environment, named: readonly NamedModel[]): Promise<Unknown[]> {
  const nameOf = modelNames(environment.aliases);
  const known = await namedModels(db, environment, nameOf);
  const isUnknown = ({ model }: NamedModel): boolean => !known.has(nameOf(model));
  if (!named.some(isUnknown)) return [];
  // Last, because it reads the whole ledger of the environment.
  for (const model of await calledModels(db, environment.id)) known.add(nameOf(model));
  return named
    .filter(isUnknown)
    .map(({ path, model }) => ({ path, model, similar: similarName(nameOf(model), known) }));
}

async function namedModels(db: Db, { id, aliases }: Environment, nameOf: NameOf): Promise<Set<string>> {
  const prices = await readPrices(db);
  const rows = await db.select({ steps: chains.steps }).from(chains).where(eq(chains.environmentId, id));
  const ofChains = rows.flatMap(({ steps }) => steps.map(({ model }) => model));
  const models = [...prices.byModel.keys(), ...prices.modelByAlias.keys(), ...ofChains, ...Object.values(aliases)];
  // A mapped name is known by itself too, for whoever misspells it.
  return new Set([...models.map(nameOf), ...Object.keys(aliases).map(modelNames())]);
}

async function calledModels(db: Db, environmentId: string): Promise<string[]> {
  const rows = await db
    .selectDistinct({ model: usageMinutes.model })
    .from(usageMinutes)
    .where(eq(usageMinutes.environmentId, environmentId));
  return rows.map(({ model }) => model);
}
