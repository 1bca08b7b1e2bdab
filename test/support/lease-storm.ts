/**
 * Clients of leases that do what clients do, by dice with a seed: wait, call, give back, report late or twice, ask anew when
 * an answer is lost, and die. They keep the true bill.
 */
import type { GrantedLease, LeaseAnswer, LeaseState } from "../../sdk-client/src/wire/lease-protocol.ts";
import { type LeaseAsker, said } from "./lease-client.ts";

/** Numbers from 0 up to 1 that follow from the seed. */
export function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export interface StormOptions {
  budgetId: string;
  servers: readonly LeaseAsker[];
  calls: number;
  /** Nano-USD that a call may cost at most. */
  worstNanoUsd: number;
  /** Reports a call; resolves when it is counted. */
  report: (leaseId: string, nanoUsd: number, times: number) => Promise<void>;
  random: () => number;
  /** It dies in this one of its calls; 0: never. */
  diesAt: number;
}

export class StormClient {
  readonly #instance: string;
  readonly #in: StormOptions;
  readonly #leases = new Map<string, LeaseState & { grantedNanoUsd: number; isOver: boolean }>();
  /** What the provider has billed of its calls. */
  bill = 0;
  reported = 0;
  answered = 0;
  isDead = false;

  constructor(instance: string, options: StormOptions) {
    this.#instance = instance;
    this.#in = options;
  }

  /** What it still holds, as the server knows or will know it. */
  get held(): number {
    const leases = [...this.#leases.values()];
    return leases.reduce((sum, lease) => sum + lease.grantedNanoUsd - lease.releasedNanoUsd - lease.spentNanoUsd, 0);
  }

  async run(): Promise<void> {
    const { calls, worstNanoUsd, random, report, diesAt } = this.#in;
    for (let n = 0; n < calls && !this.isDead; n += 1) {
      const worst = 1 + Math.floor(random() * worstNanoUsd);
      const lease = await this.#setAside(worst);
      if (lease === null) continue;
      this.answered += 1;
      lease.inFlightNanoUsd += worst;
      if (random() < 0.3) await this.#say();
      const cost = random() < 0.3 ? worst : Math.floor(random() * worst);
      this.bill += cost;
      if (this.answered === diesAt) {
        this.isDead = true;
        return;
      }
      lease.inFlightNanoUsd -= worst;
      lease.spentNanoUsd += cost;
      const told = report(lease.leaseId, cost, random() < 0.2 ? 2 : 1).then(() => {
        this.reported += cost;
      });
      if (random() < 0.5) await this.#giveBack();
      await told;
    }
    await this.#giveBack();
  }

  /** A lease with room for a call; null when it is refused. */
  async #setAside(worst: number): Promise<(LeaseState & { grantedNanoUsd: number }) | null> {
    const room = () =>
      [...this.#leases.values()].find(
        (one) =>
          !one.isOver && one.grantedNanoUsd - one.spentNanoUsd - one.releasedNanoUsd - one.inFlightNanoUsd >= worst,
      ) ?? null;
    const own = room();
    if (own !== null) return own;
    await this.#giveBack();
    const { budgetId, random } = this.#in;
    const ask = {
      requestId: `${this.#instance}-${random()}`,
      instance: this.#instance,
      wants: [{ budgetId, nanoUsd: worst }],
      leases: this.#states(),
      ...(random() < 0.8 && { wait: 1 }),
    };
    // The answer is lost: it asks the other server the same.
    if (random() < 0.1) await this.#server().ask(ask);
    this.#hear(await this.#server().ask(ask));
    return room();
  }

  #server(): LeaseAsker {
    const { servers, random } = this.#in;
    const server = servers[Math.floor(random() * servers.length)];
    if (server === undefined) throw new Error("there is no server");
    return server;
  }

  #states(): LeaseState[] {
    return [...this.#leases.values()].map(({ leaseId, spentNanoUsd, releasedNanoUsd, inFlightNanoUsd }) =>
      said(leaseId, { spentNanoUsd, releasedNanoUsd, inFlightNanoUsd }),
    );
  }

  async #say(): Promise<void> {
    this.#hear(await this.#server().ask({ instance: this.#instance, leases: this.#states() }));
  }

  async #giveBack(): Promise<void> {
    for (const lease of this.#leases.values()) {
      lease.releasedNanoUsd = lease.grantedNanoUsd - lease.spentNanoUsd - lease.inFlightNanoUsd;
    }
    await this.#say();
  }

  #hear({ leases }: LeaseAnswer): void {
    for (const lease of leases) this.#adopt(lease);
  }

  #adopt({ leaseId, grantedNanoUsd, ttlMs }: GrantedLease): void {
    const lease = this.#leases.get(leaseId) ?? { ...said(leaseId), grantedNanoUsd: 0, isOver: false };
    lease.grantedNanoUsd = Math.max(lease.grantedNanoUsd, grantedNanoUsd);
    lease.isOver = ttlMs === 0;
    this.#leases.set(leaseId, lease);
  }
}
