/** Model blocks: a model taken out everywhere, in whatever spelling; every chain steps past it. */
import { and, asc, eq } from "drizzle-orm";
import { modelNames, type NameOf } from "../../../sdk-client/src/evaluate/model-table.ts";
import { requireEnvironment } from "../../authorize.ts";
import { type Changed, type Undoable, undoableChange } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { chains, modelBlocks } from "../../db/schema/state.ts";
import type { Db, ModelBlockRow } from "../../db/types.ts";
import { same } from "../../domain/same.ts";
import type { ModelResource } from "../../api/model.ts";
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
    const spellings = [...steps.map(({ model }) => model), ...blocks.map((row) => row.model)];
    return [...new Set(spellings)]
      .toSorted()
      .map((model) => modelResource(model, blocked.get(nameOf(model)), usersOf(steps, model, nameOf)));
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
    const current = await findBlock(tx, environment.id, model, nameOf);
    // A block of a name that nobody has stops nothing, and looks as if it did.
    const isNew = input.blocked && current === undefined;
    const warnings = isNew ? await checkModels(tx, locked, [{ path: "model", model }], input.newModel === true) : [];
    const before = blockOf(current);
    const next = input.blocked ? blockedAs(before, input, ctx.actor.name, at) : null;
    if (same(before, next)) {
      return { value: modelResource(model, current, users), auditId: null, warnings };
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
    return { value: modelResource(model, row, users), auditId, warnings };
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

function modelResource(model: string, row: ModelBlockRow | undefined, usedBy: string[]): ModelResource {
  return {
    model,
    blocked: row !== undefined,
    reason: row?.reason ?? null,
    by: row?.by ?? null,
    since: row?.since.toISOString() ?? null,
    until: row?.until?.toISOString() ?? null,
    usedBy,
  };
}
