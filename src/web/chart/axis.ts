/**
 * Where the ticks of a chart go. Pure. The clock is that of the budget's zone: a day with a clock change has 23 or 25
 * hours, and each tick stands at its own instant.
 */
import { type Period, windowAt } from "../../domain/window.ts";
import { clockIn, dateIn } from "../text/money.ts";

export interface Tick {
  at: number;
  label: string;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

/** Ticks of a window's time axis; `sparse` for a narrow chart. */
export function timeTicks(
  window: { startMs: number; endMs: number; period: Period | "year"; timezone: string },
  sparse: boolean,
): Tick[] {
  const { startMs, endMs, period, timezone } = window;
  const ticks: Tick[] = [];
  switch (period) {
    case "hour": {
      const stepMs = (sparse ? 20 : 10) * MINUTE_MS;
      for (let at = startMs; at <= endMs; at += stepMs) ticks.push({ at, label: clockIn(at, timezone) });
      return ticks;
    }
    case "day": {
      const every = sparse ? 6 : 3;
      for (let at = startMs; at < endMs; at += HOUR_MS) {
        const label = clockIn(at, timezone);
        if (label.endsWith(":00") && Number(label.slice(0, 2)) % every === 0) ticks.push({ at, label });
      }
      return [...ticks, { at: endMs, label: "24:00" }];
    }
    case "week":
    case "month": {
      const every = (period === "week" ? 1 : 5) * (sparse ? 2 : 1);
      for (let at = startMs, day = 0; at < endMs; at = windowAt("day", timezone, at).endMs, day += 1) {
        if (day % every === 0) ticks.push({ at, label: dateIn(at, timezone) });
      }
      return ticks;
    }
    case "year": {
      const every = sparse ? 3 : 1;
      const format = new Intl.DateTimeFormat("en", { timeZone: timezone, month: "short" });
      for (let at = startMs, month = 0; at < endMs; at = windowAt("month", timezone, at).endMs, month += 1) {
        if (month % every === 0) ticks.push({ at, label: format.format(at) });
      }
      return ticks;
    }
  }
}

const NICE = [1, 2, 2.5, 5, 10] as const;

/** At most `most` round values from 0 up to `max`, without 0. */
export function valueTicks(max: number, most: number): number[] {
  if (max <= 0) return [];
  const rough = max / most;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = magnitude * (NICE.find((nice) => nice * magnitude >= rough) ?? 10);
  return Array.from({ length: Math.floor(max / step) }, (_, at) => (at + 1) * step);
}
