/**
 * The money of one budget (of one user or session of it) that this process may set aside, and who waits for it. A pure
 * state machine: times are arguments, what to send is asked of it. Invariants: nothing is set aside that was not granted;
 * what runs never outgrows its grants; the oldest waiter is overtaken at most {@link MAX_OVERTAKEN} times.
 */
import type { DeniedWant, GrantedLease, LeaseState, LeaseWant } from "../../wire/lease-protocol.ts";
import { Hold, Lease } from "./lease.ts";

/** Kept free while there is plenty: so much time at the present burn, and this share of what runs. */
const SLACK_SECONDS = 5;
const RUNNING_SHARE = 0.25;
/** More is asked for when less than this share of that is free. */
const ASK_AHEAD_AT = 0.5;
/** So long after somebody waited the budget counts as scarce. */
const SCARCE_MS = 3_000;
/** A refusal that no wait mends is remembered so long. */
const REFUSAL_MS = 1_500;
const MAX_OVERTAKEN = 5;
/** The client stops a little before its lease ends. */
const LEASE_MARGIN_MS = 500;
/** Money of a budget that is not used for so long goes back. */
const UNUSED_MS = 10_000;
/** So many leases that are over are remembered: an answer that was sent before may come after. */
const MAX_OVER = 50;
const BURN_TICK_MS = 1_000;
/** Share of the newest second in the burn. */
const BURN_WEIGHT = 0.3;
/** After so many ticks without a call nothing of the burn is left. */
const MAX_BURN_TICKS = 60;

/** Why a call gets no money, or what it has set aside. */
export type Taken =
  | { kind: "held"; hold: Hold }
  /** It is more than the whole budget has left. */
  | { kind: "tooLarge"; restNanoUsd: number }
  | { kind: "spent"; until: string | null }
  /** It would fit if others held less, or nobody knows: it may wait. */
  | { kind: "wait" };

export type WaitEnd = Exclude<Taken, { kind: "wait" }> | { kind: "unavailable" } | { kind: "timeUp" };

/** A place in the queue. */
export interface Turn {
  readonly ended: Promise<WaitEnd>;
  /** Gives the place up, and ends the wait so unless it has ended. */
  leave(how: WaitEnd): void;
}

interface Waiter {
  readonly needNanoUsd: number;
  readonly sinceMs: number;
  overtaken: number;
  end: (how: WaitEnd) => void;
}

/** What others hold, as the server told it last. */
export type Held = Pick<DeniedWant, "restNanoUsd" | "heldNanoUsd" | "holders">;

interface Refusal {
  because: "tooLarge" | "spent";
  restNanoUsd: number;
  until: string | null;
  untilMs: number;
}

export class LeaseBook {
  readonly budgetId: string;
  readonly subject: string | undefined;
  /** Called when something is to be said to the server at once. */
  readonly #onNews: () => void;
  readonly #nowMs: () => number;
  readonly #leases = new Map<string, Lease>();
  readonly #over: string[] = [];
  readonly #waiting: Waiter[] = [];
  #scarceUntilMs = Number.NEGATIVE_INFINITY;
  #refusal: Refusal | null = null;
  #held: Held | null = null;
  #lastUseMs = Number.NEGATIVE_INFINITY;
  /** Nano-USD a second. */
  #burn = 0;
  #recent = 0;
  #burnAtMs: number;

  constructor(
    { budgetId, subject }: { budgetId: string; subject?: string | undefined },
    nowMs: () => number,
    onNews: () => void,
  ) {
    this.budgetId = budgetId;
    this.subject = subject;
    this.#nowMs = nowMs;
    this.#onNews = onNews;
    this.#burnAtMs = nowMs();
  }

