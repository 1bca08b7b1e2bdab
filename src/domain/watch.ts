/**
 * Watches: what of a flag's calls is unusual enough to tell on-call of. Pure: the job and the preview decide by the same
 * functions. A watch opens when the last hour and its last quarter are both over the limit, so that a short spike and a past
 * one wake nobody; it ends when that has not been so for half an hour, so that it does not flap.
 */
import { LATENCY_BUCKETS_MS } from "./ledger.ts";
import type { Usual } from "./usual.ts";

export const WATCH_KINDS = ["burn", "largeCall", "cut", "errors", "latency"] as const;
export type WatchKind = (typeof WATCH_KINDS)[number];

const MINUTE_MS = 60_000;
export const QUARTER_MS = 15 * MINUTE_MS;
export const WATCHED_HOUR_MS = 4 * QUARTER_MS;
/** Over so long a time a large call is compared with the others. */
export const MEAN_SPAN_MS = 7 * 24 * WATCHED_HOUR_MS;
/** A watch that has not held for so long has ended. */
export const CALM_MS = 30 * MINUTE_MS;
/** It is told of again when it has doubled, at most so often. */
export const TELL_EVERY_MS = 10 * MINUTE_MS;
/** Fewer failed, cut or slow ones in an hour are chance. */
export const MIN_BAD = 5;
/** What the rest may be slower than, in percent: p95. */
const SLOW_PERCENT = 5;
const NANO_PER_USD = 1_000_000_000;

/**
 * When a watch tells. `limit`: times the usual (burn), times the mean (largeCall), percent (cut, errors), milliseconds
 * (latency, one of `LATENCY_BUCKETS_MS`). `minimum`: USD an hour (burn), calls that the mean is of (largeCall), answers
 * (cut) or attempts (errors, latency) of the hour: with less it never tells.
 */
export interface WatchSetting {
  enabled: boolean;
  limit: number;
  minimum: number;
}

/** What counts where nobody has set anything else. */
export const DEFAULT_WATCHES: Readonly<Record<WatchKind, WatchSetting>> = {
  burn: { enabled: true, limit: 4, minimum: 5 },
  largeCall: { enabled: true, limit: 2, minimum: 50 },
  cut: { enabled: true, limit: 5, minimum: 20 },
  errors: { enabled: true, limit: 1, minimum: 20 },
  latency: { enabled: true, limit: 120_000, minimum: 20 },
};

/** What a limit and a minimum may be. */
export const WATCH_BOUNDS: Readonly<Record<WatchKind, { limit: Bound; minimum: Bound }>> = {
  burn: { limit: { min: 1.5, max: 1_000 }, minimum: { min: 0.01, max: 1_000_000 } },
  largeCall: { limit: { min: 1.5, max: 1_000 }, minimum: { min: 10, max: 1_000_000 } },
  cut: { limit: { min: 0.1, max: 100 }, minimum: { min: MIN_BAD, max: 1_000_000 } },
  errors: { limit: { min: 0.1, max: 100 }, minimum: { min: MIN_BAD, max: 1_000_000 } },
  latency: { limit: { min: 50, max: 300_000 }, minimum: { min: MIN_BAD, max: 1_000_000 } },
};
interface Bound {
  min: number;
  max: number;
}

/** Sums of one flag over a while. */
export interface WatchSums {
  attempts: number;
  errors: number;
  /** Answers whose stop reason is known, and those of them that `max_tokens` cut. */
  ended: number;
  cut: number;
  /** Attempts that took longer than the limit of its watch. */
  slow: number;
  nanoUsd: number;
  /** The most tokens of one attempt. */
  largestTokens: number;
}

/** The calls that a large one is compared with. */
export interface MeanCall {
  calls: number;
  tokens: number;
  /** The most tokens that one of them used. */
  largestTokens: number;
}

/** What is seen of one flag at a moment: its last hour, the last quarter of that, and what both are compared with. */
export interface Sight {
  atMs: number;
  hour: WatchSums;
  quarter: WatchSums;
  /** Of that hour; null when nobody knows. */
  usual: Usual | null;
  /** Without the largest of the quarter. */
  mean: MeanCall | null;
}

