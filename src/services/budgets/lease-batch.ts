/**
 * One batch of one `reserve` budget at one server: what its clients say and ask for, in one transaction under the lock of
 * the budget's window. What is granted here fits under the limit, whatever other servers do at the same time.
 */
import { sql } from "drizzle-orm";
import type { DeniedBecause, GrantedLease, LeaseState } from "../../../sdk-client/src/wire/lease-protocol.ts";
import { LEASE_TTL_MS, WANT_LIFE_MS } from "../../../sdk-client/src/wire/lease-protocol.ts";
import type { Ctx } from "../../deps.ts";
import { leasesPayload, NOTIFY_CHANNEL } from "../../db/listen.ts";
import type { Db } from "../../db/types.ts";
import { type Budget, effectiveLimitNanoUsd } from "../../domain/budget.ts";
import {
  aheadNanoUsd,
  freeNanoUsd,
  heard,
  heldNanoUsd,
  idleNanoUsd,
  type Pot,
  restNanoUsd,
  SCARCE_MS,
  serve,
  type Want,
} from "../../domain/lease.ts";
import { type Window, windowAt } from "../../domain/window.ts";
import { budgetOf, readRaises } from "./rows.ts";
import {
  countHolders,
  dropWants,
  type LeaseRow,
  lockLeases,
  type LockedWindow,
  lockWindows,
  moveWindow,
  noteGranted,
  readBudgetRow,
  readWants,
  shareBudgets,
  type WantRow,
  type WindowMove,
  writeLeases,
  writeWants,
} from "./lease-rows.ts";

/** What one request says of one budget. */
export interface Message {
  requestId: string;
  instance: string;
  states: LeaseState[];
  want: Asked | null;
}

export interface Asked {
  nanoUsd: number;
  /** 0: ahead of any call. */
  atLeastNanoUsd: number;
  /** By this server's clock. */
  sinceMs: number;
  saidSinceMs: number;
  /** How long its request can wait; 0: it is answered at once. */
  waitMs: number;
}

/** A want that waits at this server. */
export interface ParkedWant {
  requestId: string;
  instance: string;
  want: Asked;
  /** The lease that it adds to; null: a new one. */
  leaseId: string | null;
  callNanoUsd: number;
}

export interface Batch {
  environmentId: string;
  budgetId: string;
  /** Names this server among those that have parked wants. */
  server: string;
  messages: readonly Message[];
  parked: readonly ParkedWant[];
  /** Requests whose wants are given up. */
  withdrawn: readonly string[];
  /** True once nobody hears the answer to this request any more. */
  isGone: (requestId: string) => boolean;
}

/** What is left of a budget, for those who are refused. */
export interface Facts {
  restNanoUsd: number;
  heldNanoUsd: number;
  holders: number;
  until: string;
}

export interface BatchAnswer {
  /** Null: the budget is gone, or does not work by leases any more. */
  facts: Facts | null;
  /** By request: the leases that it named and those that it was granted. */
  leases: Map<string, GrantedLease[]>;
  /** By request: why its want is refused for good. */
  refused: Map<string, DeniedBecause>;
  /** Wants that wait on, or would if their requests did. */
  waiting: Map<string, ParkedWant>;
  /** Requests whose leases have money that no call needs. */
  idle: Set<string>;
  /** True while clients are to give back what is idle. */
  scarce: boolean;
}

/** Of a budget that is gone. */
const NOBODY: BatchAnswer = {
  facts: null,
  leases: new Map(),
  refused: new Map(),
  waiting: new Map(),
  idle: new Set(),
  scarce: false,
};

export async function runBatch(ctx: Ctx, tx: Db, batch: Batch): Promise<BatchAnswer> {
  const { environmentId, budgetId, messages, parked } = batch;
  const [, row, raises] = await Promise.all([
    shareBudgets(tx, environmentId),
    readBudgetRow(tx, environmentId, budgetId),
    readRaises(tx, budgetId),
  ]);
  if (row === undefined) return NOBODY;
  const nowMs = ctx.deps.clock.nowMs();
  const budget = budgetOf(row, raises);
  const current = windowAt(budget.period, budget.timezone, nowMs);
  const leaseIds = [
    ...messages.flatMap(({ states }) => states.map(({ leaseId }) => leaseId)),
    ...parked.flatMap(({ leaseId }) => (leaseId === null ? [] : [leaseId])),
  ];
  const requestIds = messages.flatMap(({ requestId, want }) => (want === null ? [] : [requestId]));
  const windows = await lockWindows(tx, budgetId, current, leaseIds);
  const [held, holders, wants] = await Promise.all([
    lockLeases(tx, budgetId, { leaseIds, requestIds }),
    countHolders(tx, budgetId, new Date(current.startMs)),
    readWants(tx, budgetId, new Date(nowMs)),
  ]);
  const run = new Run({ ctx, batch, budget, current, windows, nowMs, rows: held.rows, holders, wants });
  for (const message of messages) run.hear(message, held.byRequest.get(message.requestId));
  run.serve();
  await run.write(tx);
  return run.answer();
}

