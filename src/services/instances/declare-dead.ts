/**
 * A person says that a process is dead: nothing else tells a killed one from one behind a bad network, which stays in the
 * count for an hour. It holds until that process is heard of again: then it counts at once, see `tellReturned`.
 */
import { type SQL, sql } from "drizzle-orm";
import { requireEnvironment } from "../../authorize.ts";
import { insertAudit } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { withTransaction } from "../../transaction.ts";
import { returnedRows } from "../../db/returned-rows.ts";
import type { Db } from "../../db/types.ts";
import { type Fleet, type Member, type Some, someIn } from "../../domain/fleet.ts";
import { AppError } from "../../errors.ts";
import { lineageOf, PROCESS_ID, stateOf } from "./fleet.ts";
import { flushedFleet } from "./receipts.ts";

/** Names that the audit keeps of one declaration; the count is of all. */
const NAMED_MAX = 1000;

export interface Declared {
  /** Those that were declared: at most 1,000 of the names. */
  instances: string[];
  declared: number;
  /** The revision in force; a declaration makes none. */
  revision: string;
}

export interface Lost {
  some: Some;
  /** When that was so, by the database's clock: what `lostBefore` takes. */
  at: string;
}

/** One process that runs or may still run. NOT_FOUND for one that has stopped, or that nobody knows. */
export async function findInstance(ctx: Ctx, environmentKey: string, id: string): Promise<Member> {
  return requireMember(await fleetFor(ctx, environmentKey), id);
}

/** All whose connection is lost. */
export async function listLost(ctx: Ctx, environmentKey: string): Promise<Lost> {
  const fleet = await fleetFor(ctx, environmentKey);
  return { some: someIn(fleet, "lost"), at: fleet.at };
}

/** Takes one process out of the count. CONFLICT for one that is connected: it would be counted again with its next poll. */
export async function declareDead(
  ctx: Ctx,
  environmentKey: string,
  { id, reason = null }: { id: string; reason?: string | null | undefined },
): Promise<Declared> {
  const { id: environmentId, revision } = await requireEnvironment(ctx, environmentKey, "operator");
  const member = requireMember(await fleetFor(ctx, environmentKey), id);
  const instances = await withTransaction(ctx, async (tx) => {
    const stopped = await stop(tx, ctx, environmentId, sql`${PROCESS_ID} = ${id}`);
    if (stopped.length === 0)
      throw new AppError(
        "CONFLICT",
        `${member.instance} is connected: it would be counted again with its next poll. The connection of a process that is dead shows as lost within seconds.`,
      );
    await audit(ctx, tx, environmentId, { target: member.instance, reason, after: null });
    return [member.instance];
  });
  return { instances, declared: 1, revision: ctx.deps.snapshots.revisionOf(environmentId, revision) };
}

/** Takes all out of the count whose connection is lost; with `lostBefore` not those that nobody could know of then. */
export async function declareAllDead(
  ctx: Ctx,
  environmentKey: string,
  { lostBefore, reason = null }: { lostBefore?: Date | undefined; reason?: string | null | undefined },
): Promise<Declared> {
  const { id: environmentId, revision } = await requireEnvironment(ctx, environmentKey, "operator");
  await fleetFor(ctx, environmentKey);
  const before =
    lostBefore === undefined ? sql`true` : sql`disconnected_at <= to_timestamp(${lostBefore.getTime() / 1000})`;
  const all = await withTransaction(ctx, async (tx) => {
    const stopped = await stop(tx, ctx, environmentId, sql`${stateOf(sql`clock.at`)} = 'lost' and ${before}`);
    const after = { declared: stopped.length, instances: stopped.slice(0, NAMED_MAX) };
    const target = `all ${stopped.length} whose connection was lost`;
    if (stopped.length > 0) await audit(ctx, tx, environmentId, { target, reason, after });
    return after;
  });
  return { ...all, revision: ctx.deps.snapshots.revisionOf(environmentId, revision) };
}

/** With what this server has heard: one that has just come back is connected. */
async function fleetFor(ctx: Ctx, environmentKey: string): Promise<Fleet> {
  const { id } = await requireEnvironment(ctx, environmentKey, "viewer");
  return flushedFleet(ctx, id, lineageOf(ctx, id));
}

function requireMember({ lost, silent, live }: Fleet, id: string): Member {
  const member = [...lost, ...silent, ...live].find((one) => one.id === id);
  if (member === undefined) throw new AppError("NOT_FOUND", "There is no such instance that runs or may still run.");
  return member;
}

/** The names of those that it stopped. Takes the rows in the order of the writers of sightings: none waits for the other. */
async function stop(tx: Db, { actor }: Ctx, environmentId: string, which: SQL): Promise<string[]> {
  const rows = await tx.execute(sql`
    with clock as materialized (select clock_timestamp() as at), dead as materialized (
      select instance, boot from instances cross join clock
      where environment_id = ${environmentId} and stopped_at is null and ${stateOf(sql`clock.at`)} <> 'live' and ${which}
      order by instance collate "C", boot collate "C" for update of instances
    )
    update instances as known set stopped_at = clock.at, stopped_by = 'declared', disconnected_at = null,
      declared_dead_at = clock.at, declared_dead_by = ${actor.name}, returned_at = null
    from dead cross join clock
    where known.environment_id = ${environmentId} and known.instance = dead.instance and known.boot = dead.boot
    returning known.instance`);
  return returnedRows(rows)
    .map((row) => String(row["instance"]))
    .toSorted();
}

async function audit(
  ctx: Ctx,
  tx: Db,
  environmentId: string,
  entry: { target: string; reason: string | null; after: { declared: number; instances: string[] } | null },
): Promise<void> {
  const at = new Date(ctx.deps.clock.nowMs());
  await insertAudit(ctx, tx, { action: "instance.declared-dead", ...entry }, { environmentId, revision: null, at });
}
