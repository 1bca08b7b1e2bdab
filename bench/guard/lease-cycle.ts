/**
 * `lease.cycle`: microseconds to set a call's worst case aside and to settle it, while a lease has room. No server answers: a
 * message on the way would never come back, and the bench would fail.
 */
import { LeaseBook } from "../../sdk-client/src/guard/leases/book.ts";
import { by, type Effort } from "../support/effort.ts";
import type { Figure } from "../support/figure.ts";
import { median } from "../support/statistics.ts";

const CYCLES_PER_ROUND = 20_000;
const US_PER_MS = 1_000;
const WORST_NANO_USD = 60_000_000;
const COST_NANO_USD = 9_000_000;
const GRANTED_NANO_USD = 1e15;
const TTL_MS = 1e9;
/** Calls that run at the same time, each with its worst case set aside. */
const RUNNING = 20;

export function benchLeaseCycle(effort: Effort): Promise<Figure> {
  let messages = 0;
  const book = new LeaseBook(
    { budgetId: "bench" },
    () => performance.now(),
    () => {
      messages += 1;
    },
  );
  const lease = { leaseId: "lease", budgetId: "bench", grantedNanoUsd: GRANTED_NANO_USD, ttlMs: TTL_MS };
  book.granted(lease, performance.now());
  for (let call = 0; call < RUNNING; call += 1) book.take(WORST_NANO_USD);
  const rounds = by(effort, 40, 2);
  const samples: number[] = [];
  for (let round = -5; round < rounds; round += 1) {
    const startedMs = performance.now();
    for (let cycle = 0; cycle < CYCLES_PER_ROUND; cycle += 1) {
      const taken = book.take(WORST_NANO_USD);
      if (taken.kind !== "held") throw new Error("the lease had no room");
      taken.hold.settle(COST_NANO_USD);
    }
    if (round >= 0) samples.push(((performance.now() - startedMs) * US_PER_MS) / CYCLES_PER_ROUND);
  }
  if (messages > 0) throw new Error(`${messages} messages were asked for while the lease had room`);
  return Promise.resolve({
    name: "lease.cycle",
    unit: "µs",
    ours: median(samples),
    note: `median of ${rounds} rounds of ${CYCLES_PER_ROUND} cycles beside ${RUNNING} running calls; no message to the server`,
  });
}