function worksByLeases({ enforcement, paused }: Budget): boolean {
  return enforcement === "reserve" && !paused;
}

interface RunInput {
  ctx: Ctx;
  batch: Batch;
  budget: Budget;
  current: Window;
  windows: readonly LockedWindow[];
  nowMs: number;
  rows: readonly LeaseRow[];
  holders: { open: number; holding: number };
  wants: readonly WantRow[];
}

/** The state of a batch between its reads and its writes. */
class Run {
  readonly #in: RunInput;
  readonly #now: Date;
  readonly #window: LockedWindow;
  readonly #leases: Map<string, LeaseRow>;
  readonly #before: ReadonlyMap<string, LeaseRow>;
  readonly #changed = new Set<string>();
  readonly #wants: Map<string, WantRow>;
  readonly #dropped = new Set<string>();
  readonly #written = new Set<string>();
  /** The wants that this server may grant. */
  readonly #here = new Map<string, ParkedWant>();
  readonly #ahead: ParkedWant[] = [];
  readonly #granted: { requestId: string; leaseId: string }[] = [];
  readonly #answers = new Map<string, Set<string>>();
  readonly #refused = new Map<string, DeniedBecause>();
  readonly #idle = new Set<string>();
  /** How often wants were overtaken that are repeated by other requests, by instance and since when they wait. */
  readonly #inherited = new Map<string, number>();
  #grew = false;
  #waiting = false;
  #notify = false;

