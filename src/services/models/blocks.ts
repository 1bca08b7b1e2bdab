/** Model blocks: a model taken out everywhere, in whatever spelling; every chain steps past it. */
import { and, asc, eq } from "drizzle-orm";
import { modelNames, type NameOf } from "../../../sdk-client/src/evaluate/model-names.ts";
import { requireEnvironment } from "../../authorize.ts";
import { change, type Changed, type Undoable, undoableChange } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { chains, modelBlocks } from "../../db/schema/state.ts";
import type { Db, ModelBlockRow, ModelBreakerRow } from "../../db/types.ts";
import { same } from "../../domain/same.ts";
import type { ModelResource } from "../../api/model.ts";
import { AppError } from "../../errors.ts";
import { breakerResource, overrideBreaker, standingBreakers } from "./breaker-rows.ts";
import { checkModels } from "./known-models.ts";

/** The models of all chains and all blocked ones, by id. */
export async function listModels(
  ctx: Ctx,
  environmentKey: string,
): Promise<{ items: ModelResource[]; revision: string }> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const items = await read(ctx, async (db) => {
    const nameOf = modelNames(environment.aliases);
    const steps = await readSteps(db, environment.id);
    const blocks = await db.select().from(modelBlocks).where(eq(modelBlocks.environmentId, environment.id));
    const blocked = new Map(blocks.map((row) => [nameOf(row.model), row]));
    const breakers = new Map((await standingBreakers(db, environment.id)).map((row) => [row.model, row]));
    const named = [...steps.map(({ model }) => model), ...blocks.map((row) => row.model)];
    const known = new Set(named.map(nameOf));
    const spellings = [...named, ...[...breakers.keys()].filter((name) => !known.has(name))];
    return [...new Set(spellings)].toSorted().map((model) => {
      const name = nameOf(model);
      return modelResource(model, blocked.get(name), breakers.get(name), usersOf(steps, model, nameOf));
    });
  });
  return { items, revision: ctx.deps.snapshots.revisionOf(environment.id, environment.revision) };
}

/** Blocks a model or lifts its block. */
export async function putModel(
  ctx: Ctx,
  environmentKey: string,
  model: string,
  input: { blocked: boolean; reason: string | null; until: Date | null; newModel?: boolean | undefined },
): Promise<Changed<ModelResource> & Undoable<ModelResource> & { warnings: string[] }> {
  const environment = await requireEnvironment(ctx, environmentKey, "operator");
  return undoableChange(ctx, environment.id, async ({ tx, at, environment: locked, record }) => {
    const nameOf = modelNames(locked.aliases);
    const users = usersOf(await readSteps(tx, environment.id), model, nameOf);
    const breaker = (await standingBreakers(tx, environment.id)).find((row) => row.model === nameOf(model));
    const current = await findBlock(tx, environment.id, model, nameOf);
    // A block of a name that nobody has stops nothing, and looks as if it did.
    const isNew = input.blocked && current === undefined;
    const warnings = isNew ? await checkModels(tx, locked, [{ path: "model", model }], input.newModel === true) : [];
    const before = blockOf(current);
    const next = input.blocked ? blockedAs(before, input, ctx.actor.name, at) : null;
    if (same(before, next)) {
      return { value: modelResource(model, current, breaker, users), auditId: null, warnings };
    }
    // A block stays under the spelling that it was made with: lifting it by another lifts it.
    const target = current?.model ?? model;
    const row = await writeBlock(tx, environment.id, target, next ?? undefined);
    const auditId = await record({
      action: input.blocked ? "model.blocked" : "model.unblocked",
      target,
      reason: input.reason,
      before,
      after: blockOf(row),
    });
    return { value: modelResource(model, row, breaker, users), auditId, warnings };
  });
}

/** The block that is asked for: one that stands keeps its moment, and its reason when none is given. */
function blockedAs(
  current: Block | null,
  { reason, until }: { reason: string | null; until: Date | null },
  by: string,
  at: Date,
): Block {
  return { reason: reason ?? current?.reason ?? null, by, since: current?.since ?? at, until };
}

export interface Block {
  reason: string | null;
  by: string;
  since: Date;
  until: Date | null;
}

/**
 * On-call lets a model run that a breaker has taken out: it is in use again, and not taken out before it has recovered. A
 * block by hand stays. CONFLICT when no breaker has taken it out.
 */
export async function restoreModel(
  ctx: Ctx,
  environmentKey: string,
  model: string,
  { reason }: { reason: string },
): Promise<Changed<ModelResource>> {
  const environment = await requireEnvironment(ctx, environmentKey, "operator");
  return change(ctx, environment.id, async (open) => {
    const { tx, environment: locked } = open;
    const nameOf = modelNames(locked.aliases);
    const breaker = await overrideBreaker(ctx, open, nameOf(model), reason);
    if (breaker === null) throw new AppError("CONFLICT", `No breaker has taken ${model} out.`);
    const users = usersOf(await readSteps(tx, environment.id), model, nameOf);
    return modelResource(model, await findBlock(tx, environment.id, model, nameOf), breaker, users);
  });
}

/** Sets or (with undefined) removes the block of a model. */
export async function writeBlock(
  tx: Db,
  environmentId: string,
  model: string,
  block: Block | undefined,
): Promise<ModelBlockRow | undefined> {
  if (block === undefined) {
    await tx.delete(modelBlocks).where(and(eq(modelBlocks.environmentId, environmentId), eq(modelBlocks.model, model)));
    return undefined;
  }
  const rows = await tx
    .insert(modelBlocks)
    .values({ environmentId, model, ...block })
    .onConflictDoUpdate({ target: [modelBlocks.environmentId, modelBlocks.model], set: block })
    .returning();
  return rows[0];
}

/** The block of a model in whatever spelling. */
export async function findBlock(
  db: Db,
  environmentId: string,
  model: string,
  nameOf: NameOf,
): Promise<ModelBlockRow | undefined> {
  const rows = await db.select().from(modelBlocks).where(eq(modelBlocks.environmentId, environmentId));
  return rows.find((row) => row.model === model) ?? rows.find((row) => nameOf(row.model) === nameOf(model));
}

/** What the audit keeps of a block; null for none. */
export function blockOf(row: Block | undefined): Block | null {
  return row === undefined ? null : { reason: row.reason, by: row.by, since: row.since, until: row.until };
}

interface Step {
  chain: string;
  model: string;
}

async function readSteps(db: Db, environmentId: string): Promise<Step[]> {
  const rows = await db
    .select({ name: chains.name, steps: chains.steps })
    .from(chains)
    .where(eq(chains.environmentId, environmentId))
    .orderBy(asc(chains.name));
  return rows.flatMap(({ name, steps }) => steps.map(({ model }) => ({ chain: name, model })));
}

/** Names of the chains that have the model as a step. */
function usersOf(steps: readonly Step[], model: string, nameOf: NameOf): string[] {
  const wanted = nameOf(model);
  return [...new Set(steps.filter((step) => nameOf(step.model) === wanted).map((step) => step.chain))];
}

function modelResource(
  model: string,
  row: ModelBlockRow | undefined,
  breaker: ModelBreakerRow | undefined,
  usedBy: string[],
): ModelResource {
  return {
    model,
    blocked: row !== undefined,
    reason: row?.reason ?? null,
    by: row?.by ?? null,
    since: row?.since.toISOString() ?? null,
    until: row?.until?.toISOString() ?? null,
    breaker: breakerResource(breaker),
    usedBy,
  };
}