/** How a watch reads what is seen. */
export interface Reading {
  isOver: boolean;
  /** What grows as it gets worse: nano-USD of the hour (burn), tokens of a call (largeCall), the share in percent (others). */
  value: number;
  /** The same of the last quarter; of burn scaled to an hour. */
  now: number;
  /** What that is compared with: the usual burn in nano-USD an hour, the mean of a call in tokens, the limit in percent. */
  against: number;
  /** Of a share: how many, and of how many. */
  bad: number;
  total: number;
}

/** Null when too little is known or called to say anything. */
export function readWatch(
  kind: WatchKind,
  { limit, minimum }: Pick<WatchSetting, "limit" | "minimum">,
  sight: Sight,
): Reading | null {
  const { hour, quarter } = sight;
  switch (kind) {
    case "burn":
      return readBurn(sight, limit, minimum);
    case "largeCall":
      return readLargeCall(sight, limit, minimum);
    case "cut":
      return share(
        { bad: hour.cut, total: hour.ended },
        { bad: quarter.cut, total: quarter.ended },
        { limit, minimum },
      );
    case "errors":
      return share(
        { bad: hour.errors, total: hour.attempts },
        { bad: quarter.errors, total: quarter.attempts },
        { limit, minimum },
      );
    case "latency":
      return share(
        { bad: hour.slow, total: hour.attempts },
        { bad: quarter.slow, total: quarter.attempts },
        { limit: SLOW_PERCENT, minimum },
      );
  }
}

function readBurn({ hour, quarter, usual }: Sight, limit: number, minimumUsd: number): Reading | null {
  if (usual === null) return null;
  const now = quarter.nanoUsd * (WATCHED_HOUR_MS / QUARTER_MS);
  const most = Math.max(usual.nanoUsdPerHour * limit, minimumUsd * NANO_PER_USD);
  const isOver = hour.nanoUsd >= most && now >= most;
  return { isOver, value: hour.nanoUsd, now, against: usual.nanoUsdPerHour, bad: 0, total: 0 };
}

/** A call that is large for the mean, and larger than any that it is compared with: else half of some flags' calls would be. */
function readLargeCall({ quarter, mean }: Sight, limit: number, minimum: number): Reading | null {
  if (mean === null || mean.calls < minimum) return null;
  const against = mean.tokens / mean.calls;
  const value = quarter.largestTokens;
  const isOver = value > against * limit && value > mean.largestTokens;
  return { isOver, value, now: value, against, bad: 0, total: mean.calls };
}

interface Part {
  bad: number;
  total: number;
}

function share(hour: Part, quarter: Part, { limit, minimum }: { limit: number; minimum: number }): Reading | null {
  if (hour.total < minimum) return null;
  const isOver =
    hour.bad >= MIN_BAD && hour.bad * 100 > limit * hour.total && quarter.bad * 100 > limit * quarter.total;
  const percent = ({ bad, total }: Part) => (total === 0 ? 0 : (bad * 100) / total);
  return { isOver, value: percent(hour), now: percent(quarter), against: limit, ...hour };
}

/** A watch that has opened and has not ended. */
export interface OpenWatch {
  openedAtMs: number;
  /** When it last held. */
  heldAtMs: number;
  /** As it was last told, and when. */
  toldAtMs: number;
  toldValue: number;
  worstValue: number;
}

/** One flag of a watch's incident. */
export interface WatchedFlag extends OpenWatch {
  flag: string;
  /** As of the setting when it opened. */
  limit: number;
  /** Since when it is so; null when that cannot be told. */
  sinceMs: number | null;
  /** When it was over; null while it is not. */
  endedAtMs: number | null;
  /** The last reading, see `Reading`. */
  value: number;
  now: number;
  against: number;
}