  constructor(input: RunInput) {
    this.#in = input;
    this.#now = new Date(input.nowMs);
    const window = input.windows.find(({ startsAt }) => startsAt.getTime() === input.current.startMs);
    if (window === undefined) throw new Error("the current window of a budget is made before it is looked at");
    this.#window = window;
    this.#before = new Map(input.rows.map((row) => [row.id, row]));
    this.#leases = new Map(input.rows.map((row) => [row.id, { ...row }]));
    this.#wants = new Map(input.wants.map((row) => [row.requestId, { ...row }]));
    for (const requestId of input.batch.withdrawn) if (this.#wants.delete(requestId)) this.#dropped.add(requestId);
    for (const one of input.batch.parked) {
      // A request that was sent again may wait at another server by now.
      const row = this.#wants.get(one.requestId);
      if (row === undefined || row.server === input.batch.server) this.#here.set(one.requestId, one);
    }
  }

  /** Takes in what a client says, and queues what it asks for unless that was granted before. */
  hear({ requestId, instance, states, want }: Message, grantedBefore: string | undefined): void {
    const answered = new Set<string>();
    this.#answers.set(requestId, answered);
    let own: LeaseRow | null = null;
    for (const said of states) {
      const lease = this.#leases.get(said.leaseId);
      if (lease === undefined || lease.state === "ended") continue;
      Object.assign(lease, heard(lease, said));
      if (lease.state === "open") lease.renewedAt = this.#now;
      this.#changed.add(lease.id);
      answered.add(lease.id);
      if (idleNanoUsd(lease) > 0) this.#idle.add(requestId);
      if (this.#isUsable(lease)) own = lease;
    }
    this.#leaveGaps(instance, want);
    if (want === null || !worksByLeases(this.#in.budget)) return;
    if (grantedBefore !== undefined) {
      answered.add(grantedBefore);
      return;
    }
    const parked: ParkedWant = {
      requestId,
      instance,
      want,
      leaseId: own?.id ?? null,
      callNanoUsd: want.atLeastNanoUsd + (own === null ? 0 : idleNanoUsd(own)),
    };
    if (want.atLeastNanoUsd === 0) {
      this.#ahead.push(parked);
      return;
    }
    this.#here.set(requestId, parked);
    this.#queue(parked);
  }

  /** A want that is repeated keeps its place; one that is not, of a client that speaks again, is given up. */
  #leaveGaps(instance: string, want: Asked | null): void {
    for (const row of this.#wants.values()) {
      if (row.instance !== instance || this.#placeOf(row) !== "gap") continue;
      const isRepeated = want !== null && want.saidSinceMs === row.saidSinceMs;
      if (isRepeated) this.#inherited.set(`${instance} ${row.saidSinceMs}`, row.overtaken);
      this.#wants.delete(row.requestId);
      this.#dropped.add(row.requestId);
    }
  }

  #queue({ requestId, instance, want }: ParkedWant): void {
    const { batch, nowMs } = this.#in;
    const overtaken =
      this.#wants.get(requestId)?.overtaken ?? this.#inherited.get(`${instance} ${want.saidSinceMs}`) ?? 0;
    this.#inherited.delete(`${instance} ${want.saidSinceMs}`);
    this.#dropped.delete(requestId);
    this.#wants.set(requestId, {
      budgetId: batch.budgetId,
      requestId,
      instance,
      server: batch.server,
      since: new Date(want.sinceMs),
      saidSinceMs: want.saidSinceMs,
      atLeastNanoUsd: want.atLeastNanoUsd,
      overtaken,
      waitsUntil: new Date(nowMs + want.waitMs),
      livesUntil: new Date(nowMs + WANT_LIFE_MS),
    });
    this.#written.add(requestId);
  }

  #placeOf(row: WantRow): Want["place"] {
    if (this.#here.has(row.requestId)) return "here";
    return row.server !== this.#in.batch.server && row.waitsUntil > this.#now ? "elsewhere" : "gap";
  }

  serve(): void {
    const { holders, batch } = this.#in;
    // Asked here and not before: the locks may have been waited for.
    for (const requestId of this.#here.keys()) if (batch.isGone(requestId)) this.#drop(requestId);
    const scarce = this.#isScarce();
    const strangers = [...this.#here.values(), ...this.#ahead].filter(({ leaseId }) => leaseId === null).length;
    const share = holders.open + strangers;
    const queue = [...this.#wants.values()].map((row): Want => {
      const here = this.#here.get(row.requestId);
      return {
        id: row.requestId,
        sinceMs: row.since.getTime(),
        atLeastNanoUsd: row.atLeastNanoUsd,
        overtaken: row.overtaken,
        place: this.#placeOf(row),
        nanoUsd: here?.want.nanoUsd ?? row.atLeastNanoUsd,
        callNanoUsd: here?.callNanoUsd ?? 0,
      };
    });
    const served = serve(this.#pot(), queue, { holders: share, scarce });
    for (const [requestId, nanoUsd] of served.granted) this.#grant(requestId, nanoUsd);
    for (const [requestId, because] of served.refused) {
      this.#refused.set(requestId, because);
      this.#drop(requestId);
    }
    for (const [requestId, overtaken] of served.overtaken) {
      const row = this.#wants.get(requestId);
      if (row === undefined) continue;
      row.overtaken = overtaken;
      this.#written.add(requestId);
    }
    this.#waiting = served.waiting;
    // Others hear of it when money is left for one of theirs, and when clients of theirs should give idle money back.
    this.#notify = served.elsewhere || (served.waiting && !scarce);
    if (scarce || served.waiting || served.elsewhere) return;
    for (const one of this.#ahead) {
      const nanoUsd = aheadNanoUsd(this.#pot(), one.want.nanoUsd, share);
      if (nanoUsd > 0) this.#grantTo(one, nanoUsd);
    }
  }

  #grant(requestId: string, nanoUsd: number): void {
    const one = this.#here.get(requestId);
    if (one === undefined) throw new Error("only what waits here is granted here");
    this.#grantTo(one, nanoUsd);
    this.#drop(requestId);
  }

  #grantTo({ requestId, instance, leaseId }: ParkedWant, nanoUsd: number): void {
    const { ctx, batch, current } = this.#in;
    const known = leaseId === null ? undefined : this.#leases.get(leaseId);
    const lease: LeaseRow =
      known !== undefined && this.#isUsable(known)
        ? known
        : {
            id: ctx.deps.newId(),
            environmentId: batch.environmentId,
            budgetId: batch.budgetId,
            windowStartsAt: new Date(current.startMs),
            windowEndsAt: new Date(current.endMs),
            instance,
            state: "open",
            recalled: false,
            grantedNanoUsd: 0,
            releasedNanoUsd: 0,
            settledNanoUsd: 0,
            spentNanoUsd: 0,
            inFlightNanoUsd: 0,
            grantedAt: this.#now,
            renewedAt: this.#now,
            endedAt: null,
          };
    lease.grantedNanoUsd += nanoUsd;
    lease.renewedAt = this.#now;
    this.#leases.set(lease.id, lease);
    this.#changed.add(lease.id);
    this.#granted.push({ requestId, leaseId: lease.id });
    const answered = this.#answers.get(requestId) ?? new Set();
    this.#answers.set(requestId, answered.add(lease.id));
    this.#grew = true;
  }

  #drop(requestId: string): void {
    this.#here.delete(requestId);
    this.#wants.delete(requestId);
    this.#written.delete(requestId);
    this.#dropped.add(requestId);
  }

  /** More can be granted on it, and calls started from it. */
  #isUsable(lease: LeaseRow): boolean {
    const { budget, current } = this.#in;
    return (
      worksByLeases(budget) &&
      lease.state === "open" &&
      !lease.recalled &&
      lease.windowStartsAt.getTime() === current.startMs
    );
  }

