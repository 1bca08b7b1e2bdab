/**
 * The ledger: usage batches priced, added to the minute sums and to every budget window they belong to, and acted on by
 * the ladders, in one transaction; acknowledged after its commit. What arrives while a transaction is in flight goes
 * into the next one.
 */
import { eq, sql } from "drizzle-orm";
import type { Counted, Deps, Ledger, Submission, Ctx } from "../../deps.ts";
import { modelNames, type NameOf, realModels } from "../../../sdk-client/src/evaluate/model-names.ts";
import type { PriceTable } from "../../../sdk-client/src/pricing/price-table.ts";
import { priceUsage } from "../../../sdk-client/src/pricing/price.ts";
import { MAX_VERDICTS_PER_ANSWER } from "../../../sdk-client/src/wire/verdict-protocol.ts";
import type { UsageRecord } from "../../../sdk-client/src/wire/usage-protocol.ts";
import { afterCommit, changeIn, lockEnvironment } from "../../change.ts";
import { tryTransaction } from "../../transaction.ts";
import { returnedRows } from "../../db/returned-rows.ts";
import { environments } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";
import { systemActor } from "../../domain/actor.ts";
import { type Budget, NANO_PER_USD, subjectOf } from "../../domain/budget.ts";
import { CallKeys, tallyCalls } from "../../domain/calls.ts";
import { tallyFleet } from "../../domain/fleet-calls.ts";
import { MAX_EARLY_MS, MAX_LATE_MS, type MinuteSums, type PricedRecord, tally } from "../../domain/ledger.ts";
import { runtimeNanoUsd } from "../../domain/agent-runtime.ts";
import { isEstimate } from "../../domain/message-batch.ts";
import { windowAt } from "../../domain/window.ts";
import { AppError } from "../../errors.ts";
import { addCalls, readApplied } from "./calls-by-revision.ts";
import { inLeaseWindows, leaseUses, readNamedLeases, settleLeases } from "../budgets/lease-settle.ts";
import { readBudgets } from "../budgets/rows.ts";
import { CreditMemory, tell } from "../budgets/told.ts";
import { countBatches } from "../batches/counting.ts";
import { orderCancels } from "../batches/orders.ts";
import { runLadder, wouldChange } from "../trips/ladder-run.ts";
import { addEvaluations } from "../flags/evaluations.ts";
import {
  addMinutes,
  amendBatch,
  type BatchRow,
  addRecent,
  addToWindows,
  claimBatches,
  readBatches,
  type WindowRow,
  type WindowSum,
  withoutCounted,
} from "./ledger-writes.ts";
import { addFleetCalls } from "../models/fleet-calls.ts";
import { readPrices } from "../models/price-rows.ts";
import { noteUnknownFlags } from "../flags/unknown-flags.ts";
import { UsageNames } from "./names.ts";
import { rolledSpan, takeBackDays } from "./rollups.ts";
import { stageSums } from "./staged-sums.ts";
import { UsageQueue, type Waiting } from "./queue.ts";
import { verdictOf } from "../verdicts/log.ts";
import { SubjectRoom } from "../verdicts/room.ts";
import { countSubjects } from "../verdicts/subjects.ts";

/** One call costs no more; a sum of calls, no more a call. */
const MAX_CALL_NANO_USD = 1_000 * NANO_PER_USD;
const TOO_DEAR = `costs more than ${MAX_CALL_NANO_USD / NANO_PER_USD} USD a call`;
const RETRY_AFTER_SECONDS = 1;
/** A transaction that lost a deadlock or a serialization race is tried again. */
const MAX_TRIES = 5;

interface Queue {
  /** Which calls have had rows of their own lately. */
  calls: CallKeys;
  names: UsageNames;
  room: SubjectRoom;
  credits: CreditMemory;
  waiting: UsageQueue;
  /** Resolves when nothing is waiting any more; null while nothing is being counted. */
  draining: Promise<void> | null;
}

export class DatabaseLedger implements Ledger {
  readonly #queues = new Map<string, Queue>();
  #ctx: Ctx | null = null;
  #closed = false;

