/**
 * What a flag usually spends in an hour: the median of the same hour and weekday of the weeks before, by its zone's clock;
 * while there are no two such weeks, of the same hour of the days before, and without these the mean of the hours that are
 * known. Pure. Invariant: hours before the flag was first called say nothing; hours without a call since then are 0.
 */
import { Temporal } from "temporal-polyfill";

const HOUR_MS = 3_600_000;
/** Weeks and days that are looked back. */
export const USUAL_WEEKS = 8;
export const USUAL_DAYS = 7;
/** Hours that stand for the usual of a flag that is younger than two days. */
export const USUAL_HOURS = 24;
/** Of one week or day nobody knows whether it was usual. */
const MIN_SAMPLES = 2;

export interface Usual {
  nanoUsdPerHour: number;
  /** What it is of, and of how many of these. */
  of: "weeks" | "days" | "hours";
  n: number;
}

/** What is known of one flag. */
export interface SpentHours {
  /** Before it nothing is known, Unix time in milliseconds: the beginning of an hour. */
  sinceMs: number;
  /** Nano-USD by the beginning of the hour in UTC; an hour that is missing spent nothing. */
  nanoUsd: Pick<ReadonlyMap<number, number>, "get">;
}

const DAY_MS = 24 * HOUR_MS;
/** So long before an hour the hours are looked at one by one, of a flag that has no two days to compare with. */
export const RECENT_MS = (USUAL_HOURS + 1) * HOUR_MS;
const YOUNG_MS = 2 * DAY_MS + HOUR_MS;

/** Whether a flag that is known since then has no two days that an hour is compared with. */
export function isYoung(sinceMs: number, hourMs: number): boolean {
  return sinceMs > hourMs - YOUNG_MS;
}

/** Since when the hours of a flag say something about an hour: of its first day nobody knows when it really began. */
export function knownSinceMs(firstHourMs: number, hourMs: number): number {
  const wholeDaysMs = Math.floor(firstHourMs / DAY_MS) * DAY_MS + DAY_MS;
  if (!isYoung(wholeDaysMs, hourMs)) return wholeDaysMs;
  return Math.min(wholeDaysMs, Math.max(firstHourMs, hourMs - RECENT_MS));
}

/** The hours that are compared with one hour, each by its beginning, the newest first. */
export interface ComparedHours {
  weeks: readonly number[];
  days: readonly number[];
  hours: readonly number[];
}

export const hourOf = (ms: number): number => Math.floor(ms / HOUR_MS) * HOUR_MS;

/**
 * Which hours an hour is compared with: those that the clock of the zone calls alike, whatever was done to it meanwhile.
 * @param hourMs the beginning of an hour in UTC
 */
export function comparedHours(hourMs: number, zone: string): ComparedHours {
  const local = Temporal.Instant.fromEpochMilliseconds(hourMs).toZonedDateTimeISO(zone);
  const before = (back: Temporal.DurationLike): number => hourOf(local.subtract(back).epochMilliseconds);
  return {
    weeks: Array.from({ length: USUAL_WEEKS }, (_, n) => before({ weeks: n + 1 })),
    days: Array.from({ length: USUAL_DAYS }, (_, n) => before({ days: n + 1 })),
    hours: Array.from({ length: USUAL_HOURS }, (_, n) => hourMs - (n + 1) * HOUR_MS),
  };
}

/** The usual of the hour that these are compared with; null when nothing is known to compare with. */
export function usualOf({ weeks, days, hours }: ComparedHours, { sinceMs, nanoUsd }: SpentHours): Usual | null {
  const known = (all: readonly number[]): number[] =>
    all.filter((hourMs) => hourMs >= sinceMs).map((hourMs) => nanoUsd.get(hourMs) ?? 0);
  const ofWeeks = known(weeks);
  if (ofWeeks.length >= MIN_SAMPLES) return { nanoUsdPerHour: median(ofWeeks), of: "weeks", n: ofWeeks.length };
  const ofDays = known(days);
  if (ofDays.length >= MIN_SAMPLES) return { nanoUsdPerHour: median(ofDays), of: "days", n: ofDays.length };
  const ofHours = known(hours);
  if (ofHours.length === 0) return null;
  const sum = ofHours.reduce((all, one) => all + one, 0);
  return { nanoUsdPerHour: Math.ceil(sum / ofHours.length), of: "hours", n: ofHours.length };
}

/**
 * The usual of the 60 minutes that end at a moment, which lie in two hours: of each its share. Of less is known, that is
 * what it is said to be of.
 */
export function usualUntil(atMs: number, usualAt: (hourMs: number) => Usual | null): Usual | null {
  const hourMs = hourOf(atMs);
  const [before, now] = [usualAt(hourMs - HOUR_MS), usualAt(hourMs)];
  if (before === null || now === null) return now;
  const share = (atMs - hourMs) / HOUR_MS;
  return { ...now, nanoUsdPerHour: Math.ceil(before.nanoUsdPerHour * (1 - share) + now.nanoUsdPerHour * share) };
}

/** "for Saturday 03:00 UTC"; of days "at 03:00 UTC"; of hours "of the last 5 h". `hourMs`: the hour it is the usual of. */
export function usualWords({ of, n }: Usual, hourMs: number, zone: string): string {
  if (of === "hours") return `of the last ${n} h`;
  const local = Temporal.Instant.fromEpochMilliseconds(hourMs).toZonedDateTimeISO(zone);
  const clock = `${local.toPlainTime().toString({ smallestUnit: "minute" })} ${zone}`;
  return of === "days" ? `at ${clock}` : `for ${WEEKDAYS[local.dayOfWeek - 1] ?? ""} ${clock}`;
}

/** What the usual is made of: "the median of 4 weeks"; what is missing is said. */
export function basisWords({ of, n }: Usual): string {
  switch (of) {
    case "weeks":
      return `the median of ${n} weeks`;
    case "days":
      return `the median of that hour on ${n} days: there are no two weeks to compare with yet`;
    case "hours":
      return `the mean of ${n === 1 ? "the one hour" : `the ${n} hours`} before: there are no two days to compare with yet`;
  }
}

const WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/** Of an even number the mean of the middle two, rounded up: what is usual never looks less than it is. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1] ?? 0, sorted[Math.floor(middle)] ?? 0];
  return Math.ceil((low + high) / 2);
}
