/** What an environment has spent over the last minutes: what burn is made from. One reading serves all its budgets. */
import { and, eq, gte, sql } from "drizzle-orm";
import { usageMinutes, usageRecent } from "../../db/schema/usage.ts";
import { flags } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";
import { MINUTE_MS } from "../../domain/ledger.ts";
import { itsFlag, keyOrUndefined } from "../usage/flag-sums.ts";

const PACE_SPAN_MS = 15 * MINUTE_MS;
/** A runaway is seconds old when it counts: the pace of single calls is taken over slices this short. */
const SLICE_SECONDS = 5;
const SLICE_MS = SLICE_SECONDS * 1_000;

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
  slices: readonly (Spent & { firstMs: number })[];
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
  const slice = sql<number>`floor(extract(epoch from ${usageRecent.at}) / ${sql.raw(String(SLICE_SECONDS))})`;
  const slices = await db
    .select({
      at: slice.mapWith(Number),
      flag: keyOrUndefined,
      model: usageRecent.model,
      nanoUsd: sql`sum(${usageRecent.costNanoUsd})`.mapWith(Number),
      attempts: sql`count(*)`.mapWith(Number),
      firstMs: sql`floor(extract(epoch from min(${usageRecent.at})) * 1000)`.mapWith(Number),
    })
    .from(usageRecent)
    .leftJoin(flags, and(eq(flags.environmentId, usageRecent.environmentId), eq(flags.key, usageRecent.flag)))
    .where(and(eq(usageRecent.environmentId, environmentId), gte(usageRecent.at, slicesSince)))
    .groupBy(slice, keyOrUndefined, usageRecent.model);
  const sums = minutes.map(({ minute, ...one }) => ({ ...one, at: minute.getTime() }));
  return { nowMs, minutes: sums, slices: weighed(slices, sums) };
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
