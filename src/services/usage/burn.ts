/**
 * The one figure for burn. A flag that is off burns what calls cost that began since their instance applied that; calls
 * that ran at that moment are told apart, and what it burned before.
 */
import { and, eq, gt, min, sql } from "drizzle-orm";
import type { Ctx } from "../../deps.ts";
import { audit, environments, flags } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";
import { returnedRows } from "../../db/returned-rows.ts";
import { type BurnRow, burnRows, burnSinceMs, burnSpanMs } from "../../domain/burn.ts";
import { burnNanoUsdPerHour } from "../../domain/forecast.ts";
import { MINUTE_MS } from "../../domain/ledger.ts";
import { UNDEFINED } from "../../domain/other.ts";
import type { Spending } from "../budgets/pace.ts";
import { type CallsSince, callsSince } from "./calls-since.ts";

/** How long after a flag went off it is told what it burned before, and what of that still ended. */
const TOLD_MS = 24 * 3_600_000;
/** Instances named of those that still call. */
const MAX_NAMED = 3;

/** Of a flag that is off. Money is integer nano-USD. */
export interface OffBurn {
  wasNanoUsdPerHour: number;
  /** Instances whose calls began since they applied it; `[]`: none has. */
  still: string[];
  /** Calls that ran when it went off and have ended since. */
  ended: { calls: number; nanoUsd: number };
  /** At most so many run still, as far as the pace before tells; 0 once the longest seen lately would have ended. */
  ending: { calls: number; nanoUsd: number };
}

export interface Burn {
  /** What is under no flag's key is under `UNDEFINED`. */
  rows: readonly BurnRow[];
  off: ReadonlyMap<string, OffBurn>;
  /** While the master switch is off: instances that called under no flag's key since they applied that; else null. */
  undefinedStill: readonly string[] | null;
}

interface OffFlag {
  flag: string;
  sinceMs: number;
  revision: number;
}

export async function readBurn(ctx: Ctx, db: Db, environmentId: string, spending: Spending): Promise<Burn> {
  const { nowMs } = spending;
  const rows = burnRows(spending.minutes, firstCalls(spending), nowMs);
  const off = await readOff(db, environmentId);
  const darkSince = await readDark(db, environmentId);
  if (off.length === 0 && darkSince === null) return { rows, off: new Map(), undefinedStill: null };
  const began = new Map(off.map(({ flag, revision }) => [flag, revision]));
  if (darkSince !== null) began.set(UNDEFINED, darkSince);
  const calls = await callsSince(db, {
    environmentId,
    lineage: ctx.deps.snapshots.current(environmentId)?.lineage ?? "",
    began,
    nowMs,
    spanMs: nowMs - burnSinceMs(nowMs),
  });
  const before = await readBefore(
    db,
    environmentId,
    off.filter(({ sinceMs }) => nowMs - sinceMs < TOLD_MS),
  );
  const still = [...began.keys()].flatMap((flag) => stillRows(flag, calls, nowMs));
  return {
    rows: [...rows.filter(({ flag }) => !began.has(flag)), ...still],
    off: new Map(off.map((one) => [one.flag, offBurn(one, calls.get(one.flag), before.get(one.flag), nowMs)])),
    undefinedStill: darkSince === null ? null : stillCalling(calls.get(UNDEFINED)),
  };
}

function firstCalls({ slices, nowMs }: Spending): Map<string, number> {
  const first = new Map<string, number>();
  const sinceMs = firstCallSinceMs(nowMs);
  for (const { flag, firstMs } of slices) {
    if (firstMs < sinceMs) continue;
    first.set(flag, Math.min(first.get(flag) ?? firstMs, firstMs));
  }
  return first;
}

/** From here on the first call is looked for, Unix time in milliseconds: older spending is weighed by whole minutes. */
function firstCallSinceMs(nowMs: number): number {
  return Math.floor((nowMs - MINUTE_MS) / MINUTE_MS) * MINUTE_MS;
}

/** Those whose going off is known: the others have not changed since an older release. */
async function readOff(db: Db, environmentId: string): Promise<OffFlag[]> {
  const rows = await db
    .select({ flag: flags.key, since: flags.standingSince, revision: flags.standingRevision })
    .from(flags)
    .where(and(eq(flags.environmentId, environmentId), eq(flags.standing, "off")));
  return rows.flatMap(({ flag, since, revision }) =>
    since === null || revision === null ? [] : [{ flag, sinceMs: since.getTime(), revision }],
  );
}

/** The revision (`n`) that turned everything off by the master switch; null while it is on. */
async function readDark(db: Db, environmentId: string): Promise<number | null> {
  const ofMaster = and(eq(audit.environmentId, environmentId), eq(audit.targetKind, "master"));
  // By what it was set to: an undo is recorded under the action that it takes back.
  const lastOn = db
    .select({ id: sql`coalesce(max(${audit.id}), 0)` })
    .from(audit)
    .where(and(ofMaster, sql`${audit.after}->>'masterState' = 'on'`));
  const rows = await db
    .select({ first: min(audit.revision), now: environments.revision })
    .from(environments)
    .leftJoin(audit, and(ofMaster, gt(audit.id, lastOn)))
    .where(and(eq(environments.id, environmentId), eq(environments.masterState, "off")))
    .groupBy(environments.revision);
  const [row] = rows;
  return row === undefined ? null : (row.first ?? row.now);
}

