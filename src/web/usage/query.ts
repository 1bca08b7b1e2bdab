/** What the page Usage is asked for, read from its address: what it cannot read is what it shows by default. */
import { isTimeZone, type Period, windowAt } from "../../domain/window.ts";
import type { ExploreBy } from "../../services/usage/explore.ts";

export const SPANS = ["today", "yesterday", "week", "last-week", "month", "last-month"] as const;
export type SpanName = (typeof SPANS)[number];
export const SPAN_LABELS: Readonly<Record<SpanName, string>> = {
  today: "Today",
  yesterday: "Yesterday",
  week: "This week",
  "last-week": "Last week",
  month: "This month",
  "last-month": "Last month",
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
  period: Period;
}

/** Whole days, weeks and months of the zone. */
export function windowOf({ span, timezone }: UsageAsked, nowMs: number): AskedWindow {
  const period = span === "today" || span === "yesterday" ? "day" : span.endsWith("week") ? "week" : "month";
  const now = windowAt(period, timezone, nowMs);
  const isNow = span === "today" || span === "week" || span === "month";
  const { startMs, endMs } = isNow ? now : windowAt(period, timezone, now.startMs - 1);
  return { startMs, endMs, period };
}
