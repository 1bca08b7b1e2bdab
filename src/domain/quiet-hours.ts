/** Hours of each day in which a channel is told of nothing but what is critical. Pure. */
import { Temporal } from "temporal-polyfill";

export interface QuietHours {
  /** "22:00", local. */
  from: string;
  /** "07:00"; earlier than `from`: of the next day. */
  to: string;
  timezone: string;
}

/** When the quiet hours that are on at this moment end, Unix time in milliseconds; null when none are. */
export function quietUntilMs({ from, to, timezone }: QuietHours, atMs: number): number | null {
  const local = Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(timezone);
  const now = local.toPlainTime();
  const isPast = (text: string) => Temporal.PlainTime.compare(now, Temporal.PlainTime.from(text)) >= 0;
  const endsTomorrow = from > to && isPast(from);
  const isQuiet = from > to ? isPast(from) || !isPast(to) : isPast(from) && !isPast(to);
  if (!isQuiet) return null;
  const day = endsTomorrow ? local.toPlainDate().add({ days: 1 }) : local.toPlainDate();
  return day.toZonedDateTime({ timeZone: timezone, plainTime: Temporal.PlainTime.from(to) }).epochMilliseconds;
}
