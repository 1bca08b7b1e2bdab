/**
 * What each flag of an environment usually spends in an hour, see domain/usual.ts: read from the roll-ups once an hour, for
 * the board and the watches alike, and from as few hours of the ledger as are compared.
 */
import { eq, sql } from "drizzle-orm";
import type { Ctx } from "../../deps.ts";
import { flags as flagTable } from "../../db/schema/state.ts";
import { returnedRows } from "../../db/returned-rows.ts";
import type { Db } from "../../db/types.ts";
import { DAY_MS, dayOf, type Piece, piecesOf, type Span } from "../../domain/rollups.ts";
import {
  type ComparedHours,
  comparedHours,
  hourOf,
  isYoung,
  knownSinceMs,
  RECENT_MS,
  type SpentHours,
  type Usual,
  USUAL_WEEKS,
  usualOf,
  usualUntil,
} from "../../domain/usual.ts";
import { readZone } from "../budgets/zone.ts";
import { Memo } from "../shared/memo.ts";
import { rolledSpan, usageOf } from "./rollups.ts";

const HOUR_MS = 3_600_000;
/** How far back a flag's first call is looked for. */
const FIRST_MS = (USUAL_WEEKS * 7 + 2) * DAY_MS;
/** What comes late into an hour that is over changes its usual so much later. */
const KEPT_MS = 10 * 60_000;

export interface Usuals {
  zone: string;
  /** The flags that exist. */
  flags: readonly string[];
  /** Of the 60 minutes that end at a moment of the hour for which this was read; null when nobody knows. */
  until(flag: string, atMs: number): Usual | null;
}

const kept = new Memo<Usuals>(KEPT_MS);

/** As of the hour that `ctx.deps.clock` is in. `db`: the lane of whoever asks. */
export function usualsNow(ctx: Ctx, db: Db, environmentId: string): Promise<Usuals> {
  const hourMs = hourOf(ctx.deps.clock.nowMs());
  return kept.get(ctx, environmentId, String(hourMs), () => readUsuals(db, environmentId, hourMs));
}

/** As of the hour that begins at `hourMs`, which may be over. */
export async function readUsuals(db: Db, environmentId: string, hourMs: number): Promise<Usuals> {
  const zone = await readZone(db, environmentId);
  // The last 60 minutes begin in the hour before.
  const compared = new Map([hourMs - HOUR_MS, hourMs].map((one) => [one, comparedHours(one, zone)]));
  const spent = await readSpentHours(db, environmentId, { hourMs, compared: [...compared.values()] });
  return {
    zone,
    flags: [...spent.keys()],
    until: (flag, atMs) => {
      const own = spent.get(flag);
      if (own === undefined) return null;
      const withinMs = Math.min(Math.max(atMs, hourMs), hourMs + HOUR_MS - 1);
      return usualUntil(withinMs, (one) => usualOf(compared.get(one) ?? comparedHours(one, zone), own));
    },
  };
}

interface Wanted {
  /** The hour that is compared, by its beginning. */
  hourMs: number;
  compared: readonly ComparedHours[];
}

async function readSpentHours(
  db: Db,
  environmentId: string,
  { hourMs, compared }: Wanted,
): Promise<Map<string, SpentHours>> {
  const rolled = await rolledSpan(db, environmentId);
  const days = { fromMs: dayOf(hourMs - FIRST_MS), untilMs: hourMs };
  const first = await firstDays(db, environmentId, piecesOf(days, rolled, [86_400]));
  const hours = [...new Set(compared.flatMap((one) => [...one.weeks, ...one.days]))];
  const pieces = hours.flatMap((fromMs) => piecesOf({ fromMs, untilMs: fromMs + HOUR_MS }, rolled, [3_600]));
  const spent = new Map<string, { sinceMs: number; nanoUsd: Map<number, number> }>();
  for (const { key } of await db
    .select({ key: flagTable.key })
    .from(flagTable)
    .where(eq(flagTable.environmentId, environmentId))) {
    // Of its first day nobody knows when it began.
    const sinceMs = (first.get(key) ?? Number.POSITIVE_INFINITY) + DAY_MS;
    spent.set(key, { sinceMs, nanoUsd: new Map() });
  }
  for (const { flag, atMs, nanoUsd } of await spentByHour(db, environmentId, pieces)) {
    spent.get(flag)?.nanoUsd.set(atMs, nanoUsd);
  }
  const young = [...spent].filter(([, { sinceMs }]) => isYoung(sinceMs, hourMs)).map(([flag]) => flag);
  if (young.length === 0) return spent;
  const recent = { fromMs: hourMs - RECENT_MS, untilMs: hourMs };
  for (const { flag, atMs, nanoUsd } of await spentByHour(
    db,
    environmentId,
    piecesOf(recent, rolled, [3_600]),
    young,
  )) {
    const own = spent.get(flag);
    if (own === undefined) continue;
    own.sinceMs = Math.min(own.sinceMs, first.has(flag) ? recent.fromMs : atMs);
    own.nanoUsd.set(atMs, nanoUsd);
  }
  return spent;
}

