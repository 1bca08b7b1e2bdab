/** Writes, for the ledger, how the calls of each model went on which instances; breakers read it. */
import { and, eq, gt, gte, lt, sql } from "drizzle-orm";
import { fleetCalls } from "../../db/schema/usage.ts";
import { returnedRows } from "../../db/returned-rows.ts";
import type { Db } from "../../db/types.ts";
import { type FleetCalls, type Seen, WINDOW_MS } from "../../domain/breaker.ts";
import type { FleetSums } from "../../domain/fleet-calls.ts";

/** A probe that ends late is still one. */
export const FLEET_CALLS_KEPT_MS = 10 * WINDOW_MS;

/** Adds rows; waits for no other transaction. */
export async function addFleetCalls(tx: Db, environmentId: string, sums: readonly FleetSums[]): Promise<void> {
  if (sums.length === 0) return;
  const rows = sums.map(({ byInstance, ...sum }) => ({
    ...sum,
    instances: [...byInstance.keys()],
    answeredOf: [...byInstance.values()].map(({ answered }) => answered),
    failedOf: [...byInstance.values()].map(({ failed }) => failed),
  }));
  await tx.execute(sql`
    insert into fleet_calls (environment_id, model, at, revision, answered, failed, wanted, instances, answered_of,
      failed_of)
    select ${environmentId}, v.model, to_timestamp(v."atMs" / 1000.0), v.n, v.answered, v.failed, v.wanted,
      v.instances, v."answeredOf", v."failedOf"
    from jsonb_to_recordset(cast(${JSON.stringify(rows)} as text)::jsonb) as v(model text, "atMs" bigint, n bigint,
      answered integer, failed integer, wanted integer, instances text[], "answeredOf" integer[], "failedOf" integer[])`);
}

/** The models of which a call has failed in the window, by the names they are compared by. */
export async function failingModels(db: Db, environmentId: string, now: Date): Promise<string[]> {
  const rows = await db
    .selectDistinct({ model: fleetCalls.model })
    .from(fleetCalls)
    .where(and(eq(fleetCalls.environmentId, environmentId), gt(fleetCalls.failed, 0), gte(fleetCalls.at, since(now))))
    .orderBy(fleetCalls.model);
  return rows.map(({ model }) => model);
}

/** How the calls of a model went in the window, over all instances; of those that were decided by `revision` or later. */
export async function readFleet(
  db: Db,
  environmentId: string,
  model: string,
  { now, revision }: { now: Date; revision: number },
): Promise<FleetCalls> {
  const result = await db.execute(sql`
    select coalesce(sum(calls), 0)::integer as calls, coalesce(sum(failed), 0)::integer as failures,
      count(*)::integer as instances, count(*) filter (where failed * 2 > calls)::integer as failing_instances
    from (
      select one.instance, sum(one.answered + one.failed) as calls, sum(one.failed) as failed
      from fleet_calls, unnest(instances, answered_of, failed_of) as one(instance, answered, failed)
      where environment_id = ${environmentId} and model = ${model} and at >= ${since(now).toISOString()}::timestamptz
        and revision >= ${revision}
      group by one.instance
    ) as each`);
  const row = returnedRows(result)[0] ?? {};
  return {
    calls: Number(row["calls"]),
    failures: Number(row["failures"]),
    instances: Number(row["instances"]),
    failingInstances: Number(row["failing_instances"]),
  };
}

/** How its probes went: calls that were decided by that revision or a later one. */
export async function readProbes(
  db: Db,
  environmentId: string,
  model: string,
  revision: number,
): Promise<Seen["probes"]> {
  const [row] = await db
    .select({
      answered: sql<number>`coalesce(sum(${fleetCalls.answered}), 0)::integer`,
      failed: sql<number>`coalesce(sum(${fleetCalls.failed}), 0)::integer`,
    })
    .from(fleetCalls)
    .where(
      and(eq(fleetCalls.environmentId, environmentId), eq(fleetCalls.model, model), gte(fleetCalls.revision, revision)),
    );
  return row ?? { answered: 0, failed: 0 };
}

/** Calls in the window that asked for it. */
export async function readWanted(db: Db, environmentId: string, model: string, now: Date): Promise<number> {
  const [row] = await db
    .select({ wanted: sql<number>`coalesce(sum(${fleetCalls.wanted}), 0)::integer` })
    .from(fleetCalls)
    .where(
      and(eq(fleetCalls.environmentId, environmentId), eq(fleetCalls.model, model), gte(fleetCalls.at, since(now))),
    );
  return row?.wanted ?? 0;
}

/** Removes what no breaker looks at any more. */
export async function pruneFleetCalls(db: Db, environmentId: string, nowMs: number): Promise<void> {
  const before = new Date(nowMs - FLEET_CALLS_KEPT_MS);
  await db.delete(fleetCalls).where(and(eq(fleetCalls.environmentId, environmentId), lt(fleetCalls.at, before)));
}

function since(now: Date): Date {
  return new Date(now.getTime() - WINDOW_MS);
}
