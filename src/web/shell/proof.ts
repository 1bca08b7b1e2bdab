/** The proof of a change as a page shows it: counted in the fleet that was read once for the whole page. */
import type { Change, Fleet, NotCounted, Proof } from "../../domain/fleet.ts";
import { proofOf } from "../../domain/fleet.ts";

export { isAwaited, isComplete } from "../../domain/fleet.ts";

export interface TimedProof extends Proof {
  /** Of the change, within the lineage in force. */
  n: number;
  /** From commit to the newest of these receipts in milliseconds; null when not timed. */
  lastMs: number | null;
  notCounted: readonly NotCounted[];
}

/** The proof of `change`, with its time when it is among the timed ones. */
export function timedProof(fleet: Fleet, change: Change, lastMs: ReadonlyMap<number, number>): TimedProof {
  const { notCounted } = fleet;
  return { ...proofOf(fleet, change), n: change.n, lastMs: lastMs.get(change.n) ?? null, notCounted };
}
