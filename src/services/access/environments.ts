/** Environments: where flags, chains and tokens live. */
import { asc } from "drizzle-orm";
import { requireEnvironment, requireScope } from "../../authorize.ts";
import { afterCommit, insertAudit } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { read, withTransaction } from "../../transaction.ts";
import { environments, revisions } from "../../db/schema/state.ts";
import type { EnvironmentRow } from "../../db/types.ts";
import { seesEnvironment } from "../../domain/actor.ts";
import { MAX_ENVIRONMENTS } from "../../domain/limits.ts";
import type { EnvironmentResource } from "../../api/environment.ts";
import { AppError } from "../../errors.ts";
import { one, requireRoom } from "../shared/one.ts";
import { masterResource } from "../flags/master.ts";

/** The environments the actor may see. */
export async function listEnvironments(ctx: Ctx): Promise<{ items: EnvironmentResource[] }> {
  requireScope(ctx.actor, ctx.actor.kind === "kill" ? "tighten" : "viewer");
  const rows = await read(ctx, (db) =>
    db.select().from(environments).orderBy(asc(environments.createdAt), asc(environments.key)),
  );
  return {
    items: rows.filter((row) => seesEnvironment(ctx.actor, row.id)).map((row) => environmentResource(ctx, row)),
  };
}

export async function getEnvironment(ctx: Ctx, key: string): Promise<EnvironmentResource> {
  return environmentResource(ctx, await requireEnvironment(ctx, key, ctx.actor.kind === "kill" ? "tighten" : "viewer"));
}

/** Creates an environment with its master switch on. For admins of all environments. */
export async function createEnvironment(ctx: Ctx, input: { key: string; name: string }): Promise<EnvironmentResource> {
  requireScope(ctx.actor, "admin");
  if (ctx.actor.environmentIds !== null) {
    throw new AppError("FORBIDDEN", "This needs an admin token that is good for all environments.");
  }
  const at = new Date(ctx.deps.clock.nowMs());
  const row = await withTransaction(ctx, async (tx) => {
    const tooMany = `There are at most ${MAX_ENVIRONMENTS} environments.`;
    requireRoom(1 + (await tx.$count(environments)), MAX_ENVIRONMENTS, tooMany);
    const rows = await tx
      .insert(environments)
      .values({ id: ctx.deps.newId(), ...input, masterSince: at, createdAt: at, committedAt: at })
      .onConflictDoNothing()
      .returning();
    const created = one(rows, `There is an environment "${input.key}" already.`, "CONFLICT");
    const { id, revision, committedAt } = created;
    await tx.insert(revisions).values({ environmentId: id, revision, committedAt });
    await insertAudit(
      ctx,
      tx,
      { action: "environment.created", target: input.key, after: input },
      { environmentId: id, revision, at },
    );
    return created;
  });
  await afterCommit(ctx, () => ctx.deps.snapshots.refresh(row.id));
  return environmentResource(ctx, row);
}

function environmentResource(ctx: Ctx, row: EnvironmentRow): EnvironmentResource {
  return {
    key: row.key,
    name: row.name,
    revision: ctx.deps.snapshots.revisionOf(row.id, row.revision),
    master: masterResource(row),
    createdAt: row.createdAt.toISOString(),
  };
}
