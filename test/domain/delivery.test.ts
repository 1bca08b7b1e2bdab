/** When an alert is tried again, and when it is given up. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GIVE_UP_AFTER_MS, MAX_DELAY_MS, outcomeOf, retryDelayMs, type Sent } from "../../src/domain/delivery.ts";

const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const attempts = fc.integer({ min: 1, max: 10_000 });
const retry = (retryAfterMs: number | null): Sent => ({ type: "retry", error: "Answered 500.", retryAfterMs });

describe("the wait before the next attempt", () => {
  it("is always from one second to ten minutes, and never shorter for a later attempt by the same chance", () => {
    fc.assert(
      fc.property(attempts, chance, (n, random) => {
        const delayMs = retryDelayMs(n, random);
        expect(delayMs).toBeGreaterThanOrEqual(1000);
        expect(delayMs).toBeLessThanOrEqual(MAX_DELAY_MS);
        expect(retryDelayMs(n + 1, random)).toBeGreaterThanOrEqual(delayMs);
      }),
    );
  });

  it("doubles, and has chance in its upper half only", () => {
    expect([1, 2, 3, 4].map((n) => retryDelayMs(n, 0))).toEqual([2000, 4000, 8000, 16_000]);
    expect([1, 2, 3, 4].map((n) => retryDelayMs(n, 0.999_999_9))).toEqual([1000, 2000, 4000, 8000]);
  });
});

describe("what becomes of an alert", () => {
  it("is never to be forgotten: every attempt that did not deliver leaves an error and a next step", () => {
    fc.assert(
      fc.property(
        attempts,
        chance,
        fc.integer({ min: 0, max: 2 * GIVE_UP_AFTER_MS }),
        fc.option(fc.nat({ max: 10 * GIVE_UP_AFTER_MS })),
        (n, random, ageMs, retryAfterMs) => {
          const outcome = outcomeOf(retry(retryAfterMs), { createdAtMs: 0, attempts: n }, ageMs, random);
          if (ageMs >= GIVE_UP_AFTER_MS) {
            expect(outcome).toEqual({ type: "failed", error: "Given up after 24 hours. Answered 500." });
            return;
          }
          if (outcome.type !== "wait") throw new Error(`it is ${outcome.type}`);
          expect(outcome.nextAttemptAtMs).toBeGreaterThan(ageMs);
          expect(outcome.nextAttemptAtMs).toBeLessThanOrEqual(Math.min(ageMs + MAX_DELAY_MS, GIVE_UP_AFTER_MS));
        },
      ),
    );
  });

  it("waits at least as long as the receiver asked for, up to ten minutes", () => {
    const young = { createdAtMs: 0, attempts: 1 };
    expect(outcomeOf(retry(500), young, 0, 0)).toMatchObject({ nextAttemptAtMs: 2000 });
    expect(outcomeOf(retry(90_000), young, 0, 0)).toMatchObject({ nextAttemptAtMs: 90_000 });
    expect(outcomeOf(retry(3_600_000), young, 0, 0)).toMatchObject({ nextAttemptAtMs: MAX_DELAY_MS });
  });

  it("is settled at once when it was delivered or refused, however old it is", () => {
    const old = { createdAtMs: 0, attempts: 9 };
    expect(outcomeOf({ type: "delivered", tookMs: 1 }, old, 9 * GIVE_UP_AFTER_MS, 0)).toEqual({ type: "delivered" });
    expect(outcomeOf({ type: "refused", error: "Gone." }, old, 0, 0)).toEqual({ type: "failed", error: "Gone." });
  });
});
