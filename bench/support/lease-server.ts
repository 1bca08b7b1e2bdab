/**
 * One `reserve` budget of a server in memory, on an injected clock: the protocol of `POST /sdk/v1/leases` by the server's own
 * rules (domain/lease.ts), for simulations and property tests of clients. Checks after each step that nothing is granted
 * beyond the limit.
 */
import type { DeniedWant, GrantedLease, LeaseAnswer, LeaseRequest } from "../../sdk-client/src/wire/lease-protocol.ts";
import { LEASE_TTL_MS } from "../../sdk-client/src/wire/lease-protocol.ts";
import {
  aheadNanoUsd,
  freeNanoUsd,
  heard,
  heldNanoUsd,
  idleNanoUsd,
  type LeaseSums,
  type Pot,
  restNanoUsd,
  SCARCE_MS,
  serve,
  type Want,
} from "../../src/domain/lease.ts";

const CALL_BACK_MS = 500;
const UNTIL = "2027-01-01T00:00:00.000Z";

interface ServerLease extends LeaseSums {
  id: string;
  client: string;
  renewedMs: number;
  isIndeterminate: boolean;
}

interface Parked {
  requestId: string;
  client: string;
  leaseId: string | null;
  want: { nanoUsd: number; atLeastNanoUsd: number; sinceMs: number } | null;
  overtaken: number;
  answer: (answer: LeaseAnswer) => void;
}

export class LeaseServer {
  readonly budgetId: string;
  readonly #nowMs: () => number;
  readonly pot: Pot;
  readonly #leases = new Map<string, ServerLease>();
  readonly #byRequest = new Map<string, string>();
  #parked: Parked[] = [];
  #scarceUntilMs = Number.NEGATIVE_INFINITY;
  #calledBackMs = Number.NEGATIVE_INFINITY;
  #ids = 0;
  requests = 0;
  mostHeld = 0;

  constructor(budgetId: string, limitNanoUsd: number, nowMs: () => number) {
    this.budgetId = budgetId;
    this.#nowMs = nowMs;
    this.pot = { limitNanoUsd, spentNanoUsd: 0, reservedNanoUsd: 0, indeterminateNanoUsd: 0 };
  }

