/**
 * The wire types of leases: how a client gets money of a `reserve` budget to set aside for its calls. Money is whole
 * nano-USD. Every sum is cumulative over the life of its lease and repeated in every message, so that a message that is
 * lost, sent twice or late changes nothing.
 */

export const LEASES_PATH = "/sdk/v1/leases";

/** How long a lease lives without a message. A client counts it from the moment it *sent* the message. */
export const LEASE_TTL_MS = 30_000;
/** How long a want keeps its place in the queue after it was said last. */
export const WANT_LIFE_MS = 2_500;
/** Longest `Prefer: wait` of a request; who waits on repeats the want, with the same `sinceMs`. */
export const MAX_LEASE_WAIT_SECONDS = 2;
/** Bounds of one request. */
export const MAX_WANTS_PER_REQUEST = 200;
export const MAX_LEASES_PER_REQUEST = 1_000;
export const MAX_LEASES_BODY_BYTES = 512 * 1_024;
/** Leases that one usage record settles: one for each `reserve` budget that its call counts against. */
export const MAX_LEASES_PER_RECORD = 20;

/** Largest amount in a message: a million USD, the largest limit that a budget can have. */
export const MAX_LEASE_NANO_USD = 1e15;

export interface LeaseWant {
  budgetId: string;
  /** The user or session, of a budget that has a window for each. */
  subject?: string;
  /** What is asked for, beyond what the lease has. */
  nanoUsd: number;
  /**
   * What the call that waits lacks: it is granted that much or nothing, and waits in the queue. Left out: all of `nanoUsd`.
   * 0 asks ahead: for what can be spared, at once, and never waits.
   */
  atLeastNanoUsd?: number;
  /** Since when that call waits, Unix time in milliseconds by the client's clock (`Andon-Sent` tells how far off it is). */
  sinceMs: number;
}

/** What became of a lease: granted = spent + released + in flight + idle. */
export interface LeaseState {
  leaseId: string;
  /** Of calls that ended, as this client prices them. */
  spentNanoUsd: number;
  /** Given back for good. */
  releasedNanoUsd: number;
  /** Set aside for calls that run. */
  inFlightNanoUsd: number;
}

/**
 * A request whose answer was lost is sent again with its `requestId` (and the sums of now) until it is answered: what it
 * asked for may have been granted.
 */
export interface LeaseRequest {
  requestId: string;
  instance: string;
  wants: LeaseWant[];
  /** All leases of this process that are not settled. */
  leases: LeaseState[];
}

export interface GrantedLease {
  leaseId: string;
  budgetId: string;
  subject?: string;
  /** All that was ever granted on it. */
  grantedNanoUsd: number;
  /** 0: start no call from it any more, give back what is idle, and go on telling its sums until all of it is settled. */
  ttlMs: number;
}

/**
 * `held`: it would fit, but others hold it; `tooLarge`: it is more than `restNanoUsd`, and no wait mends that; `spent`:
 * nothing is left until `until`.
 */
export type DeniedBecause = "held" | "spent" | "tooLarge";

export interface DeniedWant {
  budgetId: string;
  subject?: string;
  because: DeniedBecause;
  /** When the window ends, ISO 8601. */
  until?: string;
  /** The limit less what is spent for good: what one call can cost at most. */
  restNanoUsd: number;
  /** Of that, what leases hold. */
  heldNanoUsd: number;
  /** How many leases hold it. */
  holders: number;
}

export interface LeaseAnswer {
  /**
   * The leases of the request and those that it made. One of the request that is missing here is over: settled, or of a
   * budget that is gone.
   */
  leases: GrantedLease[];
  denied: DeniedWant[];
  /** Budgets in which somebody waits: give back what is idle, and ask for one call at a time. */
  scarce: string[];
}

/** Of a usage record: what its calls had set aside of a lease and spent, the part of `spentNanoUsd` that it settles. */
export interface LeaseUse {
  leaseId: string;
  nanoUsd: number;
}