  /** Called once by the boot, which builds this before the rest of `deps`. */
  start(deps: Deps): void {
    this.#ctx = { actor: systemActor("budget", "budget"), requestId: "ledger", deps };
  }

  /** Counts a batch. Resolves after commit; RATE_LIMITED when too much of its token is waiting; DATABASE_AWAY when nothing was counted. */
  submit(environmentId: string, submission: Submission): Promise<Counted> {
    if (this.#closed) {
      throw new AppError("NOT_READY", "This server is stopping. Send this batch again with the same batchId.", {
        retryAfterSeconds: RETRY_AFTER_SECONDS,
      });
    }
    const queue = this.#queueOf(environmentId);
    return new Promise<Counted>((resolve, reject) => {
      if (queue.waiting.add({ submission, resolve, reject })) {
        queue.draining ??= this.#drain(environmentId, queue);
      } else {
        const words =
          "Too much usage of this token is waiting to be counted. Send this batch again, alone or with more.";
        reject(new AppError("RATE_LIMITED", words, { retryAfterSeconds: RETRY_AFTER_SECONDS }));
      }
    });
  }

  /** Counts what is waiting and takes no more. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#queues.values()].map((queue) => queue.draining ?? Promise.resolve()));
  }

  #queueOf(environmentId: string): Queue {
    let queue = this.#queues.get(environmentId);
    if (queue === undefined) {
      queue = {
        calls: new CallKeys(),
        names: new UsageNames(),
        room: new SubjectRoom(),
        credits: new CreditMemory(),
        waiting: new UsageQueue(),
        draining: null,
      };
      this.#queues.set(environmentId, queue);
    }
    return queue;
  }

  async #drain(environmentId: string, queue: Queue): Promise<void> {
    while (!queue.waiting.isEmpty) {
      const taken = queue.waiting.take();
      await this.#settle(environmentId, queue, taken);
      for (const waiting of taken) queue.waiting.done(waiting);
    }
    queue.draining = null;
  }

  /**
   * Counts these together, or, what the database refuses together, in halves: no batch fails for what another holds.
   * Never rejects.
   */
  async #settle(environmentId: string, queue: Queue, taken: readonly Waiting[]): Promise<void> {
    try {
      const counted = await this.#count(
        environmentId,
        taken.map(({ submission }) => submission),
        queue,
      );
      for (const [index, answer] of counted.entries()) taken[index]?.resolve(answer);
    } catch (error) {
      // The clients keep their batches and send them again: nothing of this transaction was counted.
      if (error instanceof AppError || taken.length === 1) {
        for (const { reject } of taken) reject(refusalOf(error));
        return;
      }
      const half = Math.ceil(taken.length / 2);
      await this.#settle(environmentId, queue, taken.slice(0, half));
      await this.#settle(environmentId, queue, taken.slice(half));
    }
  }

  async #count(environmentId: string, submissions: readonly Submission[], queue: Queue): Promise<Counted[]> {
    const ctx = this.#ctx;
    if (ctx === null) throw new AppError("NOT_READY", "The server is starting.");
    for (let attempt = 1, locks = false; ; attempt += 1) {
      try {
        const done = await tryTransaction(ctx, (tx) => count(ctx, tx, environmentId, { submissions, queue, locks }));
        if (done?.acted === true) await afterCommit(ctx, () => ctx.deps.snapshots.refresh(environmentId));
        if (done?.told === true) await afterCommit(ctx, () => ctx.deps.verdicts.refresh(environmentId));
        if (done !== null) return done.counted;
        locks = true;
      } catch (error) {
        if (attempt >= MAX_TRIES || !lostRace(error)) throw error;
      }
    }
  }
}

/**
 * Counts them. Null when a ladder would act and somebody else has the environment's lock, which is taken before all others:
 * nothing of it is to be kept, and it is done again with `locks`.
 */
