/**
 * What message batches have set aside until their results tell what they cost. Invariants: each request of a batch settles
 * once, however often its result is read; what nobody reads stays set aside.
 */
import type { UsageDraft } from "../../guard-host.ts";
import type { Deposit } from "./deposit.ts";

/** Requests of all batches together that are followed. Beyond it the oldest batches stay set aside for good. */
const MAX_REQUESTS = 500_000;

interface OpenBatch {
  deposit: Deposit;
  /** What was set aside for each request that has not settled, by its `custom_id`. */
  open: Map<string, number>;
}

export class BatchDeposits {
  readonly #batches = new Map<string, OpenBatch>();
  #requests = 0;

  /** The batch was taken by the API, under this id. `parts`: what was set aside for each request, by its `custom_id`. */
  submitted(batchId: string, deposit: Deposit, parts: ReadonlyMap<string, number>): void {
    this.#batches.set(batchId, { deposit, open: new Map(parts) });
    this.#requests += parts.size;
    for (const oldest of this.#batches.keys()) {
      if (this.#requests <= MAX_REQUESTS) return;
      this.#forget(oldest);
    }
  }

  has(batchId: string): boolean {
    return this.#batches.has(batchId);
  }

  /** One request is over and used this; nothing when it was not answered. Names the leases in its records, the first time. */
  ended(batchId: string, customId: string, used: readonly UsageDraft[]): void {
    const batch = this.#batches.get(batchId);
    const setAside = batch?.open.get(customId);
    if (batch === undefined || setAside === undefined) return;
    batch.open.delete(customId);
    this.#requests -= 1;
    batch.deposit.settlePart(used, setAside);
    if (batch.open.size === 0) this.#forget(batchId);
  }

  /** The whole batch is over, and none of its requests was answered. */
  unanswered(batchId: string): void {
    this.#batches.get(batchId)?.deposit.cancel();
    this.#forget(batchId);
  }

  #forget(batchId: string): void {
    this.#requests -= this.#batches.get(batchId)?.open.size ?? 0;
    this.#batches.delete(batchId);
  }
}
