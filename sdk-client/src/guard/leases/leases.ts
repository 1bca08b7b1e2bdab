/**
 * The leases of one client: a book for each budget (and user or session of it), and the messages that keep them. Invariant:
 * no message goes while a lease has room; one is under way at a time, beside one that is parked to hear of news.
 */
import type { GuardHost } from "../../guard-host.ts";
import { type Runtime, systemRuntime } from "../../runtime.ts";
import type { ServerLink } from "../../sync/request.ts";
import { Stop } from "../../sync/stop.ts";
import {
  type LeaseAnswer,
  type LeaseRequest,
  type LeaseWant,
  MAX_LEASE_WAIT_SECONDS,
  MAX_LEASES_PER_REQUEST,
  MAX_WANTS_PER_REQUEST,
} from "../../wire/lease-protocol.ts";
import type { SnapshotBudget } from "../../wire/protocol.ts";
import { LeaseBook } from "./book.ts";
import { type Exchange, exchange } from "./exchange.ts";
import { type Spender, subjectOf } from "./scope.ts";

const FAILURES_TO_BELIEVE = 2;
/** A client that closes says at most so often what it gives back: what was asked for before may be granted meanwhile. */
const CLOSING_MESSAGES = 8;
const BEAT_MS = 1_000;
/** A lease without room or waiters is renewed so often. */
const RENEW_MS = 5_000;
/** After a failure the server is asked again in so long, doubled by each further one. */
const RETRY_MS = 200;
const MAX_RETRY_MS = 5_000;
/** Longer than a message takes that asks for no wait. */
const TELLING_MS = 3_000;
/** An answer may take so long beyond the time that its message may be parked. */
const OVERDUE_MS = 500;
/**
 * Messages whose answers were lost that are asked after, the first ones: a server that goes may have granted those, and later
 * ones find none. The money of others comes back when their leases end.
 */
const MAX_LOST = 64;
/** Users and sessions that have a book; those without money or calls make room. */
const MAX_BOOKS = MAX_LEASES_PER_REQUEST;

/** A budget that one call must have money of. */
export interface Account {
  budget: SnapshotBudget;
  book: LeaseBook;
}

/** Its answer did not arrive: what it asked for may have been granted. */
type Lost = Pick<LeaseRequest, "requestId" | "wants"> & {
  sentMs: number;
  /** What its money was added to, if the server took these leases for valid as well. */
  leaseIds: readonly string[];
};

/** A parked message, and how much it asks for at least, by book. */
interface Parked {
  stop: Stop;
  parkedMs: number;
  wants: ReadonlyMap<string, number>;
}

/** What leases need of a client. */
export type LeaseHost = Pick<GuardHost, "budgets" | "link" | "models" | "onApplied" | "onClose" | "logger">;

export class Leases {
  readonly #host: LeaseHost;
  #budgets: readonly SnapshotBudget[] = [];
  readonly #books = new Map<string, LeaseBook>();
  /** Those to be asked after, and those that a later answer tells of: see {@link Leases.#noteLost}. */
  readonly #lost: Lost[] = [];
  #doubtful: Lost[] = [];
  #parked: Parked | null = null;
  /** Resolves when the message under way is answered. */
  #telling: Promise<void> | null = null;
  #willSpeak = false;
  #failures = 0;
  #toldMs = 0;
  #cancelBeat: (() => void) | null = null;
  #cancelRetry: (() => void) | null = null;