/** The same for any moment of a span, for these flags: from all hours of it and of the weeks before. */
export async function usualsOver(
  db: Db,
  environmentId: string,
  { span, flags }: { span: Span; flags: readonly string[] },
): Promise<Usuals> {
  const zone = await readZone(db, environmentId);
  const rolled = await rolledSpan(db, environmentId);
  const pieces = piecesOf({ fromMs: dayOf(span.fromMs - FIRST_MS), untilMs: span.untilMs }, rolled, [3_600]);
  const hours = new Map<string, Map<number, number>>();
  const first = new Map<string, number>();
  for (const { flag, atMs, nanoUsd } of await spentByHour(db, environmentId, pieces, flags)) {
    const own = hours.get(flag) ?? new Map<number, number>();
    hours.set(flag, own.set(atMs, nanoUsd));
    first.set(flag, Math.min(first.get(flag) ?? atMs, atMs));
  }
  const compared = new Map<number, ComparedHours>();
  const usualAt = (flag: string, hourMs: number): Usual | null => {
    const [nanoUsd, firstMs] = [hours.get(flag), first.get(flag)];
    if (nanoUsd === undefined || firstMs === undefined) return null;
    const hoursBefore = compared.get(hourMs) ?? comparedHours(hourMs, zone);
    compared.set(hourMs, hoursBefore);
    return usualOf(hoursBefore, { sinceMs: knownSinceMs(firstMs, hourMs), nanoUsd });
  };
  return { zone, flags, until: (flag, atMs) => usualUntil(atMs, (hourMs) => usualAt(flag, hourMs)) };
}

/** What was spent under each name, or under these, by the hour of UTC, in these pieces of the ledger. */
export async function spentByHour(
  db: Db,
  environmentId: string,
  pieces: readonly Piece[],
  flags?: readonly string[],
): Promise<{ flag: string; atMs: number; nanoUsd: number }[]> {
  if (pieces.length === 0) return [];
  const rows = await db.execute(sql`
    select flag, extract(epoch from date_trunc('hour', minute, 'UTC'))::float8 * 1000 as at_ms,
      sum(exact_nano_usd + estimated_nano_usd)::float8 as nano_usd
    from ${usageOf(environmentId, pieces)}
    where ${flags === undefined ? sql`true` : sql`flag in (select jsonb_array_elements_text(cast(${JSON.stringify(flags)} as text)::jsonb))`}
    group by 1, 2`);
  return returnedRows(rows).map((row) => ({
    flag: String(row["flag"]),
    atMs: Number(row["at_ms"]),
    nanoUsd: Number(row["nano_usd"]),
  }));
}

/** The first day with calls of each flag, of the whole days that are rolled up. */
async function firstDays(db: Db, environmentId: string, pieces: readonly Piece[]): Promise<Map<string, number>> {
  const days = pieces.filter(({ grain }) => grain === 86_400);
  if (days.length === 0) return new Map();
  const rows = await db.execute(sql`
    select flag, extract(epoch from min(minute))::float8 * 1000 as at_ms from ${usageOf(environmentId, days)} group by flag`);
  return new Map(returnedRows(rows).map((row) => [String(row["flag"]), Number(row["at_ms"])]));
}
