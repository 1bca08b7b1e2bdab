/**
 * Money and wall clocks as people read them. Pure. Amounts are integer nano-USD and are rounded up, so that nothing
 * looks cheaper than it is; clocks of a budget are in its own zone and say so.
 */
import { usd } from "../../domain/alert-text.ts";
import { NANO_PER_USD } from "../../domain/budget.ts";
import { BURN_SPAN_WORDS } from "../../domain/burn.ts";
import type { Period } from "../../domain/window.ts";

/** From here on cents are noise. */
const WHOLE_FROM_USD = 10;

/** `$161.20`; whole amounts without cents: `$200`. For limits. */
export function usdLimit(nanoUsd: number): string {
  return usd(nanoUsd).replace(/\.00$/, "");
}

/** `$0.42`, `$412`. */
export function usdRough(nanoUsd: number): string {
  const dollars = nanoUsd / NANO_PER_USD;
  return dollars < WHOLE_FROM_USD ? usd(nanoUsd) : usdLimit(Math.ceil(dollars) * NANO_PER_USD);
}

/** `$48/h, last 5 min`: a rate says over what. */
export function burnText(nanoUsdPerHour: number): string {
  return `${usdPerHour(nanoUsdPerHour)}, ${BURN_SPAN_WORDS}`;
}

/** `$0.42/h`, `$48/h`. */
export function usdPerHour(nanoUsd: number): string {
  return `${usdRough(nanoUsd)}/h`;
}

/** Of one call: four decimals below a cent, `$0.0004`. */
export function usdOfCall(nanoUsd: number): string {
  if (nanoUsd === 0 || nanoUsd >= NANO_PER_USD / 100) return usd(nanoUsd);
  return `$${(Math.ceil(nanoUsd / 100_000) / 10_000).toFixed(4)}`;
}

/** `02:41` in a zone. `at` is ISO 8601 or Unix time in milliseconds. */
export function clockIn(at: string | number, timeZone: string): string {
  return new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(
    new Date(at),
  );
}

/** `22 Nov` in a zone. */
export function dateIn(at: string | number, timeZone: string): string {
  return new Intl.DateTimeFormat("en-GB", { timeZone, day: "numeric", month: "short" }).format(new Date(at));
}

/** `Berlin`, `New York`, `UTC`: what people call a zone. */
export function zoneName(timezone: string): string {
  return (timezone.split("/").at(-1) ?? timezone).replaceAll("_", " ");
}

/** `resets 00:00 Berlin`, with the date when that is not within a day. */
export function resetText(windowEndsAt: string, timezone: string, period: Period): string {
  const date = period === "week" || period === "month" ? `${dateIn(windowEndsAt, timezone)} ` : "";
  return `resets ${date}${clockIn(windowEndsAt, timezone)} ${zoneName(timezone)}`;
}

/** `today`, `this hour`: what a window is called while it runs. */
export function periodNow(period: Period): string {
  switch (period) {
    case "day":
      return "today";
    case "hour":
    case "week":
    case "month":
      return `this ${period}`;
  }
}

/** Share of a limit in whole percent, rounded down: 100 only when it is reached. */
export function sharePercent(spentNanoUsd: number, limitNanoUsd: number): number {
  return limitNanoUsd <= 0 ? 100 : Math.floor((spentNanoUsd / limitNanoUsd) * 100);
}
