/** Chains: named, ordered lists of models that flags use, best first. */
import { and, asc, eq } from "drizzle-orm";
import { modelNames, type NameOf } from "../../../sdk-client/src/evaluate/model-names.ts";
import type { ChainStep } from "../../../sdk-client/src/wire/protocol.ts";
import { requireEnvironment } from "../../authorize.ts";
import { change, type Changed } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { chains, flags } from "../../db/schema/state.ts";
import type { ChainRow, Db } from "../../db/types.ts";
import { CHAIN_NAME_PATTERN, MAX_CHAINS_PER_ENVIRONMENT } from "../../domain/limits.ts";
import { abilityWarnings } from "../../domain/model-abilities.ts";
import type { ChainResource } from "../../api/chain.ts";
import { same } from "../../domain/same.ts";
import { AppError, invalid } from "../../errors.ts";
import { one, requireRoom } from "../shared/one.ts";
import { requireMatch } from "../shared/if-match.ts";
import { checkModels } from "./known-models.ts";
import { tripNewcomers } from "../trips/trips.ts";

const TOO_MANY = `An environment holds at most ${MAX_CHAINS_PER_ENVIRONMENT} chains. Delete unused ones.`;
const CHANGED_MEANWHILE = "The chain was changed meanwhile. Try again.";

export async function listChains(
  ctx: Ctx,
  environmentKey: string,
): Promise<{ items: ChainResource[]; revision: string }> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const items = await read(ctx, async (db) => {
    const rows = await db
      .select()
      .from(chains)
      .where(eq(chains.environmentId, environment.id))
      .orderBy(asc(chains.name));
    const users = await usersByChain(db, environment.id);
    return rows.map((row) => chainResource(row, users.get(row.name) ?? []));
  });
  return { items, revision: ctx.deps.snapshots.revisionOf(environment.id, environment.revision) };
}

export async function getChain(ctx: Ctx, environmentKey: string, name: string): Promise<ChainResource> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  return read(ctx, async (db) => {
    const row = await findChain(db, environment.id, name);
    if (row === undefined) throw notFound(name);
    return chainResource(row, (await usersByChain(db, environment.id)).get(name) ?? []);
  });
}

/** Creates the chain or replaces its steps. A model may stand in it once. */
export async function putChain(
  ctx: Ctx,
  environmentKey: string,
  name: string,
  input: { steps: ChainStep[]; newModel?: boolean | undefined },
  ifMatch?: string,
): Promise<Changed<ChainResource> & { created: boolean; warnings: string[] }> {
  const environment = await requireEnvironment(ctx, environmentKey, "admin");
  requireDistinct(input.steps, modelNames(environment.aliases));
  let created = false;
  let warnings: string[] = [];
  const changed = await change(ctx, environment.id, async (open) => {
    const { tx, at, record } = open;
    const current = await findChain(tx, environment.id, name);
    const users = (await usersByChain(tx, environment.id)).get(name) ?? [];
    const named = input.steps.map(({ model }, step) => ({ path: `steps.${step}.model`, model }));
    warnings = [
      ...(await checkModels(tx, open.environment, named, input.newModel === true)),
      ...abilityWarnings(input.steps, modelNames(open.environment.aliases)),
    ];
    if (current === undefined) {
      if (ifMatch !== undefined) throw new AppError("PRECONDITION_FAILED", `There is no chain "${name}" any more.`);
      const chainCount = await tx.$count(chains, eq(chains.environmentId, environment.id));
      requireRoom(chainCount + 1, MAX_CHAINS_PER_ENVIRONMENT, TOO_MANY);
      created = true;
      const row = one(
        await tx
          .insert(chains)
          .values({
            environmentId: environment.id,
            name,
            steps: input.steps,
            createdAt: at,
            updatedAt: at,
          })
          .returning(),
        CHANGED_MEANWHILE,
        "CONFLICT",
      );
      await record({
        action: "chain.created",
        target: name,
        after: { steps: row.steps },
      });
      return chainResource(row, users);
    }
    requireMatch(ifMatch, current.version);
    if (same(current.steps, input.steps)) return chainResource(current, users);
    const row = one(
      await tx
        .update(chains)
        .set({ steps: input.steps, version: current.version + 1, updatedAt: at })
        .where(and(eq(chains.environmentId, environment.id), eq(chains.name, name)))
        .returning(),
      CHANGED_MEANWHILE,
      "CONFLICT",
    );
    await record({
      action: "chain.edited",
      target: name,
      before: { steps: current.steps },
      after: { steps: row.steps },
    });
    await tripNewcomers(ctx, open, users);
    return chainResource(row, users);
  });
  return { ...changed, created, warnings };
}

/** Deletes a chain that no flag uses; CONFLICT names the flags otherwise. */
export async function deleteChain(
  ctx: Ctx,
  environmentKey: string,
  name: string,
  ifMatch?: string,
): Promise<Changed<null>> {
  const environment = await requireEnvironment(ctx, environmentKey, "admin");
  return change(ctx, environment.id, async ({ tx, record }) => {
    const current = await findChain(tx, environment.id, name);
    if (current === undefined) throw notFound(name);
    requireMatch(ifMatch, current.version);
    const users = (await usersByChain(tx, environment.id)).get(name) ?? [];
    if (users.length > 0) {
      throw new AppError(
        "CONFLICT",
        `The chain "${name}" is used by ${users.join(", ")}. Give those flags another chain first.`,
      );
    }
    await tx.delete(chains).where(and(eq(chains.environmentId, environment.id), eq(chains.name, name)));
    await record({
      action: "chain.deleted",
      target: name,
      before: { steps: current.steps },
    });
    return null;
  });
}

export async function findChain(db: Db, environmentId: string, name: string): Promise<ChainRow | undefined> {
  if (!CHAIN_NAME_PATTERN.test(name)) return undefined;
  const rows = await db
    .select()
    .from(chains)
    .where(and(eq(chains.environmentId, environmentId), eq(chains.name, name)))
    .limit(1);
  return rows[0];
}

/** Keys of the flags that use each chain, by its name. */
export async function usersByChain(db: Db, environmentId: string): Promise<Map<string, string[]>> {
  const rows = await db
    .select({ key: flags.key, chain: flags.chain })
    .from(flags)
    .where(eq(flags.environmentId, environmentId))
    .orderBy(asc(flags.key));
  const users = new Map<string, string[]>();
  for (const { key, chain } of rows) {
    if (chain !== null) users.set(chain, [...(users.get(chain) ?? []), key]);
  }
  return users;
}

function chainResource(row: ChainRow, usedBy: string[]): ChainResource {
  const { name, steps, version } = row;
  return {
    name,
    steps,
    usedBy,
    version,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}

/** A level means one model: a chain names each once, in whatever spelling. */
function requireDistinct(steps: readonly ChainStep[], nameOf: NameOf): void {
  if (steps.length === 0) throw invalid("steps", "a chain has at least one step");
  steps.forEach(({ model }, index) => {
    const name = nameOf(model);
    if (steps.findIndex((step) => nameOf(step.model) === name) !== index) {
      throw invalid(`steps.${index}.model`, `"${model}" stands in the chain already`);
    }
  });
}

function notFound(name: string): AppError {
  return new AppError("NOT_FOUND", `There is no chain "${name}" in this environment.`);
}
