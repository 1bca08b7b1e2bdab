/** What the newest calls say of the accounts they were made with. */
import { eq, sql } from "drizzle-orm";
import { returnedRows } from "../../db/returned-rows.ts";
import { accountFaults } from "../../db/schema/usage.ts";
import { instances } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";
import {
  type AccountFault,
  FAULT_OF,
  LOOK_BACK_MS,
  type Reach,
  reachOf,
  type Refused,
} from "../../domain/account-fault.ts";
import { stateOf } from "../instances/fleet.ts";

/** A flood of names does not make a look slow. */
const MAX_SEEN = 1_000;

/** The calls that were refused lately, by flag and instance. */
export async function newRefusals(db: Db, environmentId: string, nowMs: number): Promise<Refused[]> {
  const result = await db.execute(sql`
    select error_type, flag, instance, min(at) as since, max(at) as last_at from usage_recent
    where environment_id = ${environmentId} and error_type in ('billing_error', 'authentication_error')
      and at >= ${new Date(nowMs - LOOK_BACK_MS).toISOString()}::timestamptz and instance is not null
    group by error_type, flag, instance order by since limit ${MAX_SEEN}`);
  return returnedRows(result).flatMap((row) => {
    const fault = FAULT_OF.get(String(row["error_type"]));
    if (fault === undefined) return [];
    const [since, lastAt] = [new Date(String(row["since"])), new Date(String(row["last_at"]))];
    return [{ fault, flag: String(row["flag"]), instance: String(row["instance"]), since, lastAt }];
  });
}

/** Whether a call of the flag that began after the last refusal was answered: of the same instance, while that runs. */
export async function isAnsweredSince(db: Db, environmentId: string, refused: Refused): Promise<boolean> {
  const { flag, instance, lastAt } = refused;
  const result = await db.execute(sql`
    select exists (
      select from usage_recent as calls
      where environment_id = ${environmentId} and flag = ${flag} and outcome in ('ok', 'refused')
        and at - latency_ms * interval '1 millisecond' > ${lastAt.toISOString()}::timestamptz
        and at > ${lastAt.toISOString()}::timestamptz
        and (calls.instance = ${instance} or not exists (
          select from instances where environment_id = ${environmentId} and instances.instance = ${instance}
            and ${instances.stoppedAt} is null and ${stateOf(sql`clock_timestamp()`)} <> 'silent'))
    ) as answered`);
  return returnedRows(result)[0]?.["answered"] === true;
}

/** How far each fault reaches now. */
export async function readReaches(db: Db, environmentId: string): Promise<ReadonlyMap<AccountFault, Reach>> {
  const rows = await db.select().from(accountFaults).where(eq(accountFaults.environmentId, environmentId));
  const running = await runningInstances(db, environmentId);
  const faults = new Set(rows.map(({ fault }) => fault));
  const reach = (fault: AccountFault): Reach =>
    reachOf(
      rows.filter((row) => row.fault === fault),
      running,
    );
  return new Map([...faults].map((fault) => [fault, reach(fault)]));
}

/** How many instances run. */
export async function runningInstances(db: Db, environmentId: string): Promise<number> {
  const result = await db.execute(sql`
    select count(*)::integer as running from instances
    where environment_id = ${environmentId} and ${instances.stoppedAt} is null
      and ${stateOf(sql`clock_timestamp()`)} <> 'silent'`);
  return Number(returnedRows(result)[0]?.["running"] ?? 0);
}
