/**
 * Where clients of one server ask for leases. For each budget one batch is in flight at a time, and whatever arrives
 * meanwhile goes into the next one. A want that waits is granted while its connection stands, and by this server alone.
 */
import type { Logger } from "pino";
import type { DeniedWant, GrantedLease, LeaseAnswer, LeaseState } from "../../../sdk-client/src/wire/lease-protocol.ts";
import type { Ctx, Deps, LeaseDesk, LeaseQuestion } from "../../deps.ts";
import { readFor, withTransaction } from "../../transaction.ts";
import { systemActor } from "../../domain/actor.ts";
import { MAX_RESERVE_WAIT_MS } from "../../domain/budget.ts";
import { AppError } from "../../errors.ts";
import type { PollConnection } from "../snapshots/poll-connection.ts";
import { type BatchAnswer, type Facts, type Message, type ParkedWant, runBatch } from "./lease-batch.ts";
import { readBudgetsOfLeases } from "./lease-rows.ts";

/** Requests that are being answered or wait; above it one is refused, and its client asks again. */
const MAX_REQUESTS = 20_000;
/** Of one transaction. */
const MAX_MESSAGES_PER_BATCH = 500;
const MAX_LEASES_PER_BATCH = 2_000;
/** While somebody waits, the budget is looked at again this often: a raise, a new window or a lost NOTIFY is seen then. */
const LOOK_AGAIN_MS = 250;
/** Clients with idle money are called back at most this often. */
const CALL_BACK_MS = 500;
/** Leases whose budgets are remembered; past it they are looked up again. */
const MAX_REMEMBERED = 50_000;
const RETRY_AFTER_SECONDS = 1;

/** One request, whatever number of budgets it is about. */
interface Request {
  requestId: string;
  /** Parts that are not answered yet. */
  open: Set<Desk>;
  leases: Map<string, GrantedLease>;
  denied: DeniedWant[];
  scarce: Set<string>;
  /** True while it may wait: its time is not over, and it wants something or has idle money. */
  mayWait: boolean;
  connection: PollConnection;
  resolve: (answer: LeaseAnswer) => void;
  reject: (error: unknown) => void;
}

/** One budget at this server. */
interface Desk {
  environmentId: string;
  budgetId: string;
  messages: { message: Message; request: Request }[];
  /** Wants that wait, by request. */
  parked: Map<string, { want: ParkedWant; request: Request }>;
  /** Requests without a want here, and whether they have idle money: they wait to be called back. */
  idle: Map<Request, boolean>;
  withdrawn: Set<string>;
  facts: Facts | null;
  running: boolean;
  /** Asked for another look while one was under way. */
  again: boolean;
  timer: { cancel(): void } | null;
  calledBackMs: number;
}

export class DatabaseLeaseDesk implements LeaseDesk {
  readonly #desks = new Map<string, Desk>();
  /** The budget of each lease that was asked about lately, by environment and id. */
  readonly #budgets = new Map<string, string>();
  readonly #server: string;
  readonly #log: Logger;
  #ctx: Ctx | null = null;
  #requests = 0;
  #closed = false;
  /** Batches under way. */
  readonly #working = new Set<Promise<void>>();

  /** @param server names this server among others, and no other */
  constructor({ server, log }: { server: string; log: Logger }) {
    this.#server = server;
    this.#log = log;
  }

  /** Called once by the boot, which builds this before the rest of `deps`. */
  start(deps: Deps): void {
    this.#ctx = { actor: systemActor("budget", "budget"), requestId: "leases", deps };
  }

