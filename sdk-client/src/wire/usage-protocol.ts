/**
 * The wire types of usage: what one attempt at one model call used. Never content. Tokens are counts, times Unix
 * milliseconds, money is not on the wire at all: the server prices.
 */

import type { Revision } from "./revision.ts";

export const USAGE_PATH = "/sdk/v1/usage";

/** Bounds of one batch, held by the server and kept by the client. */
export const MAX_RECORDS_PER_BATCH = 1_000;
export const MAX_USAGE_BODY_BYTES = 1_024 * 1_024;

/** Longest text in any field of a record; clients cut what is longer. */
export const MAX_RECORD_TEXT_CHARS = 256;
/** Different flags in `checks` of one batch. */
export const MAX_CHECKED_FLAGS = 1_000;

/** Largest count of one call, also when it is read from a field: above it the part is clamped and inexact. */
export const MAX_TOKENS_PER_CALL = 10_000_000;
/** Largest count of one record, which may be the sum of many calls. */
export const MAX_TOKENS_PER_CLASS = 1_000_000_000;
/** Largest number of web searches in one record. */
export const MAX_WEB_SEARCHES = 1_000_000;
export type UsageOutcome = "ok" | "error" | "aborted" | "refused";

/** Tokens of one call by price class, and web searches. `input` is what neither wrote nor read a cache. */
export interface TokenUsage {
  input: number;
  output: number;
  cacheWrite5m: number;
  cacheWrite1h: number;
  cacheRead: number;
  webSearches: number;
}

export const NO_USAGE: TokenUsage = {
  input: 0,
  output: 0,
  cacheWrite5m: 0,
  cacheWrite1h: 0,
  cacheRead: 0,
  webSearches: 0,
};

export interface UsageRecord {
  id: string;
  /** When the attempt ended, Unix time in milliseconds. */
  at: number;
  flag: string;
  /** The model that was sent. */
  model: string;
  /** The model that the caller asked for. */
  requestedModel: string;
  outcome: UsageOutcome;
  /** True for the provider's own final usage; false for an estimate. */
  exact: boolean;
  usage: TokenUsage;
  batch?: boolean;
  fast?: boolean;
  geo?: string;
  stopReason?: string;
  errorType?: string;
  status?: number;
  /** 1 for a call's first attempt. */
  attempt: number;
  latencyMs: number;
  firstTokenMs?: number;
  requestId?: string;
  user?: string;
  session?: string;
  correlationId?: string;
  systemHash?: string;
  /** The revision that the call was decided by; without it the server goes by when the instance applied which. */
  revision?: Revision;
  /** How many attempts this record sums up; 1 unless the client had to sum on overflow. */
  count?: number;
  /** Of a sum: the largest prompt among its attempts, which price thresholds look at. */
  promptTokens?: number;
  /** What else an attempt used, beside the record of its answer: counts as tokens and money, not as an attempt. */
  part?: string;
}

export interface UsageBatch {
  batchId: string;
  instance: string;
  records: UsageRecord[];
  /** How often each flag was evaluated since the last batch. */
  checks?: Record<string, { on: number; off: number }>;
}

export interface UsageAnswer {
  accepted: number;
  /** True when this batch was counted before: nothing was added. */
  duplicate: boolean;
  rejected: { index: number; path: string; message: string }[];
  revision: string;
}
