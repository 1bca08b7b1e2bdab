/**
 * The policy of leases as fleets of 200 callers live it, on a virtual clock: how much of a limit can be used, who is refused
 * meanwhile, and that it is never passed. What is promised of each is a figure here; see bench/support/lease-simulation.ts.
 */
import { type Fleet, type Outcome, simulate } from "../support/lease-simulation.ts";

export interface PolicyCase {
  name: string;
  fleet: Fleet;
  /** Least share of the limit that is spent at the end. */
  share: number;
  /** Largest share of what was offered before 90 % was spent that is refused as `held`; null: nothing is promised. */
  held: number | null;
}

/** What is still reserved when no call runs is what clients keep at hand, not a leak. */
const MAX_AT_HAND = 0.03;
const CHAT: Fleet = { seed: 1, limitUsd: 20, work: "chat", processes: 10, callers: 20, seconds: 9_000 };
const AGENTS: Fleet = { ...CHAT, limitUsd: 25, work: "agent", reserveWaitMs: 10_000 };

export const POLICY: readonly PolicyCase[] = [
  { name: "chat of 20 USD", fleet: CHAT, share: 0.98, held: 0.2 },
  { name: "chat of 500 USD", fleet: { ...CHAT, limitUsd: 500 }, share: 0.995, held: 0.2 },
  { name: "chat, half of the fleet gone quiet", fleet: { ...CHAT, quietAfterSeconds: 10 }, share: 0.98, held: null },
  { name: "agents of 25 USD", fleet: AGENTS, share: 0.88, held: null },
  { name: "agents with a chain that steps at the end", fleet: { ...AGENTS, steps: 3 }, share: 0.95, held: null },
];

/** What of its promises one fleet did not keep. */
export function faultsOf({ fleet, share, held }: PolicyCase, outcome: Outcome): string[] {
  const faults: string[] = [];
  const { overshootUsd, leftBeyondWorstUsd, heldBefore90, offeredBefore90, reservedUsd, refused } = outcome;
  if (overshootUsd !== 0) faults.push(`overspent by ${overshootUsd} USD`);
  if (!(outcome.share >= share))
    faults.push(`spent ${percent(outcome.share)}, at least ${percent(share)} are promised`);
  const refusedEarly = heldBefore90 / offeredBefore90;
  if (held !== null && !(refusedEarly <= held)) {
    faults.push(
      `${percent(refusedEarly)} refused as held before 90 % was spent, at most ${percent(held)} are promised`,
    );
  }
  if (leftBeyondWorstUsd !== 0) {
    faults.push(`a call was told that it is used up while its worst case and ${leftBeyondWorstUsd} USD more were left`);
  }
  const others = Object.keys(refused).filter((why) => why !== "held" && why !== "tooLarge" && why !== "spent");
  if (others.length > 0) faults.push(`refused as ${others.join(", ")}`);
  if (!(reservedUsd < MAX_AT_HAND * fleet.limitUsd)) faults.push(`${reservedUsd} USD stay reserved at rest`);
  return faults;
}

/** Runs all of them; what did not hold. */
export async function policy(say: (text: string) => void, signal: AbortSignal): Promise<string[]> {
  const faults: string[] = [];
  for (const one of POLICY) {
    signal.throwIfAborted();
    const outcome = await simulate(one.fleet);
    const { heldBefore90, offeredBefore90, refused } = outcome;
    say(
      `  ${one.name}: ${percent(outcome.share)} spent in ${outcome.seconds.toFixed(0)} s, ${outcome.admitted} calls` +
        `${outcome.stepped > 0 ? ` (${outcome.stepped} stepped down)` : ""}, ${percent(heldBefore90 / offeredBefore90)} ` +
        `refused as held before 90 %, refused in all: ${JSON.stringify(refused)}`,
    );
    for (const fault of faultsOf(one, outcome)) faults.push(`${one.name}: ${fault}`);
  }
  return faults;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
