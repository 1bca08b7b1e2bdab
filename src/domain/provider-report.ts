/**
 * What Claude reports of an organisation by day in UTC: what was used and what it is billed. Pure: which days to ask for and
 * when, and what a report says. A day is settled when it was read long enough after its end that nothing is added to it.
 */
import type { TokenClass } from "../../sdk-client/src/wire/usage-protocol.ts";
import { DAY_MS, dayOf, type Span } from "./rollups.ts";

/** How the default workspace is called here: the reports give it no id. */
export const DEFAULT_WORKSPACE = "default";

/** Tokens of one day, as far apart as their prices are. */
export interface ProviderUsage {
  /** The midnight in UTC that it begins with. */
  dayMs: number;
  workspace: string;
  /** "" where it was not asked for by key, and for calls without one (the Workbench). */
  apiKey: string;
  model: string;
  /** `standard`, `batch`, `priority` and others. */
  tier: string;
  /** `0-200k`, `200k-1M`; "" where it is not told. */
  contextWindow: string;
  /** `global`, `us`, `not_available`. */
  geo: string;
  tokens: Record<TokenClass, bigint>;
  webSearches: number;
}

/** Money of one day. */
export interface ProviderCost {
  dayMs: number;
  workspace: string;
  /** `tokens`, `web_search`, `code_execution` and what else there may be. */
  kind: string;
  /** "" for what is not of a model. */
  model: string;
  nanoUsd: bigint;
}

/** What asking for a report came to. */
export type Asked<T> =
  | { type: "rows"; rows: T[] }
  /** Worth asking again, not before `retryAfterMs` when it said so. */
  | { type: "retry"; error: string; retryAfterMs: number | null }
  /** No asking helps before somebody does what `error` says. */
  | { type: "refused"; error: string };

const HOUR_MS = 3_600_000;
/** Days of one page of a report, and so the furthest back that is asked for. */
export const MAX_REPORT_DAYS = 31;
/**
 * Read so long after its end, a day is asked for no more. Data is there within about 5 minutes, "though delays may
 * occasionally be longer"; calls reach Andon's ledger up to a day late.
 * @see https://platform.claude.com/docs/en/manage-claude/usage-cost-api "How fresh is the data?"
 */
const SETTLED_AFTER_MS = 72 * HOUR_MS;
/** Read so long after its end, a day is compared. */
const COMPARED_AFTER_MS = 6 * HOUR_MS;

/** Once a minute is what the provider allows; days do not move as fast. */
const POLL_EVERY_MS = HOUR_MS;
const POLL_JITTER_MS = 5 * 60_000;
const FIRST_RETRY_MS = 60_000;
const MAX_RETRY_MS = 6 * HOUR_MS;
const MAX_DOUBLINGS = 10;
const MAX_RETRY_AFTER_MS = 24 * HOUR_MS;

/** Whole days to ask for: from the first that is not settled up to yesterday. `read`: when each day was last read. */
export function daysToRead(read: ReadonlyMap<number, number>, nowMs: number): Span {
  const untilMs = dayOf(nowMs);
  let fromMs = untilMs - MAX_REPORT_DAYS * DAY_MS;
  while (fromMs < untilMs - DAY_MS && isSettled(fromMs, read.get(fromMs))) fromMs += DAY_MS;
  return { fromMs, untilMs };
}

function isSettled(dayMs: number, readMs: number | undefined): boolean {
  return readMs !== undefined && readMs - (dayMs + DAY_MS) >= SETTLED_AFTER_MS;
}

/** Whether a day that was read then can be compared. */
export function isComparable(dayMs: number, readMs: number): boolean {
  return readMs - (dayMs + DAY_MS) >= COMPARED_AFTER_MS;
}

/**
 * How long until the next poll, in milliseconds. `random` is in [0, 1): servers of many installations do not ask in one
 * moment. `failures`: in a row, this one included; 0 after a poll that went well.
 */
export function nextPollMs(failures: number, retryAfterMs: number | null, random: number): number {
  if (failures === 0) return POLL_EVERY_MS + Math.round(random * POLL_JITTER_MS);
  const ceilingMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, MAX_DOUBLINGS));
  const backOffMs = Math.round(ceilingMs * (1 + random / 2));
  return Math.max(backOffMs, Math.min(retryAfterMs ?? 0, MAX_RETRY_AFTER_MS));
}

/** 1 cent is 1e7 nano-USD: digits behind the point beyond these are rounded up. */
const NANO_DIGITS_OF_CENT = 7;
const DECIMAL = /^(-?)(\d{1,15})(?:\.(\d{1,40}))?$/;

/**
 * Nano-USD of an amount in cents, exact and rounded up to a whole one; null for what is no decimal number. "123.45" is
 * 1.2345 USD.
 * @see https://platform.claude.com/docs/en/api/admin/cost_report "Cost amount in lowest currency units (e.g. cents)"
 */
export function nanoUsdOfCents(amount: string): bigint | null {
  const [, sign, whole, fraction = ""] = DECIMAL.exec(amount) ?? [];
  if (whole === undefined) return null;
  const kept = fraction.slice(0, NANO_DIGITS_OF_CENT).padEnd(NANO_DIGITS_OF_CENT, "0");
  const isMore = /[1-9]/.test(fraction.slice(NANO_DIGITS_OF_CENT));
  const nano = BigInt(whole + kept);
  if (sign === "-") return -nano;
  return isMore ? nano + 1n : nano;
}