  get waiting(): number {
    let waiting = 0;
    for (const { parked } of this.#desks.values()) waiting += parked.size;
    return waiting;
  }

  async ask(environmentId: string, question: LeaseQuestion): Promise<LeaseAnswer> {
    if (this.#closed || this.#requests >= MAX_REQUESTS) {
      throw new AppError("NOT_READY", "This server takes no more requests now. Send it again with its requestId.", {
        retryAfterSeconds: RETRY_AFTER_SECONDS,
      });
    }
    this.#requests += 1;
    try {
      const budgetOf = await this.#budgetsOf(environmentId, question.request.leases);
      return await this.#answer(environmentId, question, budgetOf);
    } finally {
      this.#requests -= 1;
    }
  }

  /** Puts the parts of a request before their desks; resolves when all are decided, or the wait is over. */
  #answer(
    environmentId: string,
    { request: asked, sentAtMs, waitMs, connection }: LeaseQuestion,
    budgetOf: ReadonlyMap<string, string>,
  ): Promise<LeaseAnswer> {
    const { clock } = this.#context().deps;
    const { requestId, instance } = asked;
    const parts = new Map<string, Message>();
    const partOf = (budgetId: string): Message => {
      const part = parts.get(budgetId) ?? { requestId, instance, states: [], want: null };
      parts.set(budgetId, part);
      return part;
    };
    for (const state of asked.leases) {
      const budgetId = budgetOf.get(state.leaseId);
      if (budgetId !== undefined) partOf(budgetId).states.push(state);
    }
    const nowMs = clock.nowMs();
    for (const { budgetId, nanoUsd, atLeastNanoUsd = nanoUsd, sinceMs: saidSinceMs } of asked.wants) {
      // By the client's own clock as far as that is known: how long it waits does not depend on whose clock is right.
      const waitedMs = Math.min(Math.max(0, (sentAtMs ?? nowMs) - saidSinceMs), MAX_RESERVE_WAIT_MS);
      partOf(budgetId).want = { nanoUsd, atLeastNanoUsd, sinceMs: nowMs - waitedMs, saidSinceMs, waitMs };
    }
    if (parts.size === 0) return Promise.resolve({ leases: [], denied: [], scarce: [] });
    return new Promise((resolve, reject) => {
      let timer: { cancel(): void } | null = null;
      const over = () => {
        timer?.cancel();
        if (connection.leave === leave) connection.leave = null;
      };
      const request: Request = {
        requestId,
        open: new Set(),
        leases: new Map(),
        denied: [],
        scarce: new Set(),
        mayWait: waitMs > 0,
        connection,
        resolve: (answer) => {
          over();
          resolve(answer);
        },
        reject: (error) => {
          over();
          reject(error);
        },
      };
      const leave = (gone: boolean) => {
        request.mayWait = false;
        this.#giveUp(request, gone);
      };
      if (waitMs > 0) {
        connection.leave?.(false);
        connection.leave = leave;
        timer = clock.schedule(waitMs, () => leave(false));
        request.mayWait = !connection.gone;
      }
      for (const [budgetId, message] of parts) {
        const desk = this.#deskOf(environmentId, budgetId);
        request.open.add(desk);
        desk.messages.push({ message, request });
      }
      for (const desk of request.open) this.#run(desk);
    });
  }

  /** The budgets of these leases, without those that are gone. */
  async #budgetsOf(environmentId: string, states: readonly LeaseState[]): Promise<Map<string, string>> {
    const known = new Map<string, string>();
    const unknown: string[] = [];
    for (const { leaseId } of states) {
      const budgetId = this.#budgets.get(`${environmentId} ${leaseId}`);
      if (budgetId === undefined) unknown.push(leaseId);
      else known.set(leaseId, budgetId);
    }
    if (unknown.length === 0) return known;
    const ctx = this.#context();
    const rows = await readFor(ctx, "operator", (db) => readBudgetsOfLeases(db, environmentId, unknown));
    if (this.#budgets.size > MAX_REMEMBERED) this.#budgets.clear();
    for (const { id, budgetId } of rows) {
      this.#budgets.set(`${environmentId} ${id}`, budgetId);
      known.set(id, budgetId);
    }
    return known;
  }

  wake(budgetId: string): void {
    const desk = this.#desks.get(budgetId);
    if (desk !== undefined) this.#run(desk);
  }

  /** Answers everybody who waits, and lets nobody wait any more. */
  drain(): void {
    this.#closed = true;
    for (const desk of this.#desks.values()) {
      for (const { request } of desk.parked.values()) this.#letGo(request);
      for (const request of desk.idle.keys()) this.#letGo(request);
    }
  }

  /** Resolves when no batch is under way any more. */
  async close(): Promise<void> {
    this.drain();
    while (this.#working.size > 0) await Promise.all(this.#working);
  }

  #letGo(request: Request): void {
    request.mayWait = false;
    this.#giveUp(request, false);
  }

