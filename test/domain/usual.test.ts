/** What a flag usually spends: the same hour and weekday by the zone's clock, and never what is not known. */
import * as fc from "fast-check";
import { Temporal } from "temporal-polyfill";
import { describe, expect, it } from "vitest";
import { comparedHours, type SpentHours, usualOf, usualUntil, usualWords } from "../../src/domain/usual.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const SATURDAY_3 = Date.parse("2026-11-28T03:00:00Z");
const ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Chatham", "Australia/Lord_Howe"];

const always = (sinceMs: number, of: (hourMs: number) => number): SpentHours => ({
  sinceMs,
  nanoUsd: { get: of },
});
const anHour = fc.integer({ min: 480_000, max: 500_000 }).map((n) => n * HOUR_MS);

describe("the usual of an hour", () => {
  it("is the median of the same hour and weekday, so that one wild week and other hours change nothing", () => {
    fc.assert(
      fc.property(anHour, fc.constantFrom(...ZONES), fc.nat(1_000_000), fc.nat(), (hourMs, zone, usual, wild) => {
        const compared = comparedHours(hourMs, zone);
        const [first] = compared.weeks;
        const spent = always(0, (at) => (at === first ? wild : compared.weeks.includes(at) ? usual : wild + 1));
        expect(usualOf(compared, spent)).toEqual({ nanoUsdPerHour: usual, of: "weeks", n: 8 });
      }),
    );
  });

  it("compares hours that the clock of the zone calls alike, across every change of the clocks", () => {
    fc.assert(
      fc.property(anHour, fc.constantFrom("UTC", "Europe/Berlin", "America/New_York"), (hourMs, zone) => {
        const local = (ms: number) => Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(zone);
        const { weeks, days } = comparedHours(hourMs, zone);
        for (const at of [...weeks, ...days]) {
          const skipped = local(at).hour !== local(hourMs).hour;
          // An hour that a spring night does not have is compared with the one after it.
          expect(skipped ? local(at).hour - local(hourMs).hour : 0).toBe(skipped ? 1 : 0);
        }
        for (const at of weeks) expect(local(at).dayOfWeek).toBe(local(hourMs).dayOfWeek);
      }),
    );
  });

  it("says nothing of before the flag's first call, and lies between the least and the most of what it is of", () => {
    fc.assert(
      fc.property(
        anHour,
        fc.nat(80),
        fc.array(fc.nat(10_000), { minLength: 1, maxLength: 50 }),
        (hourMs, ageDays, cents) => {
          const sinceMs = hourMs - ageDays * DAY_MS;
          const spent = always(sinceMs, (at) =>
            at < sinceMs ? 1_000_000 : (cents[(at / HOUR_MS) % cents.length] ?? 0),
          );
          const usual = usualOf(comparedHours(hourMs, "UTC"), spent);
          if (ageDays === 0) {
            expect(usual).toBeNull();
            return;
          }
          expect(usual?.of).toBe(ageDays >= 14 ? "weeks" : ageDays >= 2 ? "days" : "hours");
          expect(usual?.nanoUsdPerHour).toBeGreaterThanOrEqual(Math.min(...cents));
          expect(usual?.nanoUsdPerHour).toBeLessThanOrEqual(Math.max(...cents));
        },
      ),
    );
  });

  it("of 60 minutes that lie in two hours is of each its share", () => {
    const at = (hourMs: number) => ({ nanoUsdPerHour: hourMs === SATURDAY_3 ? 400 : 100, of: "weeks" as const, n: 4 });
    expect(usualUntil(SATURDAY_3, at)?.nanoUsdPerHour).toBe(100);
    expect(usualUntil(SATURDAY_3 + HOUR_MS / 3, at)?.nanoUsdPerHour).toBe(200);
    expect(usualUntil(SATURDAY_3 + HOUR_MS / 3, (hourMs) => (hourMs < SATURDAY_3 ? null : at(hourMs)))).toEqual(
      at(SATURDAY_3),
    );
  });

  it("is said with the weekday and hour it is of, in the zone that is named", () => {
    const usual = { nanoUsdPerHour: 1, of: "weeks" as const, n: 4 };
    expect(usualWords(usual, SATURDAY_3, "UTC")).toBe("for Saturday 03:00 UTC");
    expect(usualWords(usual, SATURDAY_3, "Asia/Kathmandu")).toBe("for Saturday 08:45 Asia/Kathmandu");
    expect(usualWords({ ...usual, of: "days" }, SATURDAY_3, "UTC")).toBe("at 03:00 UTC");
    expect(usualWords({ ...usual, of: "hours", n: 5 }, SATURDAY_3, "UTC")).toBe("of the last 5 h");
  });
});
