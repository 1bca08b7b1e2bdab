/**
 * How often flags were evaluated, as clients report it beside their usage: a kill switch that no code asks is found at
 * the worst time. One row a flag, one statement a transaction.
 */
import { and, eq, sql } from "drizzle-orm";
import { jsonRows } from "../../db/json-rows.ts";
import { flagChecks } from "../../db/schema/usage.ts";
import type { Db } from "../../db/types.ts";
import type { Submission } from "../../deps.ts";
import type { Evaluations } from "../../domain/flag.ts";

interface Sum {
  flag: string;
  on: number;
  off: number;
  guarded: boolean;
  sdk: string | null;
  limited: number;
}

/** Adds what the batches report; flags that do not exist are left out. Rows are written in the order of their keys. */
export async function addEvaluations(
  tx: Db,
  environmentId: string,
  batches: readonly Pick<Submission, "checks" | "records">[],
  at: Date,
): Promise<void> {
  const sums = new Map<string, Sum>();
  for (const { checks, records } of batches) {
    for (const [flag, { on, off, sdk, limited = 0 }] of checks ?? []) {
      const sum = sums.get(flag) ?? { flag, on: 0, off: 0, guarded: false, sdk: null, limited: 0 };
      sums.set(flag, sum);
      sum.on += on;
      sum.off += off;
      sum.limited += limited;
      // Clients of before said nothing of their guards, which report usage all the same.
      sum.guarded ||= sdk !== undefined || records.some((record) => record.flag === flag);
      sum.sdk = sdk || sum.sdk;
    }
  }
  if (sums.size === 0) return;
  await tx.execute(sql`
    insert into flag_checks as known
      (environment_id, flag, checked_at, on_count, off_count, guarded_at, sdk, limited_count, limited_at)
    select ${environmentId}, v.flag, ${at.toISOString()}::timestamptz, v."on", v."off",
      case when v.guarded then ${at.toISOString()}::timestamptz end, v.sdk, v.limited,
      case when v.limited > 0 then ${at.toISOString()}::timestamptz end
    from jsonb_to_recordset(cast(${JSON.stringify([...sums.values()])} as text)::jsonb)
      as v(flag text, "on" bigint, "off" bigint, guarded boolean, sdk text, limited bigint)
      join flags on flags.environment_id = ${environmentId} and flags.key = v.flag
    order by v.flag
    on conflict (environment_id, flag) do update set
      checked_at = greatest(known.checked_at, excluded.checked_at),
      on_count = least(known.on_count + excluded.on_count, ${Number.MAX_SAFE_INTEGER}),
      off_count = least(known.off_count + excluded.off_count, ${Number.MAX_SAFE_INTEGER}),
      guarded_at = coalesce(excluded.guarded_at, known.guarded_at),
      sdk = coalesce(excluded.sdk, known.sdk),
      limited_count = least(known.limited_count + excluded.limited_count, ${Number.MAX_SAFE_INTEGER}),
      limited_at = greatest(known.limited_at, excluded.limited_at)`);
}

const CHECKS = {
  at: flagChecks.checkedAt,
  on: flagChecks.on,
  off: flagChecks.off,
  guardedAt: flagChecks.guardedAt,
  sdk: flagChecks.sdk,
  limited: flagChecks.limited,
  limitedAt: flagChecks.limitedAt,
};

/** Of all flags of the environment, by key. */
export async function readEvaluations(db: Db, environmentId: string): Promise<Map<string, Evaluations>> {
  const rows = await db
    .select({ flag: flagChecks.flag, ...CHECKS })
    .from(flagChecks)
    .where(eq(flagChecks.environmentId, environmentId));
  return new Map(rows.map(({ flag, ...checks }) => [flag, checks]));
}

/** A column for any query: the checks of one flag, one row or none. */
export function evaluationsColumn(environmentId: string, flag: string) {
  const ofFlag = and(eq(flagChecks.environmentId, environmentId), eq(flagChecks.flag, flag));
  return jsonRows(CHECKS, sql`from ${flagChecks} where ${ofFlag}`, []);
}

/** Forgets those of a flag that is deleted. */
export async function forgetEvaluations(tx: Db, environmentId: string, flag: string): Promise<void> {
  await tx.delete(flagChecks).where(and(eq(flagChecks.environmentId, environmentId), eq(flagChecks.flag, flag)));
}