async function count(
  ctx: Ctx,
  tx: Db,
  environmentId: string,
  input: { submissions: readonly Submission[]; queue: Queue; locks: boolean },
): Promise<{ counted: Counted[]; acted: boolean; told: boolean } | null> {
  const { deps } = ctx;
  const { submissions, queue, locks } = input;
  if (locks) await lockEnvironment(tx, environmentId);
  const nowMs = deps.clock.nowMs();
  const distinct = firstOfEach(submissions);
  const batches = distinct.map(({ batchId, records, rejected }) => ({ batchId, accepted: records.length, rejected }));
  // Sent together: the connection runs them in this order, and the round trips are saved.
  const [, claimed, table, budgets, applied, rolled, revision] = await Promise.all([
    // A budget that is being made or edited sums up the ledger under the exclusive side of this lock. A trip takes it as
    // well: it bounds what runs by all that was told before, and whoever tells later is answered with its revision.
    locks ? lockSums(tx, environmentId) : shareSums(tx, environmentId),
    claimBatches(tx, environmentId, batches, new Date(nowMs)),
    readPrices(tx),
    readBudgets(tx, environmentId),
    readApplied(tx, environmentId, distinct),
    rolledSpan(tx, environmentId),
    // No trip is committed from here on until this is.
    revisionNow(tx, environmentId),
  ]);
  const fresh = distinct.filter(({ batchId }) => claimed.has(batchId));
  const served = deps.snapshots.current(environmentId);
  const { records: affordable, amended } = await priceAll(tx, environmentId, {
    fresh,
    table,
    nowMs,
    modelOf: realModels(served?.snapshot.aliases),
  });
  const uncounted = await withoutCounted(tx, environmentId, affordable, new Date(nowMs));
  const named = await queue.names.fold(tx, environmentId, uncounted, {
    nowMs,
    table,
    budgets,
    snapshot: served?.snapshot,
  });
  const records = await countBatches(tx, environmentId, { records: named, submissions: fresh, nowMs });
  const calls = records.filter(({ record }) => !isEstimate(record));
  const sums = tally(records);
  // A result that somebody else has read counts no more, but what its batch set aside for it is free.
  const uses = leaseUses(affordable);
  const leases = await readNamedLeases(tx, environmentId, new Map([...leaseUses(records), ...uses]));
  const nameOf = modelNames(served?.snapshot.aliases);
  const lineage = served?.lineage ?? "";
  const isFlag = (key: string): boolean => served !== undefined && Object.hasOwn(served.snapshot.flags, key);
  const callSums = tallyCalls(calls, {
    nowMs,
    lineage,
    isFlag,
    applied,
    keys: queue.calls,
  });
  const [, , , windows] = await Promise.all([
    addMinutes(tx, environmentId, sums),
    addRecent(tx, environmentId, calls),
    stageSums(tx, environmentId, records),
    addToWindows(tx, inLeaseWindows(windowSums(budgets, sums, nameOf), records, { named: leases, budgets, nameOf })),
    addEvaluations(tx, environmentId, fresh, new Date(nowMs)),
    noteUnknownFlags(tx, environmentId, fresh, isFlag, new Date(nowMs)),
    addCalls(tx, environmentId, callSums),
    addFleetCalls(tx, environmentId, tallyFleet(calls, { nowMs, lineage, applied, nameOf })),
    takeBackDays(tx, environmentId, rolled, sums),
  ]);
  // After the windows: their rows are locked before those of leases, here as everywhere.
  await settleLeases(tx, environmentId, uses);
  const creditsOf = await tell(tx, environmentId, {
    submissions: fresh,
    budgets,
    windows,
    memory: queue.credits,
    nowMs,
  });
  const due = dueLadders(budgets, windows, nowMs);
  const acted = due.length > 0;
  if (acted && !locks && !(await tryLocks(tx, environmentId))) return null;
  if (acted) {
    await changeIn(ctx, tx, environmentId, async (open) => {
      for (const { budget, row } of due) await runLadder(ctx, open, budget, row);
    });
  }
  const { appended, standing } = await countSubjects(tx, environmentId, {
    records,
    budgets,
    nameOf,
    nowMs,
    room: queue.room,
    isLogged: (budgetId, subject) => deps.verdicts.has(environmentId, budgetId, subject),
  });
  const ordersOf = await orderCancels(tx, environmentId, fresh, nowMs);
  const n = acted ? await revisionNow(tx, environmentId) : revision;
  const own = await answers(tx, environmentId, submissions, { claimed, amended });
  const counted = own.map((answer, index): Counted => {
    const submission = submissions[index];
    if (submission === undefined || answer.duplicate) return { ...answer, n };
    const credits = creditsOf(submission);
    const cancelBatches = ordersOf.get(submission.batchId);
    return { ...answer, n, ...(credits && { credits }), ...(cancelBatches && { cancelBatches }) };
  });
  const told = appended.length > 0;
  if (!told && standing.length === 0) return { counted, acted, told };
  const end = deps.verdicts.end(environmentId);
  const verdicts = [...appended, ...standing.map((one) => ({ ...one, n: end.n }))]
    .slice(0, MAX_VERDICTS_PER_ANSWER)
    .map(verdictOf);
  return { counted: counted.map((one) => (one.duplicate ? one : { ...one, verdicts })), acted, told };
}

