/**
 * How long to wait after a poll that failed. Every wait is capped at 30 s, the server's `Retry-After` included: a kill
 * must arrive within the cap once the server is back, whatever it asked for before.
 */

/** No wait between two polls is longer than this after a failure. */
export const BACKOFF_CAP_MS = 30_000;
const MAX_FIRST_BACKOFF_MS = 1_000;
const MAX_DOUBLINGS = 16;

const MIN_ANSWER_TIMEOUT_MS = 2_000;
const MAX_ANSWER_TIMEOUT_MS = 10_000;

export interface Failure {
  /** Failures in a row, this one included. */
  readonly failures: number;
  readonly pollIntervalMs: number;
  /** What the server asked for, null for nothing. */
  readonly retryAfterMs: number | null;
}

/**
 * Wait before the next poll in milliseconds: doubling from half an interval, at most one second, with jitter between
 * half and all of it. A fault of three polls ends within two intervals. `random` is in [0, 1).
 */
export function backoffMs({ failures, pollIntervalMs, retryAfterMs }: Failure, random: number): number {
  const firstMs = Math.min(pollIntervalMs / 2, MAX_FIRST_BACKOFF_MS);
  const doublings = Math.min(Math.max(failures - 1, 0), MAX_DOUBLINGS);
  const fullMs = Math.min(firstMs * 2 ** doublings, BACKOFF_CAP_MS);
  return Math.min(Math.max(fullMs * (0.5 + random / 2), retryAfterMs ?? 0), BACKOFF_CAP_MS);
}

/**
 * How long a complete answer may take once the server need not wait, in milliseconds: one interval, so that a hang is
 * over within two; doubled by each failure in a row, because the network may just be slow.
 */
export function answerTimeoutMs(pollIntervalMs: number, failures: number): number {
  const firstMs = Math.max(pollIntervalMs, MIN_ANSWER_TIMEOUT_MS);
  return Math.min(firstMs * 2 ** Math.min(failures, MAX_DOUBLINGS), MAX_ANSWER_TIMEOUT_MS);
}

/**
 * `Retry-After` in milliseconds from now: seconds or an HTTP date, read against the wall clock `nowMs`. Null when absent,
 * unreadable or past.
 */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | null {
  if (value === undefined) return null;
  const text = value.trim();
  if (/^\d{1,10}$/.test(text)) return Number(text) * 1_000;
  // HTTP dates name their day; this keeps Date.parse away from numbers and other texts it would guess at.
  if (!/^[A-Za-z]{3,9},? /.test(text)) return null;
  const waitMs = Date.parse(text) - nowMs;
  return waitMs > 0 ? waitMs : null;
}