  #isScarce(): boolean {
    return this.#window.scarceUntil !== null && this.#window.scarceUntil > this.#now;
  }

  /** The current window with what was heard and granted so far. */
  #pot(): Pot {
    const { budget, nowMs } = this.#in;
    const moved = this.#moves().get(this.#window.startsAt.getTime());
    return {
      limitNanoUsd: effectiveLimitNanoUsd(budget, nowMs),
      spentNanoUsd: this.#window.spentNanoUsd,
      reservedNanoUsd: this.#window.reservedNanoUsd + (moved?.reservedNanoUsd ?? 0),
      indeterminateNanoUsd: this.#window.indeterminateNanoUsd + (moved?.indeterminateNanoUsd ?? 0),
    };
  }

  /** What each window holds more, or less, by its beginning. */
  #moves(): Map<number, WindowMove> {
    const moves = new Map<number, WindowMove>();
    for (const id of this.#changed) {
      const lease = this.#leases.get(id);
      if (lease === undefined) continue;
      const before = this.#before.get(id);
      const delta = heldNanoUsd(lease) - (before === undefined ? 0 : heldNanoUsd(before));
      if (delta === 0) continue;
      const startMs = lease.windowStartsAt.getTime();
      const move = moves.get(startMs) ?? {
        startsAt: lease.windowStartsAt,
        reservedNanoUsd: 0,
        indeterminateNanoUsd: 0,
      };
      if (lease.state === "indeterminate") move.indeterminateNanoUsd += delta;
      else move.reservedNanoUsd += delta;
      moves.set(startMs, move);
    }
    return moves;
  }

  async write(tx: Db): Promise<void> {
    const { batch, budget, current, nowMs } = this.#in;
    const moves = this.#moves();
    if (this.#waiting && !moves.has(current.startMs)) {
      moves.set(current.startMs, {
        startsAt: this.#window.startsAt,
        reservedNanoUsd: 0,
        indeterminateNanoUsd: 0,
      });
    }
    for (const [startMs, move] of [...moves].toSorted(([a], [b]) => a - b)) {
      const isCurrent = startMs === current.startMs;
      await moveWindow(tx, batch.budgetId, move, {
        ...(isCurrent && this.#grew && { limitNanoUsd: effectiveLimitNanoUsd(budget, nowMs) }),
        ...(isCurrent && this.#waiting && { scarceUntil: new Date(nowMs + SCARCE_MS) }),
      });
    }
    const changed = [...this.#changed].toSorted().flatMap((id) => this.#leases.get(id) ?? []);
    for (const lease of changed) {
      if (heldNanoUsd(lease) > 0 || this.#isUsable(lease)) continue;
      lease.state = "ended";
      lease.endedAt = this.#now;
    }
    await Promise.all([
      writeLeases(tx, changed),
      noteGranted(tx, batch.budgetId, this.#granted, this.#now),
      dropWants(tx, batch.budgetId, [...this.#dropped]),
      writeWants(
        tx,
        [...this.#written].toSorted().flatMap((requestId) => this.#wants.get(requestId) ?? []),
      ),
      this.#notify ? tx.execute(sql`select pg_notify(${NOTIFY_CHANNEL}, ${leasesPayload(batch.budgetId)})`) : undefined,
    ]);
  }

  answer(): BatchAnswer {
    const { budget, current, holders } = this.#in;
    const pot = this.#pot();
    return {
      facts: worksByLeases(budget)
        ? {
            restNanoUsd: Math.max(0, restNanoUsd(pot)),
            heldNanoUsd: Math.max(0, restNanoUsd(pot) - freeNanoUsd(pot)),
            holders: holders.holding,
            until: new Date(current.endMs).toISOString(),
          }
        : null,
      leases: new Map(
        [...this.#answers].map(([requestId, ids]) => [requestId, [...ids].flatMap((id) => this.#told(id))]),
      ),
      refused: this.#refused,
      waiting: this.#here,
      idle: this.#idle,
      // A limit that was lowered under what is held: idle money would be spent beyond it.
      scarce: this.#waiting || this.#isScarce() || freeNanoUsd(pot) < 0,
    };
  }

  #told(id: string): GrantedLease[] {
    const lease = this.#leases.get(id);
    if (lease === undefined || lease.state === "ended") return [];
    const { current, nowMs } = this.#in;
    const ttlMs = this.#isUsable(lease) ? Math.min(LEASE_TTL_MS, current.endMs - nowMs) : 0;
    return [{ leaseId: lease.id, budgetId: lease.budgetId, grantedNanoUsd: lease.grantedNanoUsd, ttlMs }];
  }
}
