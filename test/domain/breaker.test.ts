/** The breaker of the fleet as a machine: whatever it sees, it probes, its waits are bounded, and it comes back. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Breaker,
  breaches,
  counted,
  FIRST_WAIT_MS,
  MAX_WAIT_MS,
  nextMove,
  PROBES_PER_MINUTE,
  type Seen,
  WINDOW_MS,
} from "../../src/domain/breaker.ts";

describe("what counts", () => {
  it.each([
    [{ outcome: "ok", status: 200 }, "answered"],
    [{ outcome: "refused", status: 200 }, "answered"],
    [{ outcome: "error", status: 500 }, "failed"],
    [{ outcome: "error", status: 529, errorType: "overloaded_error" }, "failed"],
    [{ outcome: "error", errorType: "timeout" }, "failed"],
    [{ outcome: "error", status: 200, errorType: "overloaded_error" }, "failed"],
    [{ outcome: "error", status: 200, errorType: "answer_broken" }, null],
    [{ outcome: "error", errorType: "connection_error" }, null],
    [{ outcome: "error", status: 400 }, null],
    [{ outcome: "error", status: 404 }, null],
    [{ outcome: "error", status: 429, errorType: "rate_limit_error" }, null],
    [{ outcome: "error" }, null],
    [{ outcome: "aborted", errorType: "killed" }, null],
    [{ outcome: "aborted", status: 500, errorType: "deadline" }, null],
  ] as const)("%o: %s", (record, expected) => {
    expect(counted(record)).toBe(expected);
  });
});

const count = fc.nat({ max: 50 });
const seen: fc.Arbitrary<Seen> = fc.record({
  fleet: fc.record({ calls: count, failures: count, instances: count, failingInstances: count }),
  probes: fc.record({ answered: fc.nat({ max: 8 }), failed: fc.nat({ max: 4 }) }),
  wanted: fc.nat({ max: 100_000 }),
});

/** What is stored after a move. */
function after(breaker: Breaker, one: Seen, now: Date): Breaker | null {
  const move = nextMove(breaker, one, now);
  if (move === null) return breaker;
  switch (move.to) {
    case "closed":
      return null;
    case "open":
      return { state: "open", probeAt: move.probeAt, rounds: move.rounds };
    case "probing":
      return { state: "probing", probeShare: move.probeShare, since: now, rounds: breaker.rounds };
  }
}

it("is never tripped by few calls, few instances, or the smaller part of either", () => {
  fc.assert(
    fc.property(seen, ({ fleet }) => {
      if (!breaches(fleet)) return;
      expect(fleet.calls).toBeGreaterThanOrEqual(20);
      expect(fleet.instances).toBeGreaterThanOrEqual(3);
      expect(fleet.failures / fleet.calls).toBeGreaterThan(0.5);
      expect(fleet.failingInstances / fleet.instances).toBeGreaterThan(0.5);
    }),
  );
});

it("is probed after each wait, which is bounded, with about so many calls as it says", () => {
  fc.assert(
    fc.property(fc.array(seen, { minLength: 1, maxLength: 40 }), (story) => {
      let nowMs = 0;
      let breaker: Breaker | null = { state: "open", probeAt: new Date(FIRST_WAIT_MS), rounds: 0 };
      for (const one of story) {
        if (breaker === null) return;
        if (breaker.state === "open") {
          const waitMs = breaker.probeAt.getTime() - nowMs;
          expect(waitMs).toBeGreaterThanOrEqual(FIRST_WAIT_MS);
          expect(waitMs).toBeLessThanOrEqual(MAX_WAIT_MS);
          expect(after(breaker, one, new Date(nowMs + waitMs - 1))).toBe(breaker);
          nowMs += waitMs;
        }
        const wasOpen = breaker.state === "open";
        breaker = after(breaker, one, new Date(nowMs));
        if (breaker?.state !== "probing") continue;
        expect(breaker.probeShare).toBeGreaterThan(0);
        expect(breaker.probeShare).toBeLessThanOrEqual(0.5);
        if (wasOpen) expect(breaker.probeShare * one.wanted).toBeLessThanOrEqual(PROBES_PER_MINUTE + 1);
      }
    }),
  );
});

it("comes back when its probes are answered, after however many failed", () => {
  fc.assert(
    fc.property(fc.nat({ max: 30 }), seen, (failures, one) => {
      let nowMs = 0;
      let breaker: Breaker | null = { state: "open", probeAt: new Date(FIRST_WAIT_MS), rounds: 0 };
      for (let n = 0; n <= failures; n += 1) {
        if (breaker?.state !== "open") throw new Error("it is out until a probing succeeds");
        nowMs = breaker.probeAt.getTime();
        breaker = after(breaker, one, new Date(nowMs));
        const probes = n < failures ? { answered: 1, failed: 2 } : { answered: 5, failed: 0 };
        if (breaker !== null) breaker = after(breaker, { ...one, probes }, new Date(nowMs));
      }
      expect(breaker).toBeNull();
    }),
  );
});

it("sets the share of its probes anew when traffic has changed: a share of noon probes nothing at night", () => {
  const quiet = {
    fleet: { calls: 0, failures: 0, instances: 0, failingInstances: 0 },
    probes: { answered: 0, failed: 0 },
  };
  const noon: Breaker = { state: "probing", probeShare: 0.001, since: new Date(0), rounds: 0 };
  expect(nextMove(noon, { ...quiet, wanted: 4 }, new Date(WINDOW_MS - 1))).toBeNull();
  expect(nextMove(noon, { ...quiet, wanted: 4 }, new Date(WINDOW_MS))).toMatchObject({ probeShare: 0.5 });
  expect(nextMove(noon, { ...quiet, wanted: 20_000 }, new Date(WINDOW_MS))).toBeNull();
});