/** What an incident keeps of the watch that opened it: what begins within minutes has one cause, and is one incident. */
export interface IncidentWatch {
  kind: WatchKind;
  /** When its last alert was written, and what none has told yet. */
  toldAtMs: number;
  untold: readonly { flag: string; text: string }[];
  flags: readonly WatchedFlag[];
}
/** A flag that comes so long after an incident of its kind has opened has one of its own. */
export const SAME_CAUSE_MS = 10 * MINUTE_MS;

export type WatchEvent = "opens" | "grows" | "ends";

/** What a reading does to a watch. A reading that says nothing is as one that is not over. */
export function turnOf(
  open: OpenWatch | null,
  reading: Reading | null,
  atMs: number,
): { open: OpenWatch | null; event: WatchEvent | null } {
  if (reading === null || !reading.isOver) {
    if (open === null) return { open, event: null };
    return atMs - open.heldAtMs >= CALM_MS ? { open: null, event: "ends" } : { open, event: null };
  }
  const { value } = reading;
  const told = { toldAtMs: atMs, toldValue: value };
  if (open === null) {
    return { open: { openedAtMs: atMs, heldAtMs: atMs, ...told, worstValue: value }, event: "opens" };
  }
  const grows = value >= 2 * open.toldValue && atMs - open.toldAtMs >= TELL_EVERY_MS;
  const held = { ...open, heldAtMs: atMs, worstValue: Math.max(open.worstValue, value), ...(grows && told) };
  return { open: held, event: grows ? "grows" : null };
}

/** A time for which a watch held, as the preview tells of it. */
export interface Episode {
  fromMs: number;
  /** When it last held. */
  heldUntilMs: number;
  /** Null: not ended within what was looked at. */
  endedMs: number | null;
  worst: Reading;
  worstAtMs: number;
}

/** When a watch would have opened. `sights`: of one flag, oldest first; one that is missing had no calls. */
export function episodesOf(
  kind: WatchKind,
  setting: Pick<WatchSetting, "limit" | "minimum">,
  sights: readonly Sight[],
  untilMs: number,
): Episode[] {
  const episodes: Episode[] = [];
  let open: OpenWatch | null = null;
  let worst: { reading: Reading; atMs: number } | null = null;
  const close = (last: OpenWatch, endedMs: number | null): void => {
    const { openedAtMs: fromMs, heldAtMs: heldUntilMs } = last;
    if (worst !== null) episodes.push({ fromMs, heldUntilMs, endedMs, worst: worst.reading, worstAtMs: worst.atMs });
    worst = null;
  };
  for (const sight of sights) {
    const reading = readWatch(kind, setting, sight);
    // Between two sights there may have been none.
    const isOver = reading?.isOver === true;
    if (open !== null && sight.atMs - open.heldAtMs > CALM_MS - (isOver ? 0 : 1)) {
      close(open, open.heldAtMs + CALM_MS);
      open = null;
    }
    open = turnOf(open, reading, sight.atMs).open;
    if (isOver && (worst === null || reading.value > worst.reading.value)) worst = { reading, atMs: sight.atMs };
  }
  if (open !== null) close(open, untilMs - open.heldAtMs >= CALM_MS ? open.heldAtMs + CALM_MS : null);
  return episodes;
}

/**
 * Since when it is so: the minute from which on there is most beyond the limit, of the minutes that end now. `excess` of a
 * minute is what it has beyond what the limit allows, negative where it has less.
 */
export function beganMs(minutes: readonly { atMs: number; excess: number }[]): number | null {
  let sum = 0;
  let best: { atMs: number; sum: number } | null = null;
  for (const { atMs, excess } of minutes.toSorted((a, b) => b.atMs - a.atMs)) {
    sum += excess;
    if (excess > 0 && (best === null || sum > best.sum)) best = { atMs, sum };
  }
  return best?.atMs ?? null;
}

/** The first bucket whose attempts took longer than the limit for sure, counted from 1 as the database does. */
export function slowBucket(limitMs: number): number {
  const position = LATENCY_BUCKETS_MS.findIndex((bound) => bound >= limitMs);
  return (position < 0 ? LATENCY_BUCKETS_MS.length - 1 : position) + 2;
}
