/**
 * Points in time for targeting rules. Only forms that mean the same everywhere are read: a date alone is UTC midnight,
 * a time needs its zone, because a zone-less text would decide differently per machine.
 */

const ISO_8601 =
  /^(\d{4})-(\d{2})-(\d{2})(?:[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?([Zz]|[+-]\d{2}:\d{2}))?$/;

/** Longest ISO text read, in characters. */
const MAX_INSTANT_LENGTH = 40;
const MINUTE_MS = 60_000;

/** Unix time in milliseconds of an ISO 8601 text, a `Date` or a number of milliseconds; null for anything else. */
export function parseInstant(value: unknown): number | null {
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "string") return parseIso(value);
  if (value instanceof Date) {
    const timeMs = value.getTime();
    return Number.isFinite(timeMs) ? timeMs : null;
  }
  return null;
}

function parseIso(text: string): number | null {
  if (text.length > MAX_INSTANT_LENGTH) return null;
  const match = ISO_8601.exec(text);
  if (match === null) return null;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const [hour, minute, second] = [Number(match[4] ?? 0), Number(match[5] ?? 0), Number(match[6] ?? 0)];
  if (hour > 23 || minute > 59 || second > 59) return null;
  const offset = offsetMinutes(match[8]);
  if (offset === null) return null;
  const milliseconds = Number((match[7] ?? "").padEnd(3, "0").slice(0, 3));
  const date = new Date(0);
  // Not Date.UTC: it reads the years 0 to 99 as 1900 to 1999.
  date.setUTCFullYear(year, month - 1, day);
  // A day that the month does not have would roll over into the next month.
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return null;
  return date.setUTCHours(hour, minute, second, milliseconds) - offset * MINUTE_MS;
}

function offsetMinutes(zone: string | undefined): number | null {
  if (zone === undefined || zone === "Z" || zone === "z") return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(4, 6));
  if (hours > 23 || minutes > 59) return null;
  return (zone.startsWith("-") ? -1 : 1) * (hours * 60 + minutes);
}
