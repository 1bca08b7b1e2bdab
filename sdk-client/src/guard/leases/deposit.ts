/**
 * What one attempt has set aside of all budgets it counts against. Invariants: it is settled once, by what the attempt's
 * records cost; what the API told nothing of settles at its worst case; the records name the leases.
 */
import type { UsageDraft } from "../../guard-host.ts";
import { priceUsage } from "../../pricing/price.ts";
import type { PriceTable } from "../../pricing/price-table.ts";
import { promptTokens as promptOf, readUsage } from "../../pricing/usage.ts";
import type { LeaseUse } from "../../wire/lease-protocol.ts";
import type { Hold } from "./lease.ts";
import { worstCaseOf } from "./worst-case.ts";

/** What decides whether the prompt's part can settle before the end. */
export interface Sent {
  model: string;
  maxTokens: number;
  fast: boolean;
  geo: string | null;
  /** Nothing but the model itself works on it: what `message_start` tells of the prompt is all of it. */
  isPlain: boolean;
  counted: number | null;
}

export interface Deposited {
  hold: Hold;
  /** A part of the attempt that this model used counts against the budget. */
  counts: (model: string) => boolean;
}

export class Deposit {
  readonly #deposited: readonly Deposited[];
  readonly #prices: () => PriceTable;
  readonly sent: Sent;

  constructor(deposited: readonly Deposited[], sent: Sent, prices: () => PriceTable) {
    this.#deposited = deposited;
    this.sent = sent;
    this.#prices = prices;
  }

  /** The beginning of a stream has told the prompt: what was set aside for more of it is free again. */
  promptTold(usage: Readonly<Record<string, unknown>> | null): void {
    const { sent } = this;
    if (!sent.isPlain || usage === null || this.#deposited.length === 0) return;
    const [main] = readUsage(usage, { answered: sent.model, requested: sent.model });
    if (main === undefined || !main.exact || promptOf(main.usage) === 0) return;
    const placed = { ...main, fast: main.fast || sent.fast, geo: main.geo ?? sent.geo };
    const most = worstCaseOf(placed, sent.maxTokens, this.#prices(), Date.now());
    for (const { hold } of this.#deposited) hold.shrink(most);
  }

  /** The attempt is over and used this. Names the leases in its records. `isUntold`: the API told nothing of what it used. */
  settle(used: readonly UsageDraft[], isUntold: boolean): void {
    for (const { hold, counts } of this.#deposited) this.#settleOne(hold, counts, used, isUntold);
  }

  /** It was not sent, or somebody else pays for it. */
  cancel(): void {
    for (const { hold } of this.#deposited) hold.settle(0);
  }

  /** Nobody knows what it used. */
  settleAtWorst(): void {
    for (const { hold } of this.#deposited) hold.settle(hold.nanoUsd);
  }

  #settleOne(hold: Hold, counts: Deposited["counts"], used: readonly UsageDraft[], isUntold: boolean): void {
    let spent = 0;
    const counted = used.filter(({ model }) => counts(model));
    const costs = counted.map((draft) => this.#costOf(draft));
    for (const cost of costs) spent += cost;
    // Of a call that told nothing its records are estimates: the budget counts all that it may have cost.
    const extra = isUntold && spent > 0 ? Math.max(0, hold.nanoUsd - spent) : 0;
    for (const [index, draft] of counted.entries()) {
      const nanoUsd = (costs[index] ?? 0) + (index === 0 ? extra : 0);
      if (nanoUsd > 0) addUse(draft, { leaseId: hold.lease.id, nanoUsd });
    }
    hold.settle(spent + extra);
  }

  #costOf({ model, usage, batch, fast, geo, promptTokens }: UsageDraft): number {
    const call = { model, usage, atMs: Date.now(), batch: batch === true, fast: fast === true, geo: geo ?? null };
    const priced = promptTokens === undefined ? call : { ...call, promptTokens };
    return priceUsage(this.#prices(), priced).costNanoUsd;
  }
}

function addUse(draft: UsageDraft, use: LeaseUse): void {
  draft.leases = [...(draft.leases ?? []), use];
}