async function revisionNow(tx: Db, environmentId: string): Promise<number> {
  const [row] = await tx
    .select({ n: environments.revision })
    .from(environments)
    .where(eq(environments.id, environmentId));
  return row?.n ?? 0;
}

const sumsKey = (environmentId: string) => sql`hashtextextended(${`budgets:${environmentId}`}, 0)`;
const shareSums = (tx: Db, environmentId: string) =>
  tx.execute(sql`select pg_advisory_xact_lock_shared(${sumsKey(environmentId)})`);
const lockSums = (tx: Db, environmentId: string) =>
  tx.execute(sql`select pg_advisory_xact_lock(${sumsKey(environmentId)})`);

/**
 * Takes the locks of a trip where nobody has them: this transaction need not be done again, and it is by as much sooner that
 * the flag is off. Without waiting, as it holds rows that whoever has them may wait for.
 */
async function tryLocks(tx: Db, environmentId: string): Promise<boolean> {
  const locked = await tx.execute(sql`
    select pg_try_advisory_xact_lock(${sumsKey(environmentId)}) as is_ours from environments
    where id = ${environmentId} for no key update skip locked`);
  return returnedRows(locked)[0]?.["is_ours"] === true;
}

/** The windows in which a look at the ladder would change something. */
function dueLadders(budgets: readonly Budget[], windows: readonly WindowRow[], nowMs: number) {
  const byId = new Map(budgets.map((budget) => [budget.id, budget]));
  return windows.flatMap((row) => {
    const budget = byId.get(row.budgetId);
    return budget !== undefined && wouldChange(budget, row, nowMs) ? [{ budget, row }] : [];
  });
}

/** The records of these batches with what they cost; one that costs more than a call can is rejected after all. */
async function priceAll(
  tx: Db,
  environmentId: string,
  {
    fresh,
    table,
    nowMs,
    modelOf,
  }: { fresh: readonly Submission[]; table: PriceTable; nowMs: number; modelOf: (name: string) => string },
): Promise<{ records: PricedRecord[]; amended: Map<string, BatchRow> }> {
  const records: PricedRecord[] = [];
  const amended = new Map<string, BatchRow>();
  for (const batch of fresh) {
    const rejected = [...batch.rejected];
    for (const [position, record] of batch.records.entries()) {
      // Prices, budgets and sums know a mapped name as the model behind it; `requestedModel` stays as it was sent.
      const one = priced(table, { ...record, model: modelOf(record.model) }, batch, nowMs);
      if (one.costNanoUsd <= MAX_CALL_NANO_USD * (record.count ?? 1)) records.push(one);
      else rejected.push({ index: batch.indexes?.[position] ?? position, path: "usage", message: TOO_DEAR });
    }
    const accepted = batch.records.length + batch.rejected.length - rejected.length;
    if (accepted < batch.records.length) amended.set(batch.batchId, { batchId: batch.batchId, accepted, rejected });
  }
  for (const batch of amended.values()) await amendBatch(tx, environmentId, batch);
  return { records, amended };
}

