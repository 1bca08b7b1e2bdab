/**
 * The windows of a budget: hours, days, weeks (from Monday) and months in its IANA zone.
 * Invariant: the windows of a period tile the time line: every instant is in exactly one, whatever a zone's clocks do.
 */
import { Temporal } from "temporal-polyfill";

export type Period = "hour" | "day" | "week" | "month";
export const PERIODS: readonly Period[] = ["hour", "day", "week", "month"];

/** `a day`, `an hour`: how a limit says what it is for. */
export function aPeriod(period: Period): string {
  return period === "hour" ? "an hour" : `a ${period}`;
}

export interface Window {
  /** Unix time in milliseconds, inclusive. */
  startMs: number;
  /** Unix time in milliseconds, exclusive: the next window's `startMs`. */
  endMs: number;
  /** Names the window within its period and zone: `2026-11-20`, `2026-W47`, `2026-11`, or an hour's start in UTC. */
  key: string;
}

const HOUR_MS = 3_600_000;
/** Earliest and latest instants with a window: the years 1970 to 9999. */
const MIN_AT_MS = 0;
const MAX_AT_MS = 253_402_300_799_999;
/** Pairs of period and zone whose windows are remembered. */
const MAX_KEPT_NAMES = 512;
/** Windows remembered for each: the current one, and those that late records still ask for. */
const MAX_KEPT_WINDOWS = 4;
const MAX_ZONE_CHARS = 64;

/** The same question has the same answer, so this memory changes nothing but the time it takes. */
const kept = new Map<string, Window[]>();

/**
 * The window that contains an instant.
 * @param zone an IANA zone, checked by `isTimeZone` before
 * @param atMs Unix time in milliseconds, from 1970 to 9999
 * @throws RangeError for an instant out of these bounds or an unknown zone
 */
export function windowAt(period: Period, zone: string, atMs: number): Window {
  if (!Number.isInteger(atMs) || atMs < MIN_AT_MS || atMs > MAX_AT_MS) {
    throw new RangeError(`no budget window at ${atMs} ms: expected a whole number from ${MIN_AT_MS} to ${MAX_AT_MS}`);
  }
  const name = `${period} ${zone}`;
  const known = kept.get(name) ?? [];
  for (const window of known) if (window.startMs <= atMs && atMs < window.endMs) return window;
  const window = period === "hour" ? hourAt(zone, atMs) : calendarWindowAt(period, zone, atMs);
  if (kept.size >= MAX_KEPT_NAMES) kept.clear();
  kept.set(name, [window, ...known].slice(0, MAX_KEPT_WINDOWS));
  return window;
}

/** Whether a text names an IANA time zone that this machine knows. Fixed offsets such as `+05:45` are not zones. */
export function isTimeZone(zone: string): boolean {
  if (zone.length > MAX_ZONE_CHARS || !/^[A-Za-z]/.test(zone)) return false;
  try {
    Temporal.Instant.fromEpochMilliseconds(MIN_AT_MS).toZonedDateTimeISO(zone);
    return true;
  } catch (error) {
    // The only way to ask: an unknown zone is a RangeError. Anything else is a defect and must be seen.
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/**
 * Hours are counted from the beginning of the local day. In a zone that shifts its clocks by half an hour, the last
 * hour of that day is shorter or the day has half an hour more, and no hour overlaps another.
 */
function hourAt(zone: string, atMs: number): Window {
  const day = windowAt("day", zone, atMs);
  const startMs = atMs - ((atMs - day.startMs) % HOUR_MS);
  const key = `${new Date(startMs).toISOString().slice(0, 16)}Z`;
  return { startMs, endMs: Math.min(startMs + HOUR_MS, day.endMs), key };
}

type CalendarPeriod = Exclude<Period, "hour">;

function calendarWindowAt(period: CalendarPeriod, zone: string, atMs: number): Window {
  const date = Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(zone).toPlainDate();
  let first = firstDate(period, date);
  let next = following(period, first);
  let endMs = startOf(next, zone);
  // Clocks set back across midnight show the old date once more after the new window has begun.
  while (endMs <= atMs) {
    first = next;
    next = following(period, first);
    endMs = startOf(next, zone);
  }
  return { startMs: startOf(first, zone), endMs, key: keyOf(period, first) };
}

/** The first instant of a date. When its midnight does not exist, that is the first one after the gap. */
function startOf(date: Temporal.PlainDate, zone: string): number {
  return date.toZonedDateTime(zone).epochMilliseconds;
}

function firstDate(period: CalendarPeriod, date: Temporal.PlainDate): Temporal.PlainDate {
  switch (period) {
    case "day":
      return date;
    case "week":
      return date.subtract({ days: date.dayOfWeek - 1 });
    case "month":
      return date.with({ day: 1 });
  }
}

function following(period: CalendarPeriod, first: Temporal.PlainDate): Temporal.PlainDate {
  switch (period) {
    case "day":
      return first.add({ days: 1 });
    case "week":
      return first.add({ days: 7 });
    case "month":
      return first.add({ months: 1 });
  }
}

function keyOf(period: CalendarPeriod, first: Temporal.PlainDate): string {
  switch (period) {
    case "day":
      return first.toString();
    case "week":
      return `${first.yearOfWeek ?? first.year}-W${String(first.weekOfYear ?? 0).padStart(2, "0")}`;
    case "month":
      return first.toPlainYearMonth().toString();
  }
}
