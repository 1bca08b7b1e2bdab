/** What the page Usage is asked for, read from its address: what it cannot read is what it shows by default. */
import { isTimeZone, type Period, windowAt } from "../../domain/window.ts";
import type { ExploreBy } from "../../services/usage/explore.ts";

export const SPANS = ["today", "yesterday", "week", "last-week", "month", "last-month", "year", "last-year"] as const;
export type SpanName = (typeof SPANS)[number];
export const SPAN_LABELS: Readonly<Record<SpanName, string>> = {
  today: "Today",
  yesterday: "Yesterday",
  week: "This week",
  "last-week": "Last week",
  month: "This month",
  "last-month": "Last month",
  year: "This year",
  "last-year": "Last year",
};

export const BYS = ["flag", "model", "user", "session", "app", "version"] as const satisfies readonly ExploreBy[];
export const BY_LABELS: Readonly<Record<ExploreBy, string>> = {
  flag: "Flag",
  model: "Model",
  user: "User",
  session: "Session",
  app: "App",
  version: "Version",
};

const MONTHS = 12;

export interface UsageAsked {
  span: SpanName;
  by: ExploreBy;
  timezone: string;
  flag: string;
  model: string;
}

export function askedOf(query: (name: string) => string | undefined): UsageAsked {
  const timezone = query("timezone") ?? "UTC";
  return {
    span: SPANS.find((name) => name === query("span")) ?? "today",
    by: BYS.find((name) => name === query("by")) ?? "flag",
    timezone: isTimeZone(timezone) ? timezone : "UTC",
    flag: query("flag") ?? "",
    model: query("model") ?? "",
  };
}

/** The address of the same with some of it changed. */
export function addressOf(path: string, asked: UsageAsked, change: Partial<UsageAsked> = {}): string {
  const { timezone, ...rest } = { ...asked, ...change };
  const given = Object.entries({ ...rest, timezone: timezone === "UTC" ? "" : timezone });
  return `${path}?${new URLSearchParams(given.filter(([, value]) => value !== "")).toString()}`;
}

export interface AskedWindow {
  startMs: number;
  endMs: number;
  period: Period | "year";
}

/** Whole days, weeks, months and years of the zone. */
export function windowOf({ span, timezone }: UsageAsked, nowMs: number): AskedWindow {
  const isNow = !span.startsWith("last-") && span !== "yesterday";
  if (span === "year" || span === "last-year") {
    const now = yearAt(timezone, nowMs);
    return { ...(isNow ? now : yearAt(timezone, now.startMs - 1)), period: "year" };
  }
  const period = span === "today" || span === "yesterday" ? "day" : span.endsWith("week") ? "week" : "month";
  const now = windowAt(period, timezone, nowMs);
  const { startMs, endMs } = isNow ? now : windowAt(period, timezone, now.startMs - 1);
  return { startMs, endMs, period };
}

/** The twelve months of the zone that the moment is in. */
function yearAt(timezone: string, atMs: number): { startMs: number; endMs: number } {
  const month = Number(new Intl.DateTimeFormat("en", { timeZone: timezone, month: "numeric" }).format(atMs));
  let { startMs, endMs } = windowAt("month", timezone, atMs);
  for (let before = 1; before < month; before += 1) startMs = windowAt("month", timezone, startMs - 1).startMs;
  for (let after = month; after < MONTHS; after += 1) endMs = windowAt("month", timezone, endMs).endMs;
  return { startMs, endMs };
}
