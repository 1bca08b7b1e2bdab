/**
 * Rolls the minutes of whole hours up into quarters of an hour, hours, days and months, when no record can reach them any more.
 * Invariant: what is rolled up equals its minutes; who writes into a rolled-up day takes it back in the same transaction.
 */
import { eq, type SQL, sql } from "drizzle-orm";
import type { Deps } from "../../deps.ts";
import { usageMinutes, usageRolled } from "../../db/schema/usage.ts";
import { returnedRows } from "../../db/returned-rows.ts";
import type { Db } from "../../db/types.ts";
import { LATENCY_BUCKETS_MS, MAX_LATE_MS, type MinuteSums } from "../../domain/ledger.ts";
import {
  DAY_GRAIN,
  DAY_MS,
  dayOf,
  type Grain,
  HOUR_GRAIN,
  MONTH_GRAIN,
  monthOf,
  type Piece,
  QUARTER_GRAIN,
  type Span,
} from "../../domain/rollups.ts";
import { foldStaged } from "./staged-sums.ts";
import { rollTops } from "./top-spans.ts";

const HOUR_MS = 3_600_000;
const hourOf = (ms: number): number => Math.floor(ms / HOUR_MS) * HOUR_MS;
/** What a statement sums well within its deadline; of more, an hour at a time. */
const ROWS_AT_ONCE = 50_000;
/** An hour is over for good when a record of its last minute would be too late, and the transactions of then have ended. */
const SETTLED_MS = MAX_LATE_MS + HOUR_MS;

/** Of one call; the rest at the next turn. */
const MAX_FOLDS = 20;

const NAMES = [
  "calls",
  "attempts",
  "errors",
  "aborted",
  "refused",
  "input",
  "output",
  "cache_write_5m",
  "cache_write_1h",
  "cache_read",
  "web_searches",
  "exact_nano_usd",
  "estimated_nano_usd",
  "unpriced",
  "ended",
  "cut",
];
const COLUMNS = sql.raw(`flag, model, ${NAMES.join(", ")}, largest_tokens, latency`);
const SUMS = sql.raw(
  [
    ...NAMES.map((name) => `sum(${name})`),
    "max(largest_tokens)",
    `array[${Array.from({ length: LATENCY_BUCKETS_MS.length + 1 }, (_, i) => `sum(latency[${i + 1}])`).join(", ")}]`,
  ].join(", "),
);
const moment = (ms: number) => sql`${new Date(ms).toISOString()}::timestamptz`;

/** What is rolled up, whole hours from a midnight on; null: nothing. */
export async function rolledSpan(db: Db, environmentId: string): Promise<Span | null> {
  const [row] = await db.select().from(usageRolled).where(eq(usageRolled.environmentId, environmentId));
  return row === undefined ? null : { fromMs: row.from.getTime(), untilMs: row.until.getTime() };
}

/** A table for any query in place of `usage_minutes`: the same columns, with the beginning of its span as the minute. */
export function usageOf(environmentId: string, pieces: readonly Piece[]): SQL {
  const parts = pieces.map(({ grain, fromMs, untilMs }) =>
    grain === null
      ? sql`select environment_id, minute, ${COLUMNS} from usage_minutes
          where environment_id = ${environmentId} and minute >= ${moment(fromMs)} and minute < ${moment(untilMs)}`
      : sql`select environment_id, start as minute, ${COLUMNS} from usage_rollups where environment_id = ${environmentId}
          and grain = ${sql.raw(String(grain))} and start >= ${moment(fromMs)} and start < ${moment(untilMs)}`,
  );
  return sql`(${sql.join(parts, sql` union all `)}) as usage_minutes`;
}

/** Within the ledger's transaction: a day that is written into is no longer rolled up, nor are those after it. */
export async function takeBackDays(
  tx: Db,
  environmentId: string,
  rolled: Span | null,
  sums: readonly MinuteSums[],
): Promise<void> {
  const firstMs = sums.reduce((first, { minuteMs }) => Math.min(first, minuteMs), Number.POSITIVE_INFINITY);
  if (rolled === null || firstMs >= rolled.untilMs) return;
  await tx
    .update(usageRolled)
    .set({ until: sql`greatest(${usageRolled.from}, least(${usageRolled.until}, ${moment(dayOf(firstMs))}))` })
    .where(eq(usageRolled.environmentId, environmentId));
}

/**
 * Rolls the next hours up, at most to the end of their day. False when there are none that are over for good and have
 * later ones after them.
 */
