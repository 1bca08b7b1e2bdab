/**
 * The policy of leases as a fleet would live it: the client's own purse, book and messages against the server's own rules, on a
 * virtual clock. Scaled down: 3 processes, and a budget that they use up within a minute.
 */
import { describe, expect, it } from "vitest";
import { type Fleet, simulate } from "../support/lease-simulation.ts";

const FLEET: Fleet = { seed: 1, limitUsd: 5, work: "chat", processes: 3, callers: 8, seconds: 120 };

interface Case {
  name: string;
  fleet: Partial<Fleet>;
  /** Least share of the limit that is spent at the end. */
  share: number;
  /** Largest share of what was offered before 90 % was spent that is refused as `held`. */
  held: number;
}

const CASES: Case[] = [
  { name: "chat", fleet: {}, share: 0.97, held: 0.2 },
  { name: "chat, half of the fleet gone quiet", fleet: { quietAfterSeconds: 5 }, share: 0.97, held: 0.2 },
  { name: "chat with a chain that steps at the end", fleet: { steps: 3 }, share: 0.99, held: 0.2 },
  {
    name: "calls that use all they may, clamped at the end",
    fleet: { work: "worst", mayClamp: true },
    share: 0.99,
    held: 0.2,
  },
];

describe("a fleet with one budget that reserves", () => {
  it.each(CASES)(
    "$name: spends $share of it and more, never beyond it, and refuses few as held before",
    async (one) => {
      const outcome = await simulate({ ...FLEET, ...one.fleet });
      expect(outcome.overshootUsd).toBe(0);
      expect(outcome.share).toBeGreaterThanOrEqual(one.share);
      expect(outcome.heldBefore90 / outcome.offeredBefore90).toBeLessThanOrEqual(one.held);
      // Nobody is told that it is used up while one more call of this work would fit, which costs 0.15 USD at most.
      expect(outcome.firstNoAt ?? 1).toBeGreaterThan(1 - 0.15 / FLEET.limitUsd);
      expect(Object.keys(outcome.refused).filter((why) => why !== "held" && why !== "tooLarge")).toEqual([]);
      // What is still reserved when no call runs is what clients keep at hand, not a leak.
      expect(outcome.reservedUsd).toBeLessThan(0.03 * FLEET.limitUsd);
    },
  );

  it.each([1, 2])("never goes beyond it when processes die, with all they have running, seed %d", async (seed) => {
    const outcome = await simulate({ ...FLEET, seed, work: "worst", deathEverySeconds: 3, seconds: 45 });
    expect(outcome.overshootUsd).toBe(0);
    expect(outcome.indeterminateUsd).toBeGreaterThan(0);
  });
});
