/** Ends what was set "until": kills, levels, model blocks and a master kill whose moment has passed. */
import { and, eq, lte, or } from "drizzle-orm";
import { change, type Change } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { environments, flags, modelBlocks } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";
import { levelColumns, switchColumns, switchOf } from "../../domain/flag.ts";
import { restore } from "../../domain/switch.ts";
import { writeFlag } from "../flags/flags.ts";
import { masterColumns, masterOf } from "../flags/master.ts";
import { blockOf, writeBlock } from "../models/blocks.ts";
import { stateOf } from "../flags/switches.ts";

const REASON = "until reached";

/** Ends everything of one environment that is due. Cheap when nothing is: no lock is taken then. */
export async function endExpired(ctx: Ctx, environmentId: string): Promise<void> {
  const now = new Date(ctx.deps.clock.nowMs());
  if (!(await anythingDue(ctx.deps.db, environmentId, now))) return;
  await change(ctx, environmentId, async (open) => {
    await endFlags(ctx, open);
    await endBlocks(ctx, open);
    await endMaster(ctx, open);
  });
}

async function anythingDue(db: Db, environmentId: string, now: Date): Promise<boolean> {
  const due = [
    db.select({ key: flags.key }).from(flags).where(dueFlags(environmentId, now)).limit(1),
    db.select({ key: modelBlocks.model }).from(modelBlocks).where(dueBlocks(environmentId, now)).limit(1),
    db
      .select({ key: environments.key })
      .from(environments)
      .where(and(eq(environments.id, environmentId), lte(environments.masterUntil, now)))
      .limit(1),
  ];
  const found = await Promise.all(due);
  return found.some((rows) => rows.length > 0);
}

const dueFlags = (environmentId: string, now: Date) =>
  and(eq(flags.environmentId, environmentId), or(lte(flags.until, now), lte(flags.levelUntil, now)));

const dueBlocks = (environmentId: string, now: Date) =>
  and(eq(modelBlocks.environmentId, environmentId), lte(modelBlocks.until, now));

async function endFlags(ctx: Ctx, { tx, environment, at, record }: Change): Promise<void> {
  const rows = await tx.select().from(flags).where(dueFlags(environment.id, at));
  for (const row of rows) {
    const killEnds = row.until !== null && row.until <= at;
    const levelEnds = row.levelUntil !== null && row.levelUntil <= at;
    const after = await writeFlag(tx, row, {
      ...(killEnds
        ? switchColumns(restore(switchOf(row), { reason: REASON, by: ctx.actor.name, ramp: row.ramp, at }))
        : {}),
      ...(levelEnds ? levelColumns(null) : {}),
    });
    await record({
      action: killEnds ? "flag.restored" : "flag.downgraded",
      target: row.key,
      reason: REASON,
      before: stateOf(row),
      after: stateOf(after),
    });
  }
}

async function endBlocks(_ctx: Ctx, { tx, environment, at, record }: Change): Promise<void> {
  const rows = await tx.select().from(modelBlocks).where(dueBlocks(environment.id, at));
  for (const row of rows) {
    await writeBlock(tx, environment.id, row.model, undefined);
    await record({
      action: "model.unblocked",
      target: row.model,
      reason: REASON,
      before: blockOf(row),
      after: null,
    });
  }
}

async function endMaster(ctx: Ctx, { tx, environment, at, record }: Change): Promise<void> {
  if (environment.masterUntil === null || environment.masterUntil > at) return;
  const current = masterOf(environment);
  const next = restore(current, { reason: REASON, by: ctx.actor.name, ramp: null, at });
  await tx.update(environments).set(masterColumns(next)).where(eq(environments.id, environment.id));
  await record({
    action: "master.restored",
    target: environment.key,
    reason: REASON,
    before: masterColumns(current),
    after: masterColumns(next),
  });
}
