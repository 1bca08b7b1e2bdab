/**
 * How fast an environment spends: what burn and a budget's bound of overspending are made from. One reading serves all
 * budgets of the environment.
 */
import type { NameOf } from "../../../sdk-client/src/evaluate/model-names.ts";
import { and, eq, gte, type SQL, sql } from "drizzle-orm";
import { usageMinutes, usageRecent } from "../../db/schema/money.ts";
import { flags } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";
import { type BudgetScope, subjectOf } from "../../domain/budget.ts";
import { burnNanoUsdPerHour } from "../../domain/forecast.ts";
import { latencyQuantileMs, MINUTE_MS } from "../../domain/ledger.ts";
import { itsFlag, keyOrUndefined } from "../usage/flag-sums.ts";

/** The span that the bound of overspending looks back over. */
const PACE_SPAN_MS = 15 * MINUTE_MS;
/** A runaway is seconds old when it counts: the pace of single calls is taken over slices this short. */
const SLICE_SECONDS = 5;
const SLICE_MS = SLICE_SECONDS * 1_000;
/** No rate is taken over less. */
const MIN_SPAN_MS = 1_000;

interface Spent {
  flag: string;
  model: string;
  at: number;
  nanoUsd: number;
  attempts: number;
}

/** What was spent over the last minutes, by flag and model. `at` is the beginning, Unix time in milliseconds. */
export interface Spending {
  nowMs: number;
  minutes: readonly Spent[];
  /** Attempts by latency bucket over the whole span. */
  latencies: readonly { flag: string; model: string; latency: readonly number[] }[];
  slices: readonly (Spent & { dearestNanoUsd: number; firstMs: number })[];
}

/** Money in nano-USD, an hour where it is a rate. */
export interface Pace {
  /** Of the busiest minute or slice. */
  peakBurn: number;
  /** What the calls may cost that are running now. */
  inFlight: number;
}

/** @param slicesMs how far back slices are wanted: at least the last minute, at most 15 minutes */
export async function readSpending(
  db: Db,
  environmentId: string,
  nowMs: number,
  slicesMs = PACE_SPAN_MS,
): Promise<Spending> {
  const since = new Date(nowMs - PACE_SPAN_MS);
  // From the beginning of a minute, as slices are weighed by their minute.
  const slicesSince = new Date(Math.floor((nowMs - slicesMs) / MINUTE_MS) * MINUTE_MS);
  const inSpan = and(eq(usageMinutes.environmentId, environmentId), gte(usageMinutes.minute, since));
  const minutes = await db
    .select({
      minute: usageMinutes.minute,
      flag: keyOrUndefined,
      model: usageMinutes.model,
      nanoUsd: sql`sum(${usageMinutes.exactNanoUsd} + ${usageMinutes.estimatedNanoUsd})`.mapWith(Number),
      attempts: sql`sum(${usageMinutes.attempts})`.mapWith(Number),
    })
    .from(usageMinutes)
    .leftJoin(flags, itsFlag)
    .where(inSpan)
    .groupBy(usageMinutes.minute, keyOrUndefined, usageMinutes.model);
  const latencies = await readLatencies(db, inSpan);
  const slice = sql<number>`floor(extract(epoch from ${usageRecent.at}) / ${sql.raw(String(SLICE_SECONDS))})`;
  const slices = await db
    .select({
      at: slice.mapWith(Number),
      flag: keyOrUndefined,
      model: usageRecent.model,
      nanoUsd: sql`sum(${usageRecent.costNanoUsd})`.mapWith(Number),
      attempts: sql`count(*)`.mapWith(Number),
      dearestNanoUsd: sql`max(${usageRecent.costNanoUsd})`.mapWith(Number),
      firstMs: sql`floor(extract(epoch from min(${usageRecent.at})) * 1000)`.mapWith(Number),
    })
    .from(usageRecent)
    .leftJoin(flags, and(eq(flags.environmentId, usageRecent.environmentId), eq(flags.key, usageRecent.flag)))
    .where(and(eq(usageRecent.environmentId, environmentId), gte(usageRecent.at, slicesSince)))
    .groupBy(slice, keyOrUndefined, usageRecent.model);
  const sums = minutes.map(({ minute, ...one }) => ({ ...one, at: minute.getTime() }));
  return { nowMs, minutes: sums, latencies, slices: weighed(slices, sums) };
}

