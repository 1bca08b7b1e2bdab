/**
 * One lease as its holder keeps it. Invariants: granted = spent + released + in flight + idle, and no sum ever falls; the
 * idle part is negative only after a call that cost more than was set aside for it.
 */
import type { LeaseState } from "../../wire/lease-protocol.ts";

export class Lease {
  readonly id: string;
  granted = 0;
  spent = 0;
  released = 0;
  inFlight = 0;
  /** Monotonic time from which no call begins from it. */
  validUntilMs = 0;

  constructor(id: string) {
    this.id = id;
  }

  get idle(): number {
    return this.granted - this.spent - this.released - this.inFlight;
  }

  /** What may be set aside at this time. */
  freeAt(nowMs: number): number {
    return nowMs < this.validUntilMs ? Math.max(0, this.idle) : 0;
  }

  /** Gives the idle part back for good, but for so much of it. */
  giveBack(keep = 0): void {
    this.released += Math.max(0, this.idle - keep);
  }

  get state(): LeaseState {
    return {
      leaseId: this.id,
      spentNanoUsd: this.spent,
      releasedNanoUsd: this.released,
      inFlightNanoUsd: this.inFlight,
    };
  }
}

/** What one running attempt has set aside of one budget. */
export class Hold {
  readonly lease: Lease;
  #nanoUsd: number;
  #isSettled = false;
  readonly #onFreed: (spentNanoUsd: number) => void;

  constructor(lease: Lease, nanoUsd: number, onFreed: (spentNanoUsd: number) => void) {
    this.lease = lease;
    this.#nanoUsd = nanoUsd;
    this.#onFreed = onFreed;
    lease.inFlight += nanoUsd;
  }

  get nanoUsd(): number {
    return this.#nanoUsd;
  }

  /** The attempt can cost no more than this: what was set aside beyond it is idle again. */
  shrink(nanoUsd: number): void {
    if (this.#isSettled || nanoUsd >= this.#nanoUsd) return;
    this.lease.inFlight -= this.#nanoUsd - nanoUsd;
    this.#nanoUsd = nanoUsd;
    this.#onFreed(0);
  }

  /** A part of it, for which so much was set aside, is over and cost this much; the rest stays set aside. */
  settlePart(spentNanoUsd: number, setAsideNanoUsd: number): void {
    if (this.#isSettled) return;
    const part = Math.min(setAsideNanoUsd, this.#nanoUsd);
    this.lease.inFlight -= part;
    this.#nanoUsd -= part;
    this.lease.spent += spentNanoUsd;
    this.#onFreed(spentNanoUsd);
  }

  /** The attempt is over and cost this much. Later calls change nothing. */
  settle(spentNanoUsd: number): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.lease.inFlight -= this.#nanoUsd;
    this.lease.spent += spentNanoUsd;
    this.#onFreed(spentNanoUsd);
  }
}
