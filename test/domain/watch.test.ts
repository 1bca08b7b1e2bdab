/** When a watch tells, and when it is over: never of chance or of a quiet flag, never twice, never without an end. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LATENCY_BUCKETS_MS } from "../../src/domain/ledger.ts";
import {
  beganMs,
  CALM_MS,
  DEFAULT_WATCHES,
  episodesOf,
  MIN_BAD,
  type OpenWatch,
  QUARTER_MS,
  readWatch,
  type Reading,
  type Sight,
  slowBucket,
  TELL_EVERY_MS,
  turnOf,
  WATCH_KINDS,
  type WatchSums,
} from "../../src/domain/watch.ts";

const USD = 1_000_000_000;
const MINUTE_MS = 60_000;
const NONE: WatchSums = { attempts: 0, errors: 0, ended: 0, cut: 0, slow: 0, nanoUsd: 0, largestTokens: 0 };
const sight = (hour: Partial<WatchSums>, quarter: Partial<WatchSums>, more: Partial<Sight> = {}): Sight => ({
  atMs: 0,
  hour: { ...NONE, ...hour },
  quarter: { ...NONE, ...quarter },
  usual: null,
  mean: null,
  ...more,
});
const over = (value: number): Reading => ({ isOver: true, value, now: value, against: 1, bad: 0, total: 0 });
const usual = (usd: number) => ({ usual: { nanoUsdPerHour: usd * USD, of: "weeks", n: 4 } as const });
const mean = (tokens: number, calls: number, largestTokens: number) => ({
  mean: { tokens: tokens * calls, calls, largestTokens },
});

it.each([
  {
    what: "four times the usual",
    kind: "burn",
    seen: sight({ nanoUsd: 40 * USD }, { nanoUsd: 10 * USD }, usual(10)),
    is: true,
  },
  {
    what: "less than that",
    kind: "burn",
    seen: sight({ nanoUsd: 39 * USD }, { nanoUsd: 10 * USD }, usual(10)),
    is: false,
  },
  {
    what: "a spike that has passed",
    kind: "burn",
    seen: sight({ nanoUsd: 80 * USD }, { nanoUsd: 1 * USD }, usual(10)),
    is: false,
  },
  {
    what: "a spike that has just begun",
    kind: "burn",
    seen: sight({ nanoUsd: 20 * USD }, { nanoUsd: 20 * USD }, usual(10)),
    is: false,
  },
  {
    what: "cents where the usual is nothing",
    kind: "burn",
    seen: sight({ nanoUsd: 1 * USD }, { nanoUsd: 1 * USD }, usual(0)),
    is: false,
  },
  {
    what: "dollars where the usual is nothing",
    kind: "burn",
    seen: sight({ nanoUsd: 6 * USD }, { nanoUsd: 6 * USD }, usual(0)),
    is: true,
  },
  {
    what: "a usual that nobody knows",
    kind: "burn",
    seen: sight({ nanoUsd: 900 * USD }, { nanoUsd: 900 * USD }),
    is: null,
  },
  {
    what: "a call above twice the mean",
    kind: "largeCall",
    seen: sight({}, { largestTokens: 2_100 }, mean(1_000, 50, 1_500)),
    is: true,
  },
  {
    what: "one of which there were larger",
    kind: "largeCall",
    seen: sight({}, { largestTokens: 2_100 }, mean(1_000, 50, 9_000)),
    is: false,
  },
  {
    what: "a mean of a few calls",
    kind: "largeCall",
    seen: sight({}, { largestTokens: 9_000 }, mean(1_000, 49, 1_500)),
    is: null,
  },
  {
    what: "two in a hundred failing",
    kind: "errors",
    seen: sight({ attempts: 400, errors: 8 }, { attempts: 100, errors: 2 }),
    is: true,
  },
  {
    what: "one in a hundred",
    kind: "errors",
    seen: sight({ attempts: 800, errors: 8 }, { attempts: 100, errors: 1 }),
    is: false,
  },
  {
    what: "failures that have stopped",
    kind: "errors",
    seen: sight({ attempts: 400, errors: 8 }, { attempts: 100 }),
    is: false,
  },
  {
    what: "a quiet flag",
    kind: "errors",
    seen: sight({ attempts: 19, errors: 19 }, { attempts: 19, errors: 19 }),
    is: null,
  },
  {
    what: "a handful",
    kind: "errors",
    seen: sight({ attempts: 20, errors: 4 }, { attempts: 20, errors: 4 }),
    is: false,
  },
  { what: "a tenth cut", kind: "cut", seen: sight({ ended: 100, cut: 10 }, { ended: 20, cut: 2 }), is: true },
  {
    what: "answers whose end is not known",
    kind: "cut",
    seen: sight({ attempts: 100, cut: 0 }, { attempts: 100 }),
    is: null,
  },
  {
    what: "a tenth slow",
    kind: "latency",
    seen: sight({ attempts: 100, slow: 10 }, { attempts: 20, slow: 2 }),
    is: true,
  },
  {
    what: "exactly p95",
    kind: "latency",
    seen: sight({ attempts: 100, slow: 5 }, { attempts: 20, slow: 1 }),
    is: false,
  },
] as const)("$kind, $what: over the limit is $is", ({ kind, seen, is }) => {
  expect(readWatch(kind, DEFAULT_WATCHES[kind], seen)?.isOver ?? null).toBe(is);
});

describe("a watch", () => {
  it("of a flag that nobody calls never tells, whatever it is set to", () => {
    fc.assert(
      fc.property(fc.constantFrom(...WATCH_KINDS), fc.double({ min: 0.1, max: 9, noNaN: true }), (kind, limit) => {
        const seen = sight({}, {}, { ...usual(0), ...mean(1, 1_000, 1) });
        expect(readWatch(kind, { limit, minimum: 0.01 }, seen)?.isOver ?? false).toBe(false);
      }),
    );
  });

  it("of shares never tells of fewer than five, nor of a share within its limit", () => {
    fc.assert(
      fc.property(fc.nat(2_000), fc.nat(2_000), fc.integer({ min: 1, max: 50 }), (errors, others, limit) => {
        const sums = { attempts: errors + others, errors };
        const reading = readWatch("errors", { limit, minimum: 20 }, sight(sums, sums));
        const isOver = errors + others >= 20 && errors >= MIN_BAD && errors * 100 > limit * (errors + others);
        expect(reading?.isOver ?? false).toBe(isOver);
      }),
    );
  });

  it("opens once, ends once it has been calm for half an hour, and tells again only of what has doubled, at most every ten minutes", () => {
    const steps = fc.array(
      fc.record({ waitMs: fc.integer({ min: 1, max: 40 * MINUTE_MS }), value: fc.option(fc.nat(1_000)) }),
    );
    fc.assert(
      fc.property(steps, (all) => {
        let open: OpenWatch | null = null;
        let atMs = 0;
        let told = { atMs: 0, value: 0 };
        for (const { waitMs, value } of all) {
          atMs += waitMs;
          const before: OpenWatch | null = open;
          const turn = turnOf(before, value === null ? null : over(value), atMs);
          open = turn.open;
          expect(open === null).toBe(turn.event === "ends" || (before === null && value === null));
          if (turn.event === "opens") expect(before).toBeNull();
          if (turn.event === "ends") expect(atMs - (before?.heldAtMs ?? atMs)).toBeGreaterThanOrEqual(CALM_MS);
          if (turn.event === "grows") {
            expect(value).toBeGreaterThanOrEqual(2 * told.value);
            expect(atMs - told.atMs).toBeGreaterThanOrEqual(TELL_EVERY_MS);
          }
          if (turn.event === "opens" || turn.event === "grows") told = { atMs, value: value ?? 0 };
        }
      }),
    );
  });

  it("would have fired as often as the job would have opened it, whatever came between", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 60 }), (quarters) => {
        const sights = quarters.map((bad, n) => {
          const sums = { attempts: 100, errors: bad ? 50 : 0 };
          return { ...sight(sums, sums), atMs: (n + 1) * QUARTER_MS };
        });
        let open: OpenWatch | null = null;
        let opened = 0;
        for (const one of sights) {
          const turn = turnOf(open, readWatch("errors", DEFAULT_WATCHES.errors, one), one.atMs);
          if (turn.event === "opens") opened += 1;
          open = turn.open;
        }
        const found = episodesOf("errors", DEFAULT_WATCHES.errors, sights, (quarters.length + 1) * QUARTER_MS);
        expect(found).toHaveLength(opened);
        // Quarters in which nothing was called need not be there.
        const called = sights.filter((_, n) => quarters[n]);
        expect(episodesOf("errors", DEFAULT_WATCHES.errors, called, (quarters.length + 1) * QUARTER_MS)).toEqual(found);
      }),
    );
  });

  it("says since when: the minute at which it got bad, not those before it", () => {
    fc.assert(
      fc.property(fc.nat(40), fc.integer({ min: 1, max: 19 }), (fine, bad) => {
        const minutes = Array.from({ length: fine + bad }, (_, n) => ({
          atMs: n * MINUTE_MS,
          excess: n < fine ? -1 : 5,
        }));
        expect(beganMs(minutes)).toBe(fine * MINUTE_MS);
      }),
    );
    expect(beganMs([{ atMs: 0, excess: -1 }])).toBeNull();
  });

  it("counts as slow only what took longer than its limit for sure", () => {
    expect(LATENCY_BUCKETS_MS.map((bound) => slowBucket(bound))).toEqual(LATENCY_BUCKETS_MS.map((_, n) => n + 2));
  });
});
