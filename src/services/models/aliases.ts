/** Aliases: the model behind each name that does not say it (an inference profile, a deployment), per environment. */
import { eq } from "drizzle-orm";
import { aliasKey } from "../../../sdk-client/src/evaluate/model-names.ts";
import { modelTable } from "../../../sdk-client/src/evaluate/model-table.ts";
import { requireEnvironment } from "../../authorize.ts";
import { type Change, change, type Changed } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { environments } from "../../db/schema/state.ts";
import { MAX_ALIASES_PER_ENVIRONMENT } from "../../domain/limits.ts";
import { same } from "../../domain/same.ts";
import { invalid } from "../../errors.ts";
import { requireRoom } from "../shared/one.ts";
import { checkModels } from "./known-models.ts";
import { readPrices } from "./price-rows.ts";

/** Model by name. */
export type Aliases = Record<string, string>;

export async function getAliases(ctx: Ctx, environmentKey: string): Promise<{ aliases: Aliases; revision: string }> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const revision = ctx.deps.snapshots.revisionOf(environment.id, environment.revision);
  return { aliases: sorted(environment.aliases), revision };
}

/** Replaces all mappings. */
export async function putAliases(
  ctx: Ctx,
  environmentKey: string,
  input: { aliases: Aliases; newModel: boolean },
): Promise<Changed<Aliases>> {
  return edit(ctx, environmentKey, input.newModel, () => ({
    next: input.aliases,
    pathOf: (name) => `aliases.${name}`,
  }));
}

/** Maps one name, or with null forgets it; the others stay. */
export async function setAlias(
  ctx: Ctx,
  environmentKey: string,
  input: { name: string; model: string | null; newModel: boolean },
): Promise<Changed<Aliases>> {
  const { name, model } = input;
  return edit(ctx, environmentKey, input.newModel, (current) => {
    const others = Object.entries(current).filter(([known]) => aliasKey(known) !== aliasKey(name));
    const next = Object.fromEntries(model === null ? others : [...others, [name, model]]);
    return { next, pathOf: () => "model" };
  });
}

/** The database keeps the keys of an object in an order of its own. */
function sorted(aliases: Aliases): Aliases {
  return Object.fromEntries(Object.entries(aliases).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

type Edit = (current: Aliases) => { next: Aliases; pathOf: (name: string) => string };

async function edit(ctx: Ctx, environmentKey: string, isNew: boolean, make: Edit): Promise<Changed<Aliases>> {
  const { id } = await requireEnvironment(ctx, environmentKey, "admin");
  return change(ctx, id, async (open) => {
    const { tx, environment, record } = open;
    const { next, pathOf } = make(environment.aliases);
    const aliases = sorted(next);
    if (same(aliases, environment.aliases)) return aliases;
    await requireSound(open, aliases, pathOf, isNew);
    await tx.update(environments).set({ aliases }).where(eq(environments.id, id));
    await record({
      action: "aliases.edited",
      target: environment.key,
      before: environment.aliases,
      after: aliases,
    });
    return aliases;
  });
}

async function requireSound(
  { tx, at, environment }: Change,
  aliases: Aliases,
  pathOf: (name: string) => string,
  isNew: boolean,
): Promise<void> {
  const entries = Object.entries(aliases);
  const tooMany = `An environment maps at most ${MAX_ALIASES_PER_ENVIRONMENT} names. Remove unused ones.`;
  requireRoom(entries.length, MAX_ALIASES_PER_ENVIRONMENT, tooMany);
  const unmapped = modelTable({ blocked: [], prices: await readPrices(tx) });
  const seen = new Set<string>();
  const added = entries.filter(([name, model]) => environment.aliases[name] !== model);
  for (const [name] of entries) {
    if (seen.has(aliasKey(name))) throw invalid(pathOf(name), `"${name}" is mapped twice`);
    seen.add(aliasKey(name));
  }
  for (const [name, model] of added) {
    const isPriced = unmapped.ratesOf(name, at.getTime()) !== null;
    if (isPriced) throw invalid(pathOf(name), `"${name}" has a price of its own: it is that model already`);
    if (!unmapped.isReadable(model)) {
      throw invalid(pathOf(name), `"${model}" does not say which model it is either`);
    }
  }
  await checkModels(
    tx,
    environment,
    added.map(([name, model]) => ({ path: pathOf(name), model })),
    isNew,
  );
}