function priced(table: PriceTable, record: UsageRecord, batch: Submission, nowMs: number): PricedRecord {
  // A clock that is further off counts as of its receipt.
  const atMs = record.at > nowMs + MAX_EARLY_MS || record.at < nowMs - MAX_LATE_MS ? nowMs : record.at;
  const { costNanoUsd, known } = priceUsage(table, {
    model: record.model,
    atMs,
    usage: record.usage,
    batch: record.batch === true,
    fast: record.fast === true,
    geo: record.geo ?? null,
    ...(record.promptTokens !== undefined && { promptTokens: record.promptTokens }),
  });
  const nanoUsd = costNanoUsd + runtimeNanoUsd(record.runtimeMs ?? 0);
  return { record, instance: batch.instance, tokenId: batch.tokenId, atMs, costNanoUsd: nanoUsd, priced: known };
}

/**
 * What the sums add to each window of each budget. Windows begin and end with a whole minute in every zone, so that a
 * minute's sum belongs to one window as all its records do.
 */
export function windowSums(budgets: readonly Budget[], minutes: readonly MinuteSums[], nameOf: NameOf): WindowSum[] {
  const sums = new Map<string, WindowSum>();
  for (const minute of minutes) {
    const costNanoUsd = minute.exactNanoUsd + minute.estimatedNanoUsd;
    for (const budget of budgets) {
      if (subjectOf(budget.scope, minute, nameOf) === null) continue;
      const { startMs, endMs } = windowAt(budget.period, budget.timezone, minute.minuteMs);
      const key = `${budget.id} ${startMs}`;
      let sum = sums.get(key);
      if (sum === undefined) {
        sum = {
          budgetId: budget.id,
          startsAt: new Date(startMs),
          endsAt: new Date(endMs),
          spentNanoUsd: 0n,
          exactNanoUsd: 0n,
        };
        sums.set(key, sum);
      }
      sum.spentNanoUsd += costNanoUsd;
      sum.exactNanoUsd += minute.exactNanoUsd;
    }
  }
  return [...sums.values()];
}

async function answers(
  tx: Db,
  environmentId: string,
  submissions: readonly Submission[],
  { claimed, amended }: { claimed: ReadonlySet<string>; amended: ReadonlyMap<string, BatchRow> },
): Promise<Omit<Counted, "n">[]> {
  const earlier = await readBatches(
    tx,
    environmentId,
    submissions.map(({ batchId }) => batchId).filter((batchId) => !claimed.has(batchId)),
  );
  const seen = new Set<string>();
  return submissions.map(({ batchId, records, rejected }) => {
    const isFirst = !seen.has(batchId);
    seen.add(batchId);
    const own = amended.get(batchId) ?? { accepted: records.length, rejected };
    if (claimed.has(batchId) && isFirst) return { accepted: own.accepted, duplicate: false, rejected: own.rejected };
    const known = earlier.find((row) => row.batchId === batchId);
    return { accepted: known?.accepted ?? own.accepted, duplicate: true, rejected: known?.rejected ?? own.rejected };
  });
}

function firstOfEach(submissions: readonly Submission[]): Submission[] {
  const byId = new Map<string, Submission>();
  for (const submission of submissions) if (!byId.has(submission.batchId)) byId.set(submission.batchId, submission);
  return [...byId.values()];
}

/** Values that a column cannot hold, and rows that break a rule. */
const REFUSALS = /^(22|23|54)/;

/** For a batch that was refused alone: INVALID when the database will never take it, so that the client divides it. */
function refusalOf(error: unknown): unknown {
  const code = sqlStateOf(error, (state) => REFUSALS.test(state));
  if (code === null) return error;
  return new AppError("INVALID", `The database refuses this batch (${code}).`, {
    faults: [{ path: "records", message: `are refused by the database (${code})` }],
    cause: error,
  });
}

const LOST_RACES = new Set(["40001", "40P01"]);

const lostRace = (error: unknown): boolean => sqlStateOf(error, (state) => LOST_RACES.has(state)) !== null;

/** The first such SQLSTATE among an error and its causes. */
function sqlStateOf(error: unknown, isWanted: (state: string) => boolean): string | null {
  for (let current = error, depth = 0; current instanceof Error && depth < 5; current = current.cause, depth += 1) {
    if ("code" in current && typeof current.code === "string" && isWanted(current.code)) return current.code;
  }
  return null;
}