  constructor(host: LeaseHost) {
    this.#host = host;
    this.#readBudgets();
    // Never unsubscribed: there is one listener of each per host, and they live as long as the host.
    host.onApplied(() => {
      this.#readBudgets();
      for (const book of this.#books.values()) book.forgetRefusal();
    });
    host.onClose(() => this.#close());
  }

  /** No budget asks for money to be set aside. */
  get isIdle(): boolean {
    return this.#budgets.length === 0;
  }

  /** Messages get no answer. One alone may have met a connection that has died, or a server that was busy. */
  get isUnavailable(): boolean {
    return this.#failures >= FAILURES_TO_BELIEVE || this.#host.link === null;
  }

  /** A message has waited longer for its answer than the server lets it wait. */
  get isOverdue(): boolean {
    const { parkedMs } = this.#parked ?? { parkedMs: Number.POSITIVE_INFINITY };
    return this.isUnavailable || this.#nowMs() - parkedMs > MAX_LEASE_WAIT_SECONDS * 1_000 + OVERDUE_MS;
  }

  /** Asks the server again, unless that is about to happen. */
  ask(): void {
    this.#speakSoon();
  }

  /** The budgets that this call must have money of, in the order in which everybody takes it. */
  accountsOf(spender: Spender): Account[] {
    const accounts: Account[] = [];
    for (const budget of this.#budgets) {
      const subject = subjectOf(budget, spender, this.#host.models.nameOf);
      if (subject !== null)
        accounts.push({ budget, book: this.#book(budget.id, subject === "" ? undefined : subject) });
    }
    return accounts;
  }

  /** The clocks and timers of the way to the server. */
  get runtime(): Runtime {
    return this.#host.link?.runtime ?? systemRuntime;
  }

  #nowMs(): number {
    return this.runtime.monotonicMs();
  }

  #readBudgets(): void {
    const reserving = this.#host.budgets.filter(({ enforcement }) => enforcement === "reserve");
    // Everybody sets aside in one order, or two calls could wait for what the other has.
    this.#budgets = reserving.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  }

  #book(budgetId: string, subject: string | undefined): LeaseBook {
    const key = keyOf(budgetId, subject);
    const known = this.#books.get(key);
    if (known !== undefined) return known;
    if (this.#books.size >= MAX_BOOKS) this.#forgetEmpty();
    const made = new LeaseBook(
      { budgetId, subject },
      () => this.#nowMs(),
      () => this.#speakSoon(),
    );
    this.#books.set(key, made);
    return made;
  }

  #forgetEmpty(): void {
    for (const [key, book] of this.#books) if (book.isEmpty) this.#books.delete(key);
  }

  /** Says what there is to say at the end of this turn. */
  #speakSoon(): void {
    if (this.#willSpeak || this.#cancelRetry !== null) return;
    this.#willSpeak = true;
    queueMicrotask(() => {
      this.#willSpeak = false;
      const { link } = this.#host;
      if (link === null) this.#unavailable();
      else this.#speak(link);
    });
  }

  /** Waits are said in the parked message, which is cut short when it asks for too little; all else beside it. */
  #speak(link: ServerLink): void {
    this.#beat();
    if (this.#cancelRetry !== null) return;
    const isCovered = this.#isCovered();
    if (this.#parked !== null && !isCovered) this.#parked.stop.stop();
    if (this.#hasToHear && (this.#parked === null || !isCovered)) void this.#park(link);
    else if (this.#telling === null && this.#hasToSay) this.#tell(link);
  }

  /** Somebody waits, or might have to be told that others wait for what is idle here. */
  get #hasToHear(): boolean {
    for (const book of this.#books.values()) {
      if (book.isWaitedFor || (book.idleNanoUsd > 0 && !book.isScarce)) return true;
    }
    return false;
  }

  get #hasToSay(): boolean {
    if (this.#lost.length > 0) return true;
    for (const book of this.#books.values()) if (book.hasToSay) return true;
    return false;
  }

  /** The parked message asks for what each oldest waiter lacks. */
  #isCovered(): boolean {
    for (const [key, book] of this.#books) {
      const { want } = book;
      if (want !== null && (this.#parked?.wants.get(key) ?? -1) < (want.atLeastNanoUsd ?? 0)) return false;
    }
    return true;
  }

  async #park(link: ServerLink): Promise<void> {
    const leases = this.#states();
    const wants = this.#wants((book) => book.want);
    const asked = wants.map((want) => [keyOf(want.budgetId, want.subject), want.atLeastNanoUsd ?? 0] as const);
    const parked = { stop: new Stop(), parkedMs: this.#nowMs(), wants: new Map(asked) };
    this.#parked = parked;
    const message = { requestId: crypto.randomUUID(), instance: link.instance, wants, leases };
    const startedMs = this.#nowMs();
    // Who waits is told soon what others hold.
    const waitSeconds = wants.length > 0 ? 1 : MAX_LEASE_WAIT_SECONDS;
    const isAnswered = await this.#say(link, message, { waitSeconds, stop: parked.stop });
    const wasCut = this.#parked !== parked;
    if (!wasCut) this.#parked = null;
    // A server that parks nothing is asked again by the beat.
    const isSoon = this.#nowMs() - startedMs < RETRY_MS && wants.length === 0;
    if (isAnswered && !isSoon) this.#speakSoon();
  }

  #tell(link: ServerLink): void {
    this.#telling = this.#tellOnce(link);
  }

  async #tellOnce(link: ServerLink): Promise<void> {
    const leases = this.#states();
    const [lost] = this.#lost;
    const wants = lost?.wants ?? this.#wants((book) => book.wantAhead);
    const message = { requestId: lost?.requestId ?? crypto.randomUUID(), instance: link.instance, wants, leases };
    const isAnswered = await this.#say(link, message, { waitSeconds: 0 });
    this.#telling = null;
    if (isAnswered && this.#hasToSay) this.#speakSoon();
  }

  #states(): LeaseRequest["leases"] {
    const states: LeaseRequest["leases"] = [];
    for (const book of this.#books.values()) states.push(...book.states());
    states.length = Math.min(states.length, MAX_LEASES_PER_REQUEST);
    return states;
  }

  #wants(of: (book: LeaseBook) => LeaseWant | null): LeaseWant[] {
    const wants: LeaseWant[] = [];
    for (const book of this.#books.values()) {
      const want = wants.length < MAX_WANTS_PER_REQUEST ? of(book) : null;
      if (want !== null) wants.push(want);
    }
    return wants;
  }

  async #say(link: ServerLink, message: LeaseRequest, how: Exchange): Promise<boolean> {
    const sentMs = this.#nowMs();
    this.#toldMs = sentMs;
    const outcome = await exchange(link, message, how);
    if (outcome.kind === "answered") {
      this.#failures = 0;
      const at = this.#lost.findIndex(({ requestId }) => requestId === message.requestId);
      if (at >= 0) this.#lost.splice(at, 1);
      this.#take(message, outcome.answer, sentMs);
      return true;
    }
    this.#noteLost(message, sentMs);
    if (how.stop?.isStopped === true) return false;
    this.#failures += 1;
    const { cause, detail } = outcome;
    this.#host.logger[this.#failures === 1 ? "warn" : "debug"]({ cause, detail }, "Andon could not be asked for money");
    if (this.isUnavailable) this.#unavailable();
    this.#retryLater(link);
    return false;
  }

  /**
   * What was added to a lease that the message named is told in any answer. A lease of its own must be asked after; so must
   * what was added to a named one, when a later answer says that the server has ended that.
   */
  #noteLost({ requestId, wants, leases }: LeaseRequest, sentMs: number): void {
    if (wants.length === 0 || this.#lost.some((lost) => lost.requestId === requestId)) return;
    const said = new Set(leases.map(({ leaseId }) => leaseId));
    const leaseIds = wants.map(({ budgetId, subject }) => this.#books.get(keyOf(budgetId, subject))?.validId ?? "");
    const known = leaseIds.filter((id) => said.has(id));
    const list = known.length === wants.length ? this.#doubtful : this.#lost;
    if (list.length < MAX_LOST) list.push({ requestId, wants, sentMs, leaseIds: known });
  }

  #judgeDoubtful(sentMs: number): void {
    const answered = this.#doubtful.filter((lost) => lost.sentMs <= sentMs);
    if (answered.length === 0) return;
    this.#doubtful = this.#doubtful.filter((lost) => lost.sentMs > sentMs);
    const valid = new Set(Array.from(this.#books.values(), (book) => book.validId));
    this.#lost.push(...answered.filter(({ leaseIds }) => !leaseIds.every((id) => valid.has(id))));
  }

  #take(message: LeaseRequest, answer: LeaseAnswer, sentMs: number): void {
    const known = new Set(answer.leases.map(({ leaseId }) => leaseId));
    for (const { leaseId } of message.leases) {
      if (!known.has(leaseId)) for (const book of this.#books.values()) book.over(leaseId);
    }
    for (const granted of answer.leases) this.#book(granted.budgetId, granted.subject).granted(granted, sentMs);
    for (const budgetId of answer.scarce) {
      for (const book of this.#books.values()) if (book.budgetId === budgetId) book.scarce();
    }
    for (const denied of answer.denied) this.#books.get(keyOf(denied.budgetId, denied.subject))?.denied(denied);
    this.#judgeDoubtful(sentMs);
    for (const book of this.#books.values()) book.settled();
  }

  #unavailable(): void {
    for (const book of this.#books.values()) book.unavailable();
  }

  #retryLater(link: ServerLink): void {
    if (this.#cancelRetry !== null) return;
    const retry = (): void => {
      this.#cancelRetry = null;
      this.#tell(link);
    };
    const delayMs = Math.min(RETRY_MS * 2 ** (this.#failures - 1), MAX_RETRY_MS);
    this.#cancelRetry = link.runtime.startTimer(retry, delayMs, false);
  }

  /** Once a second while there is a lease: asks ahead, gives back what is not used, renews. */
  #beat(): void {
    const { link } = this.#host;
    if (this.#cancelBeat !== null || link === null) return;
    const beat = (): void => {
      this.#cancelBeat = null;
      this.#forgetEmpty();
      if (this.#books.size === 0) return;
      const isOld = this.#nowMs() - this.#toldMs >= (this.#hasToHear ? BEAT_MS : RENEW_MS);
      if (isOld && this.#parked === null && this.#telling === null && this.#cancelRetry === null) this.#tell(link);
      else this.#speakSoon();
      this.#beat();
    };
    this.#cancelBeat = link.runtime.startTimer(beat, BEAT_MS, false);
  }

  /** Gives back all that no call runs on, what is granted meanwhile too. A client that is used after it takes anew. */
  async #close(): Promise<void> {
    const { link } = this.#host;
    this.#cancelBeat?.();
    this.#cancelBeat = null;
    this.#parked?.stop.stop();
    if (link === null) return;
    await this.#answered(link);
    for (let left = CLOSING_MESSAGES; left > 0; left -= 1) {
      for (const book of this.#books.values()) book.giveBack();
      this.#forgetEmpty();
      const [lost] = this.#lost;
      if (this.#books.size === 0 && lost === undefined) return;
      const { requestId, wants } = lost ?? { requestId: crypto.randomUUID(), wants: [] };
      const message = { requestId, instance: link.instance, wants, leases: this.#states() };
      const isAnswered = await this.#say(link, message, { waitSeconds: 0, holdsProcess: true });
      if (!isAnswered || (!this.#isAnyIdle && this.#lost.length === 0)) return;
    }
  }

  /** The end of the message under way, which by itself keeps no process alive. */
  async #answered(link: ServerLink): Promise<void> {
    const letGo = link.runtime.startTimer(() => undefined, TELLING_MS, true);
    await this.#telling;
    letGo();
  }

  get #isAnyIdle(): boolean {
    for (const book of this.#books.values()) if (book.idleNanoUsd > 0) return true;
    return false;
  }
}

function keyOf(budgetId: string, subject: string | undefined): string {
  return subject === undefined ? budgetId : `${budgetId}\n${subject}`;
}

const byHost = new WeakMap<LeaseHost, Leases>();

/** The leases of a host, made on first use. */
export function leasesOf(host: LeaseHost): Leases {
  const known = byHost.get(host);
  if (known !== undefined) return known;
  const made = new Leases(host);
  byHost.set(host, made);
  return made;
}