  #context(): Ctx {
    if (this.#ctx === null) throw new AppError("NOT_READY", "The server is starting.", { retryAfterSeconds: 1 });
    return this.#ctx;
  }

  #deskOf(environmentId: string, budgetId: string): Desk {
    let desk = this.#desks.get(budgetId);
    if (desk === undefined) {
      desk = {
        environmentId,
        budgetId,
        messages: [],
        parked: new Map(),
        idle: new Map(),
        withdrawn: new Set(),
        facts: null,
        running: false,
        again: false,
        timer: null,
        calledBackMs: Number.NEGATIVE_INFINITY,
      };
      this.#desks.set(budgetId, desk);
    }
    return desk;
  }

  /** The time of a request is over, or nobody hears its answer: what it still waits for is refused as held. */
  #giveUp(request: Request, gone: boolean): void {
    for (const desk of request.open) {
      const parked = desk.parked.get(request.requestId);
      if (parked?.request === request) {
        // What is under way may grant it: it is not told that it is held while it has been granted.
        if (desk.running && !gone) continue;
        desk.parked.delete(request.requestId);
        request.denied.push(held(desk));
        if (gone) {
          desk.withdrawn.add(request.requestId);
          this.#run(desk);
        }
      } else if (!desk.idle.delete(request)) continue;
      request.open.delete(desk);
    }
    this.#finish(request);
  }

  /** Answers a request that waits for nothing any more. */
  #finish(request: Request): void {
    if (request.open.size > 0) return;
    request.resolve({
      leases: [...request.leases.values()],
      denied: request.denied,
      scarce: [...request.scarce].toSorted(),
    });
  }

  #run(desk: Desk): void {
    desk.timer?.cancel();
    desk.timer = null;
    if (desk.running) {
      desk.again = true;
      return;
    }
    desk.running = true;
    const working = this.#batches(desk).finally(() => this.#working.delete(working));
    this.#working.add(working);
  }

  async #batches(desk: Desk): Promise<void> {
    do {
      desk.again = false;
      await this.#batch(desk);
    } while (desk.again || desk.messages.length > 0);
    desk.running = false;
    const waits = desk.parked.size > 0;
    if (waits) desk.timer = this.#context().deps.clock.schedule(LOOK_AGAIN_MS, () => this.#run(desk));
    else if (desk.idle.size === 0 && desk.withdrawn.size === 0) this.#desks.delete(desk.budgetId);
  }

  async #batch(desk: Desk): Promise<void> {
    const taken = takeMessages(desk);
    const withdrawn = [...desk.withdrawn];
    const parked = [...desk.parked.values()];
    const requests = new Map([...parked, ...taken].map(({ request }) => [request.requestId, request]));
    const ctx = this.#context();
    try {
      const answer = await withTransaction(ctx, (tx) =>
        runBatch(ctx, tx, {
          environmentId: desk.environmentId,
          budgetId: desk.budgetId,
          server: this.#server,
          messages: taken.map(({ message }) => message),
          parked: parked.map(({ want }) => want),
          withdrawn,
          isGone: (requestId) => requests.get(requestId)?.connection.gone === true,
        }),
      );
      for (const requestId of withdrawn) desk.withdrawn.delete(requestId);
      desk.facts = answer.facts;
      this.#tell(desk, answer, taken);
    } catch (error) {
      // Nothing of it was kept: clients repeat it all.
      for (const { request } of taken) this.#fail(request, error);
      if (taken.length === 0) this.#log.warn({ err: error, budgetId: desk.budgetId }, "a look at who waits failed");
      this.#endWaits(desk);
    }
  }

  #fail(request: Request, error: unknown): void {
    for (const desk of request.open) {
      if (desk.parked.get(request.requestId)?.request === request) desk.parked.delete(request.requestId);
      desk.idle.delete(request);
    }
    if (request.open.size === 0) return;
    request.open.clear();
    request.reject(error);
  }

  /** Tells everybody what a batch has brought, and parks who waits on. */
  #tell(desk: Desk, answer: BatchAnswer, taken: readonly { message: Message; request: Request }[]): void {
    for (const [requestId, { request }] of desk.parked) {
      const isDecided = answer.leases.has(requestId) || answer.refused.has(requestId) || answer.facts === null;
      if (!isDecided) continue;
      desk.parked.delete(requestId);
      this.#decide(desk, request, answer);
    }
    for (const { message, request } of taken) {
      if (!request.open.has(desk)) continue;
      const want = answer.waiting.get(message.requestId);
      if (want === undefined) {
        if (message.want === null && this.#parksIdle(desk, request, answer)) continue;
        this.#decide(desk, request, answer);
        continue;
      }
      this.#addLeases(request, answer);
      if (request.mayWait && !this.#closed) {
        // The same request, sent again: who waited for it before hears nothing more.
        const former = desk.parked.get(message.requestId);
        desk.parked.set(message.requestId, { want, request });
        if (former !== undefined && former.request !== request) this.#superseded(former.request, desk);
        continue;
      }
      request.denied.push(held(desk));
      request.open.delete(desk);
      this.#finish(request);
    }
    this.#endWaits(desk);
    if (answer.scarce) this.#callBack(desk, answer);
  }

  /** Those whose time was over while a batch was under way, which has not granted them anything. */
  #endWaits(desk: Desk): void {
    for (const [requestId, { request }] of desk.parked) {
      if (request.mayWait) continue;
      desk.parked.delete(requestId);
      request.denied.push(held(desk));
      request.open.delete(desk);
      this.#finish(request);
    }
  }

  #superseded(request: Request, desk: Desk): void {
    request.denied.push(held(desk));
    request.open.delete(desk);
    this.#letGo(request);
  }

  /** A client with idle money and nothing to ask for waits to be called back. */
  #parksIdle(desk: Desk, request: Request, answer: BatchAnswer): boolean {
    if (!request.mayWait || this.#closed || answer.facts === null) return false;
    const isIdle = answer.idle.has(request.requestId);
    if (answer.scarce && isIdle) return false;
    this.#addLeases(request, answer);
    desk.idle.set(request, isIdle);
    return true;
  }

  #addLeases(request: Request, answer: BatchAnswer): void {
    for (const lease of answer.leases.get(request.requestId) ?? []) request.leases.set(lease.leaseId, lease);
  }

  #decide(desk: Desk, request: Request, answer: BatchAnswer): void {
    this.#addLeases(request, answer);
    const because = answer.refused.get(request.requestId);
    if (because !== undefined && desk.facts !== null) request.denied.push({ ...denied(desk, desk.facts), because });
    if (answer.scarce) request.scarce.add(desk.budgetId);
    request.open.delete(desk);
    // One refusal is enough: the call is not sent, and what else was wanted for it is free for others.
    if (because !== undefined) this.#letGo(request);
    else if (this.#onlyIdle(request)) this.#letGo(request);
    else this.#finish(request);
  }

  /** Nothing that it asked for is open any more: what it waits for is to be called back, and it has news. */
  #onlyIdle(request: Request): boolean {
    return request.open.size > 0 && [...request.open].every((desk) => desk.idle.has(request));
  }

  #callBack(desk: Desk, answer: BatchAnswer): void {
    const nowMs = this.#context().deps.clock.monotonicMs();
    if (desk.idle.size === 0 || nowMs - desk.calledBackMs < CALL_BACK_MS) return;
    desk.calledBackMs = nowMs;
    for (const [request, isIdle] of desk.idle) {
      if (!isIdle) continue;
      desk.idle.delete(request);
      this.#decide(desk, request, answer);
    }
  }
}

function takeMessages(desk: Desk): Desk["messages"] {
  let leases = 0;
  let count = 0;
  for (const { message } of desk.messages) {
    leases += message.states.length;
    if (count > 0 && (leases > MAX_LEASES_PER_BATCH || count >= MAX_MESSAGES_PER_BATCH)) break;
    count += 1;
  }
  return desk.messages.splice(0, count);
}

function denied(desk: Desk, facts: Facts): Omit<DeniedWant, "because"> {
  return { budgetId: desk.budgetId, ...facts };
}

const NOTHING_KNOWN: Omit<Facts, "until"> = { restNanoUsd: 0, heldNanoUsd: 0, holders: 0 };

function held(desk: Desk): DeniedWant {
  return { budgetId: desk.budgetId, because: "held", ...(desk.facts ?? NOTHING_KNOWN) };
}
