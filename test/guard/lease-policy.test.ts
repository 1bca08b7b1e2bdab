/**
 * The policy of leases as a fleet would live it: the client's own purse, book and messages against the server's own rules, on a
 * virtual clock. Scaled down where that keeps the shape; `npm run soak -- policy` has all fleets of 200 callers.
 */
import { describe, expect, it } from "vitest";
import { faultsOf, POLICY, type PolicyCase } from "../../bench/soak/policy.ts";
import { type Fleet, simulate } from "../../bench/support/lease-simulation.ts";

const FLEET: Fleet = { seed: 1, limitUsd: 5, work: "chat", processes: 3, callers: 8, seconds: 120 };
const AGENTS: Fleet = { ...FLEET, limitUsd: 12, work: "agent", processes: 2, callers: 2, seconds: 6_000 };
const [CHAT_OF_20] = POLICY;
if (CHAT_OF_20 === undefined) throw new Error("there is no policy");

const CASES: PolicyCase[] = [
  { ...CHAT_OF_20, name: "chat of 20 USD and 200 callers" },
  // Callers for USD as of 200 and 500.
  { name: "chat of much", fleet: { ...FLEET, limitUsd: 60, seconds: 2_000 }, share: 0.995, held: 0.2 },
  { name: "chat, half of the fleet gone quiet", fleet: { ...FLEET, quietAfterSeconds: 5 }, share: 0.98, held: 0.2 },
  { name: "chat with a chain that steps at the end", fleet: { ...FLEET, steps: 3 }, share: 0.99, held: 0.2 },
  {
    name: "calls that use all they may, clamped at the end",
    fleet: { ...FLEET, work: "worst", mayClamp: true },
    share: 0.99,
    held: 0.2,
  },
  { name: "agents", fleet: { ...AGENTS, reserveWaitMs: 10_000 }, share: 0.8, held: null },
  {
    name: "agents with a chain that steps at the end",
    fleet: { ...AGENTS, steps: 3, reserveWaitMs: 10_000 },
    share: 0.95,
    held: null,
  },
];

describe("a fleet with one budget that reserves", () => {
  it.each(CASES)(
    "$name: spends $share of it and more, never beyond it, and tells nobody that it is used up while more than a worst case is left",
    async (one) => {
      expect(faultsOf(one, await simulate(one.fleet))).toEqual([]);
    },
  );

  it.each([1, 2])("never goes beyond it when processes die, with all they have running, seed %d", async (seed) => {
    const outcome = await simulate({ ...FLEET, seed, work: "worst", deathEverySeconds: 3, seconds: 45 });
    expect(outcome.overshootUsd).toBe(0);
    expect(outcome.indeterminateUsd).toBeGreaterThan(0);
    expect(outcome.leftBeyondWorstUsd).toBe(0);
  });
});
