/**
 * What can be asked about usage, and how much of it.
 * Sums of flags and models come from the ledger and are complete; of users, sessions, apps and versions those that cost most
 * are kept, and the rest is told.
 */

export const USAGE_GROUPS = ["flag", "model", "user", "session", "app", "version"] as const;
export type UsageGroup = (typeof USAGE_GROUPS)[number];

export const USAGE_BUCKETS = ["minute", "hour", "day", "month"] as const;
export type UsageBucket = (typeof USAGE_BUCKETS)[number];

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** The longest span of one answer by bucket: as many buckets as a chart can show. */
export const MAX_SPAN_MS: Readonly<Record<UsageBucket | "none", number>> = {
  minute: 26 * HOUR_MS,
  hour: 32 * DAY_MS,
  day: 100 * DAY_MS,
  month: 400 * DAY_MS,
  none: 400 * DAY_MS,
};
/** The longest span of a CSV with buckets, which is sent in pieces. */
export const MAX_CSV_SPAN_MS = 400 * DAY_MS;
/** The span when neither `from` nor `to` is given. */
export const DEFAULT_SPAN_MS = DAY_MS;
/** Rows of one answer; a question that has more is refused, never cut. */
export const MAX_USAGE_ROWS = 10_000;