export async function rollNext({ db, clock }: Pick<Deps, "db" | "clock">, environmentId: string): Promise<boolean> {
  const rolled = await rolledSpan(db, environmentId);
  const [found] = await db
    .select({
      first: sql`min(${usageMinutes.minute})`.mapWith(usageMinutes.minute),
      last: sql`max(${usageMinutes.minute})`.mapWith(usageMinutes.minute),
    })
    .from(usageMinutes)
    .where(eq(usageMinutes.environmentId, environmentId));
  if (found?.first === null || found?.last === null || found === undefined) return false;
  const fromMs = rolled?.untilMs ?? dayOf(found.first.getTime());
  const readyMs = hourOf(Math.min(clock.nowMs() - SETTLED_MS, found.last.getTime()));
  if (readyMs <= fromMs) return false;
  const hours = { fromMs, untilMs: Math.min(readyMs, dayOf(fromMs) + DAY_MS) };
  // Their names first: a day is made of those of its hours.
  for (let n = 0; await isStaged(db, environmentId, hours.untilMs); n += 1) {
    if (n === MAX_FOLDS) return false;
    await foldStaged({ db });
  }
  if (await isTooMuch(db, environmentId, hours)) hours.untilMs = fromMs + HOUR_MS;
  await db.transaction((tx) => rollHours(tx, environmentId, hours));
  return true;
}

/** Whether names of these hours are still to be added up. */
async function isStaged(db: Db, environmentId: string, untilMs: number): Promise<boolean> {
  const rows = await db.execute(sql`
    select from usage_staged where environment_id = ${environmentId} and hour < ${moment(untilMs)} limit 1`);
  return returnedRows(rows).length > 0;
}

async function isTooMuch(db: Db, environmentId: string, { fromMs, untilMs }: Span): Promise<boolean> {
  const rows = await db.execute(sql`
    select from usage_minutes where environment_id = ${environmentId}
      and minute >= ${moment(fromMs)} and minute < ${moment(untilMs)} offset ${ROWS_AT_ONCE} limit 1`);
  return returnedRows(rows).length > 0;
}

async function rollHours(tx: Db, environmentId: string, hours: Span): Promise<void> {
  const [from, until] = [new Date(hours.fromMs), new Date(hours.untilMs)];
  await tx.insert(usageRolled).values({ environmentId, from, until: from }).onConflictDoNothing();
  const locked = await tx.execute(sql`
    select from usage_rolled where environment_id = ${environmentId} and until_at = ${moment(hours.fromMs)} for update`);
  // Another server was faster, or somebody wrote into a day before.
  if (returnedRows(locked).length === 0) return;
  await tx.execute(sql`
    delete from usage_rollups where environment_id = ${environmentId}
      and start >= ${moment(hours.fromMs)} and start < ${moment(hours.untilMs)}`);
  await rollUp(tx, environmentId, QUARTER_GRAIN, { ...hours, grain: null });
  await rollUp(tx, environmentId, HOUR_GRAIN, { ...hours, grain: QUARTER_GRAIN });
  if (dayOf(hours.untilMs) === hours.untilMs) {
    const day = { fromMs: hours.untilMs - DAY_MS, untilMs: hours.untilMs };
    await rollUp(tx, environmentId, DAY_GRAIN, { ...day, grain: HOUR_GRAIN });
    await rollTops(tx, environmentId, { grain: DAY_GRAIN, of: HOUR_GRAIN, span: day });
    if (monthOf(day.untilMs) === day.untilMs) await rollMonth(tx, environmentId, day.fromMs);
  }
  await tx.update(usageRolled).set({ until }).where(eq(usageRolled.environmentId, environmentId));
}

/** A month is rolled up with its last day, and once more when that day was taken back. */
async function rollMonth(tx: Db, environmentId: string, lastDayMs: number): Promise<void> {
  const month = { fromMs: monthOf(lastDayMs), untilMs: lastDayMs + DAY_MS };
  await tx.execute(sql`
    delete from usage_rollups where environment_id = ${environmentId} and grain = ${sql.raw(String(MONTH_GRAIN))}
      and start = ${moment(month.fromMs)}`);
  await rollUp(tx, environmentId, MONTH_GRAIN, { ...month, grain: DAY_GRAIN });
  await rollTops(tx, environmentId, { grain: MONTH_GRAIN, of: DAY_GRAIN, span: month });
}

async function rollUp(tx: Db, environmentId: string, grain: Grain, from: Piece): Promise<void> {
  const seconds = sql.raw(String(grain));
  const begin =
    grain === MONTH_GRAIN
      ? moment(from.fromMs)
      : sql`to_timestamp(floor(extract(epoch from minute) / ${seconds}) * ${seconds})`;
  await tx.execute(sql`
    insert into usage_rollups (environment_id, grain, start, ${COLUMNS})
    select ${environmentId}, ${seconds}, ${begin} as span, flag, model, ${SUMS}
    from ${usageOf(environmentId, [from])}
    group by span, flag, model`);
}
