/**
 * What can be asked about usage, and what is answered. Money is integer nano-USD, times are ISO 8601 in UTC.
 * Sums of flags and models come from the ledger and are complete; sums of users and sessions from the kept recent calls.
 */

import type { Total } from "./total.ts";

export const USAGE_GROUPS = ["flag", "model", "user", "session"] as const;
export type UsageGroup = (typeof USAGE_GROUPS)[number];

export const USAGE_BUCKETS = ["minute", "hour", "day"] as const;
export type UsageBucket = (typeof USAGE_BUCKETS)[number];

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** The longest span of one answer by bucket: as many buckets as a chart can show. */
export const MAX_SPAN_MS: Readonly<Record<UsageBucket | "none", number>> = {
  minute: 26 * HOUR_MS,
  hour: 32 * DAY_MS,
  day: 100 * DAY_MS,
  none: 100 * DAY_MS,
};
/** The span when neither `from` nor `to` is given. */
export const DEFAULT_SPAN_MS = DAY_MS;
/** Rows of one answer; a question that has more is refused, never cut. */
export const MAX_USAGE_ROWS = 10_000;

export interface UsageTokens {
  input: Total;
  output: Total;
  cacheWrite5m: Total;
  cacheWrite1h: Total;
  cacheRead: Total;
}

export interface UsageRow {
  /** Start of the bucket; null when the answer has no buckets. */
  at: string | null;
  /** What the row is grouped by; a record without a user or session has "". */
  flag?: string;
  model?: string;
  user?: string;
  session?: string;
  /** First attempts; `attempts` counts all. */
  calls: number;
  attempts: number;
  errors: number;
  aborted: number;
  refused: number;
  /** All tokens that were sent: input, cache writes and cache reads. */
  promptTokens: Total;
  outputTokens: Total;
  /** By price class; null for users and sessions, whose calls are kept without it. */
  tokens: UsageTokens | null;
  webSearches: number | null;
  costNanoUsd: Total;
  /** The part that the provider's own usage proves. */
  exactNanoUsd: Total;
  estimatedNanoUsd: Total;
  /** Attempts at a model without a price, counted at the dearest rate; null for users and sessions. */
  unpriced: number | null;
  /** Milliseconds. From the ledger: the upper bound of the bucket that holds the quantile. Null without any attempt. */
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
}

export interface UsageAnswer {
  from: string;
  to: string;
  bucket: UsageBucket | null;
  timezone: string;
  groupBy: UsageGroup[];
  /** `ledger`: complete sums. `recentCalls`: sums of the calls that are still kept, the newest ones. */
  source: "ledger" | "recentCalls";
  items: UsageRow[];
}

/** One attempt at one model call. Never content. */
export interface CallResource {
  id: number;
  at: string;
  flag: string;
  model: string;
  requestedModel: string;
  outcome: "ok" | "error" | "aborted" | "refused";
  exact: boolean;
  costNanoUsd: number;
  promptTokens: number;
  outputTokens: number;
  latencyMs: number;
  attempt: number;
  status: number | null;
  errorType: string | null;
  stopReason: string | null;
  requestId: string | null;
  user: string | null;
  session: string | null;
  instance: string | null;
}