  /** Takes a message; `answer` is called once, later for one that waits (`parks`). Returns what ends its connection. */
  ask(client: string, message: LeaseRequest, parks: boolean, answer: (answer: LeaseAnswer) => void): () => void {
    this.requests += 1;
    let own: ServerLease | null = null;
    let isIdle = false;
    for (const said of message.leases) {
      const lease = this.#leases.get(said.leaseId);
      if (lease === undefined) continue;
      this.#change(lease, () => Object.assign(lease, heard(lease, said)));
      lease.renewedMs = this.#nowMs();
      isIdle ||= idleNanoUsd(lease) > 0;
      if (!lease.isIndeterminate) own = lease;
    }
    const [want] = message.wants;
    const told = message.leases.map(({ leaseId }) => leaseId);
    const parked: Parked = {
      requestId: message.requestId,
      client,
      leaseId: own?.id ?? null,
      want: null,
      overtaken: 0,
      answer: (given) => {
        this.#parked = this.#parked.filter((each) => each !== parked);
        answer(given);
      },
    };
    const before = this.#byRequest.get(message.requestId);
    if (before !== undefined) {
      parked.answer(this.#answer([...told, before]));
      return ignore;
    }
    if (want !== undefined && (want.atLeastNanoUsd ?? want.nanoUsd) > 0) {
      const { nanoUsd, atLeastNanoUsd = nanoUsd, sinceMs } = want;
      parked.want = { nanoUsd, atLeastNanoUsd, sinceMs };
    }
    // One that is sent again takes the place of the one before.
    this.#parked = this.#parked.filter(({ requestId }) => requestId !== message.requestId);
    this.#parked.push(parked);
    this.#serve();
    if (!this.#parked.includes(parked)) return ignore;
    if (want !== undefined && want.atLeastNanoUsd === 0 && !this.#isScarce) {
      const nanoUsd = aheadNanoUsd(this.pot, want.nanoUsd, this.#holders + (own === null ? 1 : 0));
      if (nanoUsd > 0) told.push(this.#grant(parked, nanoUsd).id);
    }
    const waits = parked.want !== null || !(this.#isScarce && isIdle);
    if (!parks || !waits) parked.answer(this.#answer(told, parked.want === null ? [] : [this.#held()]));
    return () => {
      this.#parked = this.#parked.filter((each) => each !== parked);
      this.#serve();
    };
  }

  /** The time of a parked request is over. */
  timeUp(requestId: string): void {
    const parked = this.#parked.find((each) => each.requestId === requestId);
    if (parked === undefined) return;
    parked.answer(this.#answer(this.#idsOf(parked.client), parked.want === null ? [] : [this.#held()]));
  }

  /** A usage record settles this much of a lease. */
  settle(leaseId: string, nanoUsd: number): void {
    const lease = this.#leases.get(leaseId);
    if (lease === undefined) return;
    this.#change(lease, () => {
      lease.settledNanoUsd += nanoUsd;
    });
    this.pot.spentNanoUsd += nanoUsd;
    this.#check();
    this.#serve();
  }

  /** Leases whose clients went silent: all that they hold is counted against the limit. */
  expire(): void {
    for (const lease of this.#leases.values()) {
      if (lease.isIndeterminate || this.#nowMs() - lease.renewedMs < LEASE_TTL_MS) continue;
      this.pot.reservedNanoUsd -= heldNanoUsd(lease);
      this.pot.indeterminateNanoUsd += heldNanoUsd(lease);
      lease.isIndeterminate = true;
    }
    this.#serve();
  }

  /** Its client may begin calls from it. */
  isLive(leaseId: string): boolean {
    return this.#leases.get(leaseId)?.isIndeterminate === false;
  }

  get #isScarce(): boolean {
    return this.#nowMs() < this.#scarceUntilMs;
  }

  get #holders(): number {
    return [...this.#leases.values()].filter(({ isIndeterminate }) => !isIndeterminate).length;
  }

  #idsOf(client: string): string[] {
    return [...this.#leases.values()].filter((lease) => lease.client === client).map(({ id }) => id);
  }

  #serve(): void {
    const wanting = this.#parked.filter(({ want }) => want !== null);
    const queue = wanting.map((parked): Want => {
      const { nanoUsd = 0, atLeastNanoUsd = 0, sinceMs = 0 } = parked.want ?? {};
      const lease = this.#leases.get(parked.leaseId ?? "");
      const callNanoUsd = atLeastNanoUsd + (lease === undefined ? 0 : idleNanoUsd(lease));
      const { requestId: id, overtaken } = parked;
      return { id, sinceMs, atLeastNanoUsd, overtaken, place: "here", nanoUsd, callNanoUsd };
    });
    const strangers = wanting.filter(({ leaseId }) => leaseId === null).length;
    const served = serve(this.pot, queue, { holders: this.#holders + strangers, scarce: this.#isScarce });
    if (served.waiting) this.#scarceUntilMs = this.#nowMs() + SCARCE_MS;
    for (const parked of wanting) {
      parked.overtaken = served.overtaken.get(parked.requestId) ?? parked.overtaken;
      const nanoUsd = served.granted.get(parked.requestId);
      const because = served.refused.get(parked.requestId);
      if (nanoUsd !== undefined) {
        this.#grant(parked, nanoUsd);
        parked.answer(this.#answer(this.#idsOf(parked.client)));
      } else if (because !== undefined) {
        parked.answer(this.#answer(this.#idsOf(parked.client), [{ ...this.#held(), because }]));
      }
    }
    if (served.waiting) this.#callBack();
  }

  #callBack(): void {
    if (this.#nowMs() - this.#calledBackMs < CALL_BACK_MS) return;
    this.#calledBackMs = this.#nowMs();
    for (const parked of this.#parked.filter(({ want }) => want === null)) {
      const lease = this.#leases.get(parked.leaseId ?? "");
      if (lease !== undefined && idleNanoUsd(lease) > 0) parked.answer(this.#answer(this.#idsOf(parked.client)));
    }
  }

  #grant({ requestId, client, leaseId }: Parked, nanoUsd: number): ServerLease {
    this.#ids += 1;
    const known = this.#leases.get(leaseId ?? "");
    const lease: ServerLease = known ?? {
      id: `lease-${this.#ids}`,
      client,
      grantedNanoUsd: 0,
      releasedNanoUsd: 0,
      settledNanoUsd: 0,
      spentNanoUsd: 0,
      inFlightNanoUsd: 0,
      renewedMs: this.#nowMs(),
      isIndeterminate: false,
    };
    this.#leases.set(lease.id, lease);
    this.#byRequest.set(requestId, lease.id);
    this.#change(lease, () => {
      lease.grantedNanoUsd += nanoUsd;
    });
    return lease;
  }

  #change(lease: ServerLease, change: () => void): void {
    const before = heldNanoUsd(lease);
    change();
    const more = heldNanoUsd(lease) - before;
    if (lease.isIndeterminate) this.pot.indeterminateNanoUsd += more;
    else this.pot.reservedNanoUsd += more;
    this.#check();
  }

  #check(): void {
    const { limitNanoUsd, reservedNanoUsd } = this.pot;
    // While a record settles, what it moves is for a moment in neither sum.
    this.mostHeld = Math.max(this.mostHeld, limitNanoUsd - freeNanoUsd(this.pot));
    if (freeNanoUsd(this.pot) < 0) throw new Error(`granted beyond the limit by ${-freeNanoUsd(this.pot)} nano-USD`);
    if (reservedNanoUsd < 0) throw new Error(`reserved is negative: ${reservedNanoUsd}`);
  }

  #held(): DeniedWant {
    const { budgetId } = this;
    const rest = Math.max(0, restNanoUsd(this.pot));
    const heldNanoUsdNow = Math.max(0, rest - Math.max(0, freeNanoUsd(this.pot)));
    return {
      budgetId,
      because: "held",
      until: UNTIL,
      restNanoUsd: rest,
      heldNanoUsd: heldNanoUsdNow,
      holders: this.#holders,
    };
  }

  #answer(ids: readonly string[], denied: DeniedWant[] = []): LeaseAnswer {
    const leases = [...new Set(ids)].flatMap((id): GrantedLease[] => {
      const lease = this.#leases.get(id);
      if (lease === undefined || (lease.isIndeterminate && heldNanoUsd(lease) === 0)) return [];
      const ttlMs = lease.isIndeterminate ? 0 : LEASE_TTL_MS;
      return [{ leaseId: id, budgetId: this.budgetId, grantedNanoUsd: lease.grantedNanoUsd, ttlMs }];
    });
    return { leases, denied, scarce: this.#isScarce ? [this.budgetId] : [] };
  }
}

function ignore(): void {
  // It was answered at once.
}