function stillRows(flag: string, calls: ReadonlyMap<string, CallsSince>, nowMs: number): BurnRow[] {
  const spanMs = nowMs - burnSinceMs(nowMs);
  return (calls.get(flag)?.since ?? []).map(({ model, nanoUsd }) => ({
    flag,
    model,
    nanoUsdPerHour: burnNanoUsdPerHour(nanoUsd, spanMs),
  }));
}

interface Before {
  spentNanoUsd: number;
  attempts: number;
  firstMinuteMs: number;
  firstMs: number | undefined;
  dearestNanoUsd: number;
  longestMs: number;
  meanMs: number;
  endedCalls: number;
  endedNanoUsd: number;
}

/** What went on before each went off, and which calls that ran then have ended since. */
async function readBefore(db: Db, environmentId: string, off: readonly OffFlag[]): Promise<Map<string, Before>> {
  if (off.length === 0) return new Map();
  const asked = JSON.stringify(
    off.map(({ flag, sinceMs }) => ({
      flag,
      sinceMs,
      fromMs: burnSinceMs(sinceMs),
      firstFromMs: firstCallSinceMs(sinceMs),
    })),
  );
  const rows = returnedRows(
    await db.execute(sql`
      with asked as (
        select flag, to_timestamp("sinceMs" / 1000.0) as since, to_timestamp("fromMs" / 1000.0) as since_from,
          to_timestamp("firstFromMs" / 1000.0) as first_from
        from jsonb_to_recordset(cast(${asked} as text)::jsonb)
          as v(flag text, "sinceMs" bigint, "fromMs" bigint, "firstFromMs" bigint)
      )
      select asked.flag, minutes.spent::float8 as spent, minutes.attempts::float8 as attempts,
        extract(epoch from minutes.first)::float8 * 1000 as first_minute,
        extract(epoch from recent.first)::float8 * 1000 as first_call,
        recent.dearest::float8 as dearest, recent.longest::float8 as longest, recent.mean::float8 as mean,
        recent.ended::float8 as ended, recent.ended_spent::float8 as ended_spent
      from asked
      cross join lateral (
        select coalesce(sum(exact_nano_usd + estimated_nano_usd), 0) as spent, coalesce(sum(attempts), 0) as attempts,
          min(minute) as first
        from usage_minutes as m
        where m.environment_id = ${environmentId} and m.flag = asked.flag
          and m.minute >= asked.since_from and m.minute <= asked.since
      ) as minutes
      cross join lateral (
        select coalesce(max(cost_nano_usd), 0) as dearest, coalesce(max(latency_ms), 0) as longest,
          coalesce(avg(latency_ms), 0) as mean, min(at) filter (where at >= asked.first_from) as first,
          count(*) filter (where at > asked.since and at - latency_ms * interval '1 ms' < asked.since) as ended,
          coalesce(sum(cost_nano_usd)
            filter (where at > asked.since and at - latency_ms * interval '1 ms' < asked.since), 0) as ended_spent
        from usage_recent as r
        where r.environment_id = ${environmentId} and r.flag = asked.flag and r.at >= asked.since_from
      ) as recent`),
  );
  return new Map(
    rows.map((row) => [
      String(row["flag"]),
      {
        spentNanoUsd: Number(row["spent"]),
        attempts: Number(row["attempts"]),
        firstMinuteMs: Math.round(Number(row["first_minute"])),
        firstMs: row["first_call"] === null ? undefined : Math.floor(Number(row["first_call"])),
        dearestNanoUsd: Number(row["dearest"]),
        longestMs: Number(row["longest"]),
        meanMs: Number(row["mean"]),
        endedCalls: Number(row["ended"]),
        endedNanoUsd: Number(row["ended_spent"]),
      },
    ]),
  );
}

function stillCalling(calls: CallsSince | undefined): string[] {
  return [...new Set((calls?.since ?? []).map(({ newestInstance }) => newestInstance))].slice(0, MAX_NAMED);
}

/** Calls that ran at once are rate times latency (Little's law); each may cost what the dearest did. */
function offBurn(off: OffFlag, calls: CallsSince | undefined, before: Before | undefined, nowMs: number): OffBurn {
  const still = stillCalling(calls);
  if (before === undefined) {
    return { wasNanoUsdPerHour: 0, still, ended: { calls: 0, nanoUsd: 0 }, ending: { calls: 0, nanoUsd: 0 } };
  }
  const spanMs = burnSpanMs(before, off.sinceMs);
  const ran = Math.ceil((before.attempts / spanMs) * before.meanMs);
  const ending = nowMs - off.sinceMs > before.longestMs ? 0 : Math.max(0, ran - before.endedCalls);
  return {
    wasNanoUsdPerHour: burnNanoUsdPerHour(before.spentNanoUsd, spanMs),
    still,
    ended: { calls: before.endedCalls, nanoUsd: before.endedNanoUsd },
    ending: { calls: ending, nanoUsd: ending * before.dearestNanoUsd },
  };
}