  /** Sets this much aside if it can be now. */
  take(nanoUsd: number): Taken {
    const nowMs = this.#nowMs();
    this.#lastUseMs = nowMs;
    const hold = this.#mayOvertake(nowMs) ? this.#setAside(nanoUsd, nowMs) : null;
    if (hold !== null) {
      for (const waiter of this.#waiting) waiter.overtaken += 1;
      if (this.#lacksAhead(nowMs)) this.#onNews();
      return { kind: "held", hold };
    }
    return this.#refused(nanoUsd, nowMs) ?? { kind: "wait" };
  }

  /** Joins the queue. `sinceMs`: since when the call waits, Unix time in milliseconds. */
  wait(needNanoUsd: number, sinceMs: number): Turn {
    const waiter: Waiter = { needNanoUsd, sinceMs, overtaken: 0, end: ignore };
    const ended = new Promise<WaitEnd>((resolve) => {
      waiter.end = resolve;
    });
    this.#waiting.push(waiter);
    if (this.#waiting.length === 1) this.#onNews();
    return {
      ended,
      leave: (how) => {
        waiter.end(how);
        this.#leave(waiter);
      },
    };
  }

  #leave(waiter: Waiter): void {
    const at = this.#waiting.indexOf(waiter);
    if (at < 0) return;
    this.#waiting.splice(at, 1);
    this.#admit();
    if (at === 0) this.#onNews();
  }

  /** Ends every wait: no server can be asked. */
  unavailable(): void {
    for (const waiter of this.#waiting.splice(0)) waiter.end({ kind: "unavailable" });
  }

  get isWaitedFor(): boolean {
    return this.#waiting.length > 0;
  }

  get isScarce(): boolean {
    return this.#nowMs() < this.#scarceUntilMs;
  }

  /** What others hold, as far as it is known. */
  get held(): Held | null {
    return this.#held;
  }

  /** Money that no call has set aside. */
  get idleNanoUsd(): number {
    let idle = 0;
    for (const lease of this.#leases.values()) idle += Math.max(0, lease.idle);
    return idle;
  }

  get isEmpty(): boolean {
    return this.#leases.size === 0 && this.#waiting.length === 0;
  }

  /**
   * Each lease's sums, for a message of now. In scarcity, and after a time without a call, what is idle is given back: a
   * client that waits while it keeps its remainder starves the others.
   */
  states(): LeaseState[] {
    const nowMs = this.#nowMs();
    const isUnused = this.#isUnused(nowMs);
    const states: LeaseState[] = [];
    for (const lease of this.#leases.values()) {
      if (isUnused || nowMs < this.#scarceUntilMs || nowMs >= lease.validUntilMs) lease.giveBack();
      states.push(lease.state);
    }
    return states;
  }

  /** What the oldest waiter lacks, and in plenty what there should be beside it; null when nobody waits. */
  get want(): LeaseWant | null {
    const [head] = this.#waiting;
    if (head === undefined) return null;
    const nowMs = this.#nowMs();
    const { sinceMs } = head;
    const atLeastNanoUsd = Math.max(1, head.needNanoUsd - this.#largestFreeAt(nowMs));
    if (nowMs < this.#scarceUntilMs) return { ...this.#named(), nanoUsd: atLeastNanoUsd, atLeastNanoUsd, sinceMs };
    let needed = 0;
    for (const { needNanoUsd } of this.#waiting) needed += needNanoUsd;
    const nanoUsd = Math.max(atLeastNanoUsd, Math.ceil(needed + this.#target(nowMs) - this.#freeAt(nowMs)));
    return { ...this.#named(), nanoUsd, atLeastNanoUsd, sinceMs };
  }

  /** What to ask for ahead of any call; null while there is enough, in scarcity, and before a first call. */
  get wantAhead(): LeaseWant | null {
    const nowMs = this.#nowMs();
    if (!this.#lacksAhead(nowMs)) return null;
    const nanoUsd = Math.ceil(this.#target(nowMs) - this.#freeAt(nowMs));
    return { ...this.#named(), nanoUsd, atLeastNanoUsd: 0, sinceMs: 0 };
  }

  /** Gives everything back that no call runs on. */
  giveBack(): void {
    for (const lease of this.#leases.values()) lease.giveBack();
  }

  /** Takes what the server says of one lease. `sentMs`: when the message that it answers was sent. */
  granted({ leaseId, grantedNanoUsd, ttlMs }: GrantedLease, sentMs: number): void {
    const known = this.#leases.get(leaseId);
    if (known === undefined && this.#over.includes(leaseId)) return;
    const lease = known ?? new Lease(leaseId);
    if (known === undefined) this.#leases.set(leaseId, lease);
    lease.granted = Math.max(lease.granted, grantedNanoUsd);
    if (ttlMs <= 0) lease.validUntilMs = Number.NEGATIVE_INFINITY;
    // What was told to end does not begin again by an answer to an earlier message.
    else if (lease.validUntilMs !== Number.NEGATIVE_INFINITY) {
      lease.validUntilMs = Math.max(lease.validUntilMs, sentMs + ttlMs - LEASE_MARGIN_MS);
    }
  }

  /** The server knows the lease no more: it is settled, or its budget is gone. */
  over(leaseId: string): void {
    if (!this.#leases.delete(leaseId)) return;
    this.#over.push(leaseId);
    if (this.#over.length > MAX_OVER) this.#over.shift();
  }

  denied(why: DeniedWant): void {
    const { because, restNanoUsd, heldNanoUsd, holders } = why;
    const until = why.until ?? null;
    const nowMs = this.#nowMs();
    this.#held = { restNanoUsd, heldNanoUsd, holders };
    if (because === "held") {
      this.scarce();
      return;
    }
    this.#refusal = { because, restNanoUsd, until, untilMs: nowMs + REFUSAL_MS };
    for (const waiter of Array.from(this.#waiting)) {
      const refused = this.#refused(waiter.needNanoUsd, nowMs);
      if (refused === null) continue;
      this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
      waiter.end(refused);
    }
  }

  /** What was refused may be had now: a raise, an edit or a new window has changed what is left. */
  forgetRefusal(): void {
    this.#refusal = null;
  }

  scarce(): void {
    this.#scarceUntilMs = this.#nowMs() + SCARCE_MS;
  }

  /** To be called after an answer was taken: lets in whoever fits now, and says what has changed. */
  settled(): void {
    const headBefore = this.#waiting[0];
    this.#admit();
    const head = this.#waiting[0];
    if (head !== undefined && head !== headBefore) this.#onNews();
    else if (head === undefined && this.isScarce && this.idleNanoUsd > 0) this.#onNews();
  }

  /** Something is to be said: to ask ahead, or to give back what is idle. */
  get hasToSay(): boolean {
    const nowMs = this.#nowMs();
    if (this.#lacksAhead(nowMs)) return true;
    if (this.idleNanoUsd === 0) return false;
    return this.isScarce || this.#isUnused(nowMs);
  }

  /** The newest lease from which a call may begin, which the server adds to; null without one. */
  get validId(): string | null {
    const nowMs = this.#nowMs();
    let id: string | null = null;
    for (const lease of this.#leases.values()) if (nowMs < lease.validUntilMs) ({ id } = lease);
    return id;
  }

  #mayOvertake(nowMs: number): boolean {
    const [head] = this.#waiting;
    if (head === undefined) return true;
    return nowMs >= this.#scarceUntilMs && head.overtaken < MAX_OVERTAKEN;
  }

  #setAside(nanoUsd: number, nowMs: number): Hold | null {
    for (const lease of this.#leases.values()) {
      if (nanoUsd <= lease.freeAt(nowMs)) return new Hold(lease, nanoUsd, this.#onFreed);
    }
    return null;
  }

  readonly #onFreed = (spentNanoUsd: number): void => {
    this.#burnAt(this.#nowMs());
    this.#recent += spentNanoUsd;
    if (this.isScarce) this.#onNews();
    else if (this.#waiting.length > 0) this.settled();
  };

  /** Those that fit, the oldest first. */
  #admit(): void {
    const nowMs = this.#nowMs();
    for (let at = 0; at < this.#waiting.length;) {
      const waiter = this.#waiting[at];
      if (waiter === undefined) return;
      const hold = this.#setAside(waiter.needNanoUsd, nowMs);
      if (hold === null) {
        if (waiter.overtaken >= MAX_OVERTAKEN) return;
        at += 1;
        continue;
      }
      this.#waiting.splice(at, 1);
      for (let before = 0; before < at; before += 1) {
        const overtaken = this.#waiting[before];
        if (overtaken !== undefined) overtaken.overtaken += 1;
      }
      waiter.end({ kind: "held", hold });
    }
  }

  #refused(nanoUsd: number, nowMs: number): Extract<Taken, { kind: "tooLarge" | "spent" }> | null {
    const refusal = this.#refusal;
    if (refusal === null || nowMs >= refusal.untilMs) return null;
    if (refusal.because === "spent") return { kind: "spent", until: refusal.until };
    return nanoUsd > refusal.restNanoUsd ? { kind: "tooLarge", restNanoUsd: refusal.restNanoUsd } : null;
  }

  #named(): Pick<LeaseWant, "budgetId" | "subject"> {
    const { budgetId, subject } = this;
    return subject === undefined ? { budgetId } : { budgetId, subject };
  }

  /** No call for so long that what is idle goes back, though some may run on: a batch does for hours. */
  #isUnused(nowMs: number): boolean {
    return this.#waiting.length === 0 && nowMs - this.#lastUseMs >= UNUSED_MS;
  }

  /** Less than half of what should be free is. Nothing is asked ahead in scarcity, nor without recent calls. */
  #lacksAhead(nowMs: number): boolean {
    if (nowMs < this.#scarceUntilMs || this.#waiting.length > 0 || this.#isUnused(nowMs)) return false;
    const target = this.#target(nowMs);
    return target > 0 && this.#freeAt(nowMs) < target * ASK_AHEAD_AT;
  }

  #target(nowMs: number): number {
    this.#burnAt(nowMs);
    let running = 0;
    for (const lease of this.#leases.values()) running += lease.inFlight;
    return SLACK_SECONDS * this.#burn + RUNNING_SHARE * running;
  }

  /** Brings the burn up to this time. */
  #burnAt(nowMs: number): void {
    const ticks = Math.floor((nowMs - this.#burnAtMs) / BURN_TICK_MS);
    if (ticks < 1) return;
    this.#burn = (1 - BURN_WEIGHT) * this.#burn + BURN_WEIGHT * this.#recent;
    this.#burn = ticks > MAX_BURN_TICKS ? 0 : this.#burn * (1 - BURN_WEIGHT) ** (ticks - 1);
    this.#recent = 0;
    this.#burnAtMs += ticks * BURN_TICK_MS;
  }

  #freeAt(nowMs: number): number {
    let free = 0;
    for (const lease of this.#leases.values()) free += lease.freeAt(nowMs);
    return free;
  }

  #largestFreeAt(nowMs: number): number {
    let free = 0;
    for (const lease of this.#leases.values()) free = Math.max(free, lease.freeAt(nowMs));
    return free;
  }
}

function ignore(): void {
  // Nobody listens yet.
}
