/**
 * What a budget shows beside its sum: burn per hour, and when the limit is reached at this rate.
 * Invariant: burn is rounded up and a time to the limit is rounded down; nothing here looks better than it is.
 */

const HOUR_MS = 3_600_000n;

/**
 * Spending per hour in nano-USD, rounded up.
 * @param spentNanoUsd what was spent within the span
 * @param spanMs length of the span looked at, more than 0; normally the last minutes
 */
export function burnNanoUsdPerHour(spentNanoUsd: number, spanMs: number): number {
  return safe(ceilDiv(BigInt(spentNanoUsd) * HOUR_MS, BigInt(spanMs)));
}

export interface Pace {
  spentNanoUsd: number;
  /** The effective limit. */
  limitNanoUsd: number;
  burnNanoUsdPerHour: number;
  nowMs: number;
  windowEndMs: number;
}

/**
 * When the limit will be reached at this rate, Unix time in milliseconds: now when it has been reached, null when the
 * window ends first or nothing is being spent.
 */
export function limitReachedAtMs(pace: Pace): number | null {
  const leftNanoUsd = pace.limitNanoUsd - pace.spentNanoUsd;
  if (leftNanoUsd <= 0) return pace.nowMs;
  if (pace.burnNanoUsdPerHour <= 0) return null;
  const atMs = pace.nowMs + safe((BigInt(leftNanoUsd) * HOUR_MS) / BigInt(pace.burnNanoUsdPerHour));
  return atMs < pace.windowEndMs ? atMs : null;
}

function ceilDiv(dividend: bigint, divisor: bigint): bigint {
  return (dividend + divisor - 1n) / divisor;
}

function safe(value: bigint): number {
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value);
}
