/** Waits after failures: bounded, growing, jittered; `Retry-After` read in both of its forms. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { answerTimeoutMs, BACKOFF_CAP_MS, backoffMs, parseRetryAfter } from "../../sdk-client/src/sync/backoff.ts";

const chance = fc.double({ min: 0, max: 0.999, noNaN: true });
const interval = fc.integer({ min: 100, max: 3_600_000 });

test("a wait is positive and never beyond the cap, whatever the server asks for", () => {
  const retryAfter = fc.option(fc.double({ min: 0, noNaN: true }));
  fc.assert(
    fc.property(fc.nat(), interval, retryAfter, chance, (failures, pollIntervalMs, retryAfterMs, random) => {
      const waitMs = backoffMs({ failures, pollIntervalMs, retryAfterMs }, random);
      expect(waitMs).toBeGreaterThan(0);
      expect(waitMs).toBeLessThanOrEqual(BACKOFF_CAP_MS);
      expect(waitMs).toBeGreaterThanOrEqual(Math.min(retryAfterMs ?? 0, BACKOFF_CAP_MS));
    }),
  );
});

test("the waits after up to three failures stay within two intervals", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3 }), interval, chance, (failures, pollIntervalMs, random) => {
      const waitMs = backoffMs({ failures, pollIntervalMs, retryAfterMs: null }, random);
      expect(waitMs).toBeLessThanOrEqual(2 * pollIntervalMs);
    }),
  );
});

test("jitter spreads a wait between half and all of it", () => {
  const failure = { failures: 1, pollIntervalMs: 5_000, retryAfterMs: null };
  expect(backoffMs(failure, 0)).toBe(500);
  expect(backoffMs(failure, 0.5)).toBe(750);
});

test("an answer may take one interval at first and ten seconds at most", () => {
  expect(answerTimeoutMs(100, 0)).toBe(2_000);
  expect(answerTimeoutMs(5_000, 0)).toBe(5_000);
  expect(answerTimeoutMs(5_000, 1)).toBe(10_000);
  expect(answerTimeoutMs(5_000, 1_000)).toBe(10_000);
});

const NOW_MS = Date.UTC(2026, 0, 2, 3, 0, 0);

test.each([
  ["12", 12_000],
  [" 0 ", 0],
  ["Fri, 02 Jan 2026 03:00:30 GMT", 30_000],
  ["Fri, 02 Jan 2026 02:59:30 GMT", null],
  ["Friday, 02-Jan-26 03:00:30 GMT", 30_000],
  ["-5", null],
  ["1.5", null],
  ["2026-01-02T03:00:30Z", null],
  ["soon, perhaps", null],
  ["", null],
  ["99999999999999", null],
  [undefined, null],
])("Retry-After %o is %o ms", (value, expected) => {
  expect(parseRetryAfter(value, NOW_MS)).toBe(expected);
});