async function readLatencies(db: Db, inSpan: SQL | undefined): Promise<Spending["latencies"]> {
  const bucket = sql`bucket.i`.mapWith(Number);
  const rows = await db
    .select({ flag: keyOrUndefined, model: usageMinutes.model, bucket, n: sql`sum(bucket.n)`.mapWith(Number) })
    .from(usageMinutes)
    .leftJoin(flags, itsFlag)
    .crossJoin(sql`unnest(${usageMinutes.latency}) with ordinality as bucket(n, i)`)
    .where(inSpan)
    .groupBy(keyOrUndefined, usageMinutes.model, bucket);
  return rows.map(({ flag, model, bucket: at, n }) => {
    const latency: number[] = [];
    latency[at - 1] = n;
    return { flag, model, latency };
  });
}

/**
 * Of a rush only some calls are kept, but minutes are summed from all: the kept ones say when within its minute money was
 * spent, the minute says how much.
 */
function weighed<Slice extends Spent>(kept: readonly Slice[], minutes: readonly Spent[]): Slice[] {
  const slices = kept.map((slice) => ({ ...slice, at: slice.at * SLICE_MS }));
  const keyOf = ({ flag, model, at }: Spent) => `${Math.floor(at / MINUTE_MS)} ${flag} ${model}`;
  const ofKept = new Map<string, { nanoUsd: number; attempts: number }>();
  for (const slice of slices) {
    const sum = ofKept.get(keyOf(slice)) ?? { nanoUsd: 0, attempts: 0 };
    ofKept.set(keyOf(slice), { nanoUsd: sum.nanoUsd + slice.nanoUsd, attempts: sum.attempts + slice.attempts });
  }
  const ofAll = new Map(minutes.map((minute) => [keyOf(minute), minute]));
  return slices.map((slice) => {
    const all = ofAll.get(keyOf(slice));
    const own = ofKept.get(keyOf(slice));
    if (all === undefined || own === undefined) return slice;
    return {
      ...slice,
      nanoUsd: Math.ceil(slice.nanoUsd * share(all.nanoUsd, own.nanoUsd)),
      attempts: slice.attempts * share(all.attempts, own.attempts),
    };
  });
}

/** How many times as much all is as the kept part; at least 1. */
function share(all: number, kept: number): number {
  return kept <= 0 ? 1 : Math.max(1, all / kept);
}

/**
 * The burn of the busiest minute or slice of the last minutes, and what the calls running now may cost: as many
 * as run at once at that pace (rate times p95 latency, Little's law), each as dear as the dearest call seen lately.
 */
export function paceOf(spending: Spending, scope: BudgetScope, nameOf: NameOf): Pace {
  const minutes = spending.minutes.filter((one) => subjectOf(scope, one, nameOf) !== null);
  const slices = spending.slices.filter((one) => subjectOf(scope, one, nameOf) !== null);
  const latency: number[] = [];
  for (const each of spending.latencies) {
    if (subjectOf(scope, each, nameOf) === null) continue;
    each.latency.forEach((n, bucket) => {
      latency[bucket] = (latency[bucket] ?? 0) + n;
    });
  }
  const minute = busiest(minutes);
  const slice = busiest(slices);
  const sliceMs = shortestSpanMs(slices, spending.nowMs);
  const attemptsPerMs = Math.max(minute.attempts / MINUTE_MS, slice.attempts / sliceMs);
  const running = Math.ceil(attemptsPerMs * (latencyQuantileMs(latency, 0.95) ?? 0));
  const dearest = slices.reduce((most, one) => Math.max(most, one.dearestNanoUsd), 0);
  return {
    peakBurn: Math.max(burnNanoUsdPerHour(minute.nanoUsd, MINUTE_MS), burnNanoUsdPerHour(slice.nanoUsd, sliceMs)),
    inFlight: running * dearest,
  };
}

/**
 * How long the busiest slice was, at the least: while it is the only one, money has been spent since its first call, not
 * since its beginning, and not until its end.
 */
function shortestSpanMs(slices: Spending["slices"], nowMs: number): number {
  const first = slices.reduce((least, one) => Math.min(least, one.firstMs), nowMs);
  return Math.max(MIN_SPAN_MS, Math.min(SLICE_MS, nowMs - first));
}

/** The most that was spent, and the most attempts that ended, within one of the given spans. */
function busiest(spans: readonly Spent[]): { nanoUsd: number; attempts: number } {
  const sums = new Map<number, { nanoUsd: number; attempts: number }>();
  for (const { at, nanoUsd, attempts } of spans) {
    const sum = sums.get(at) ?? { nanoUsd: 0, attempts: 0 };
    sums.set(at, { nanoUsd: sum.nanoUsd + nanoUsd, attempts: sum.attempts + attempts });
  }
  const most = { nanoUsd: 0, attempts: 0 };
  for (const { nanoUsd, attempts } of sums.values()) {
    most.nanoUsd = Math.max(most.nanoUsd, nanoUsd);
    most.attempts = Math.max(most.attempts, attempts);
  }
  return most;
}
