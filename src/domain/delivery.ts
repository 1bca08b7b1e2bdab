/**
 * What becomes of an alert after an attempt to deliver it. Pure. An alert is never dropped: it is delivered, waits for
 * its next attempt, or has failed and is shown until somebody retries it.
 */

/** What an attempt came to. */
export type Sent =
  | { type: "delivered"; tookMs: number }
  /** Worth trying again, not before `retryAfterMs` when the receiver said so. */
  | { type: "retry"; error: string; retryAfterMs: number | null }
  /** No attempt can succeed before somebody does what `error` says. */
  | { type: "refused"; error: string };

export type Outcome =
  | { type: "delivered" }
  | { type: "wait"; nextAttemptAtMs: number; error: string }
  | { type: "failed"; error: string };

const FIRST_DELAY_MS = 1_000;
export const MAX_DELAY_MS = 10 * 60_000;
/** After this an alert is history, and given up. */
export const GIVE_UP_AFTER_MS = 24 * 3_600_000;
const MAX_DOUBLINGS = 20;

/**
 * How long to wait after the attempt number `attempts`, in milliseconds: doubled each time from 1 s to 10 min, with the
 * upper half left to chance, so that receivers which come back are not met by everybody at once. `random` is in [0, 1).
 */
export function retryDelayMs(attempts: number, random: number): number {
  const ceilingMs = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(Math.max(attempts, 1), MAX_DOUBLINGS));
  return Math.max(FIRST_DELAY_MS, Math.round(ceilingMs * (1 - random / 2)));
}

/** Decides after an attempt; the last one is made when the alert is 24 hours old. */
export function outcomeOf(
  sent: Sent,
  alert: { createdAtMs: number; attempts: number },
  nowMs: number,
  random: number,
): Outcome {
  if (sent.type === "delivered") return { type: "delivered" };
  if (sent.type === "refused") return { type: "failed", error: sent.error };
  const giveUpAtMs = alert.createdAtMs + GIVE_UP_AFTER_MS;
  if (nowMs >= giveUpAtMs) return { type: "failed", error: `Given up after 24 hours. ${sent.error}` };
  const delayMs = Math.max(retryDelayMs(alert.attempts, random), Math.min(sent.retryAfterMs ?? 0, MAX_DELAY_MS));
  return { type: "wait", nextAttemptAtMs: Math.min(nowMs + delayMs, giveUpAtMs), error: sent.error };
}

/** An attempt in words, for the person who pressed "test". */
export function sentText(sent: Sent): string {
  return sent.type === "delivered" ? `Delivered in ${Math.round(sent.tookMs)} ms.` : sent.error;
}
