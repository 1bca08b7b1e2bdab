/**
 * How long to wait after a poll that failed. Every wait is capped at 30 s, the server's `Retry-After` included: a kill
 * must arrive within the cap once the server is back, whatever it asked for before.
 */

/** No wait between two polls is longer than this after a failure. */
export const BACKOFF_CAP_MS = 30_000;
const BACKOFF_BASE_MS = 1_000;

/**
 * Wait before the next poll in milliseconds: doubling from about one second, with jitter between half and all of it.
 * `failures` counts from 1; `random` is in [0, 1); `retryAfterMs` is what the server asked for, null for nothing.
 */
export function backoffMs(failures: number, random: number, retryAfterMs: number | null): number {
  const doublings = Math.min(Math.max(failures - 1, 0), 16);
  const fullMs = Math.min(BACKOFF_BASE_MS * 2 ** doublings, BACKOFF_CAP_MS);
  return Math.min(Math.max(fullMs * (0.5 + random / 2), retryAfterMs ?? 0), BACKOFF_CAP_MS);
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
