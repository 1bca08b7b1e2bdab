/**
 * How fast an environment spends: the figures that a budget's burn and its bound of overspending are made from. One
 * reading serves all budgets of the environment.
 */
import { and, eq, gte, sql } from "drizzle-orm";
import { usageMinutes, usageRecent } from "../db/ledger-schema.ts";
import type { Db } from "../db/types.ts";
import { type BudgetScope, subjectOf } from "../domain/budget.ts";
import { burnNanoUsdPerHour } from "../domain/forecast.ts";
import { latencyQuantileMs, MINUTE_MS } from "../domain/ledger.ts";

/** The span that burn is measured over. */
const BURN_SPAN_MS = 15 * MINUTE_MS;
/** A runaway is seconds old when it counts: the pace of single calls is taken over slices this short. */
const SLICE_SECONDS = 5;
const MS_PER_SECOND = 1_000;

interface Spent {
  flag: string;
  model: string;
  /** Of a minute or a slice: which one. */
  at: number;
  nanoUsd: number;
  attempts: number;
}

/** What was spent over the last minutes, by flag and model. */
export interface Spending {
  minutes: readonly (Spent & { latency: readonly number[] })[];
  /** From the kept recent calls. */
  slices: readonly (Spent & { dearestNanoUsd: number })[];
}

/** Money in nano-USD, an hour where it is a rate. */
export interface Pace {
  burn: number;
  /** Of the busiest minute or slice. */
  peakBurn: number;
  /** What the calls may cost that are running now. */
  inFlight: number;
}

export async function readSpending(db: Db, environmentId: string, nowMs: number): Promise<Spending> {
  const since = new Date(nowMs - BURN_SPAN_MS);
  const minutes = await db
    .select()
    .from(usageMinutes)
    .where(and(eq(usageMinutes.environmentId, environmentId), gte(usageMinutes.minute, since)));
  const slice = sql<number>`floor(extract(epoch from ${usageRecent.at}) / ${sql.raw(String(SLICE_SECONDS))})`;
  const slices = await db
    .select({
      at: slice.mapWith(Number),
      flag: usageRecent.flag,
      model: usageRecent.model,
      nanoUsd: sql`sum(${usageRecent.costNanoUsd})`.mapWith(Number),
      attempts: sql`count(*)`.mapWith(Number),
      dearestNanoUsd: sql`max(${usageRecent.costNanoUsd})`.mapWith(Number),
    })
    .from(usageRecent)
    .where(and(eq(usageRecent.environmentId, environmentId), gte(usageRecent.at, since)))
    .groupBy(slice, usageRecent.flag, usageRecent.model);
  return {
    minutes: minutes.map(({ flag, model, minute, exactNanoUsd, estimatedNanoUsd, attempts, latency }) => ({
      flag,
      model,
      at: minute.getTime(),
      nanoUsd: exactNanoUsd + estimatedNanoUsd,
      attempts,
      latency,
    })),
    slices,
  };
}

/**
 * Burn over the last minutes, the burn of their busiest minute or slice, and what the calls running now may cost: as many
 * as run at once at that pace (rate times p95 latency, Little's law), each as dear as the dearest call seen lately.
 */
export function paceOf(spending: Spending, scope: BudgetScope): Pace {
  const minutes = spending.minutes.filter((one) => subjectOf(scope, one) !== null);
  const slices = spending.slices.filter((one) => subjectOf(scope, one) !== null);
  const latency: number[] = [];
  for (const each of minutes) {
    each.latency.forEach((n, bucket) => {
      latency[bucket] = (latency[bucket] ?? 0) + n;
    });
  }
  const minute = busiest(minutes);
  const slice = busiest(slices);
  const sliceMs = SLICE_SECONDS * MS_PER_SECOND;
  const attemptsPerMs = Math.max(minute.attempts / MINUTE_MS, slice.attempts / sliceMs);
  const running = Math.ceil(attemptsPerMs * (latencyQuantileMs(latency, 0.95) ?? 0));
  const dearest = slices.reduce((most, one) => Math.max(most, one.dearestNanoUsd), 0);
  return {
    burn: burnNanoUsdPerHour(
      minutes.reduce((sum, one) => sum + one.nanoUsd, 0),
      BURN_SPAN_MS,
    ),
    peakBurn: Math.max(burnNanoUsdPerHour(minute.nanoUsd, MINUTE_MS), burnNanoUsdPerHour(slice.nanoUsd, sliceMs)),
    inFlight: running * dearest,
  };
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
