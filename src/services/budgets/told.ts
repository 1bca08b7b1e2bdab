/**
 * What clients tell of their running calls, and the credits to start calls that they are granted for it. In the ledger's
 * transaction: what a trip reads is what was told by then, and whoever tells later is answered with the trip's revision.
 */
import { and, eq, gte, inArray, lt, sql } from "drizzle-orm";
import type { StartCredit } from "../../../sdk-client/src/wire/usage-protocol.ts";
import { returnedRows } from "../../db/returned-rows.ts";
import { budgetWindows, runningCalls } from "../../db/schema/budgets.ts";
import type { Db } from "../../db/types.ts";
import type { Submission } from "../../deps.ts";
import {
  CREDIT_COUNTED_MS,
  ofScope,
  RUNNING_FORGOTTEN_MS,
  startCreditNanoUsd,
  stopsAtNanoUsd,
  type Told,
} from "../../domain/bound.ts";
import type { Budget } from "../../domain/budget.ts";
import { windowAt } from "../../domain/window.ts";
import type { WindowRow } from "../usage/ledger-writes.ts";

/** How many processes share a budget's credit is looked up this often. */
const HOLDERS_MS = 1_000;
/** What is spent in a second is taken over at least this time. */
const RATE_SPAN_MS = 500;
/** What was spent by then is known well enough. */
const SPENT_MS = 1_000;

interface Spent {
  startMs: number;
  atMs: number;
  nanoUsd: number;
  /** An earlier reading, to take the rate from. */
  before: { atMs: number; nanoUsd: number };
  nanoUsdPerSecond: number;
}

/** What one server remembers of an environment, so that credits cost the ledger next to nothing. */
export class CreditMemory {
  readonly #spent = new Map<string, Spent>();
  holders: ReadonlyMap<string, number> = new Map();
  holdersAtMs = Number.NEGATIVE_INFINITY;

  note(budgetId: string, startMs: number, nanoUsd: number, atMs: number): void {
    const known = this.#spent.get(budgetId);
    if (known === undefined || known.startMs !== startMs) {
      const before = { atMs, nanoUsd };
      this.#spent.set(budgetId, { startMs, atMs, nanoUsd, before, nanoUsdPerSecond: 0 });
      return;
    }
    known.atMs = atMs;
    known.nanoUsd = nanoUsd;
    const spanMs = atMs - known.before.atMs;
    if (spanMs < RATE_SPAN_MS) return;
    known.nanoUsdPerSecond = ((nanoUsd - known.before.nanoUsd) * 1_000) / spanMs;
    known.before = { atMs, nanoUsd };
  }

  /** Null when it is not known, or not of late. */
  spent(budgetId: string, startMs: number, nowMs: number): Spent | null {
    const known = this.#spent.get(budgetId);
    return known?.startMs === startMs && nowMs - known.atMs <= SPENT_MS ? known : null;
  }
}

/** Those of this transaction that tell, the newest of each process. */
const tellers = (submissions: readonly Submission[]) =>
  new Map(submissions.flatMap((each) => (each.running === undefined ? [] : [[keyOf(each), each] as const])));

const keyOf = ({ instance, boot }: Submission): string => `${instance}\n${boot ?? ""}`;

/** Writes down what was told, with the credits it is granted; answers them by process. */
export async function tell(
  tx: Db,
  environmentId: string,
  given: {
    submissions: readonly Submission[];
    budgets: readonly Budget[];
    windows: readonly WindowRow[];
    memory: CreditMemory;
    nowMs: number;
  },
): Promise<(submission: Submission) => StartCredit[] | undefined> {
  const { submissions, budgets, windows, memory, nowMs } = given;
  const stopping = budgets.filter(
    ({ enforcement, scope }) => enforcement === "trip" && scope.user === undefined && scope.session === undefined,
  );
  for (const { budgetId, startsAt, spentNanoUsd } of windows)
    memory.note(budgetId, startsAt.getTime(), spentNanoUsd, nowMs);
  if (stopping.length === 0) return () => undefined;
  const told = tellers(submissions);
  const credits = new Map<string, StartCredit[]>();
  if (told.size > 0) await refresh(tx, environmentId, { budgets: stopping, memory, nowMs });
  for (const [key, { running }] of told) {
    const flags = [...(running?.keys() ?? [])];
    const own = stopping.filter(({ scope }) => flags.some((flag) => ofScope(scope, flag)));
    credits.set(
      key,
      own.map((budget) => ({ budgetId: budget.id, nanoUsd: grant(budget, memory, nowMs) })),
    );
  }
  const rows = [...told].map(([key, { instance, boot, running, unanswered }]) => ({
    instance,
    boot: boot ?? "",
    running: Object.fromEntries(running ?? []),
    credits: Object.fromEntries((credits.get(key) ?? []).map(({ budgetId, nanoUsd }) => [budgetId, nanoUsd])),
    unanswered: Object.fromEntries((unanswered ?? []).map((flag) => [flag, nowMs])),
  }));
  const silent = untold(submissions, stopping);
  await Promise.all([
    rows.length === 0 ? null : writeTold(tx, environmentId, rows, nowMs),
    silent.length === 0 ? null : writeUntold(tx, environmentId, silent, nowMs),
  ]);
  return (submission) => credits.get(keyOf(submission));
}

/** Processes whose calls count against a budget that stops, and that do not tell what runs: older clients. */
function untold(submissions: readonly Submission[], budgets: readonly Budget[]) {
  const byProcess = new Map<string, { instance: string; boot: string; running: Record<string, null> }>();
  for (const submission of submissions) {
    if (submission.running !== undefined) continue;
    const flags = new Set(submission.records.map(({ flag }) => flag));
    const counted = [...flags].filter((flag) => budgets.some(({ scope }) => ofScope(scope, flag)));
    if (counted.length === 0) continue;
    byProcess.set(keyOf(submission), {
      instance: submission.instance,
      boot: submission.boot ?? "",
      running: Object.fromEntries(counted.map((flag) => [flag, null])),
    });
  }
  return [...byProcess.values()];
}

function grant(budget: Budget, memory: CreditMemory, nowMs: number): number {
  const stopsAt = stopsAtNanoUsd(budget, nowMs);
  // A ladder without a kill has nothing to keep.
  if (stopsAt === null) return budget.limitNanoUsd;
  const { startMs } = windowAt(budget.period, budget.timezone, nowMs);
  const spent = memory.spent(budget.id, startMs, nowMs);
  return startCreditNanoUsd(stopsAt, {
    spentNanoUsd: spent?.nanoUsd ?? 0,
    nanoUsdPerSecond: spent?.nanoUsdPerSecond ?? 0,
    processes: Math.max(1, memory.holders.get(budget.id) ?? 1),
  });
}

/** Reads what the memory does not know of late. */
async function refresh(
  tx: Db,
  environmentId: string,
  { budgets, memory, nowMs }: { budgets: readonly Budget[]; memory: CreditMemory; nowMs: number },
): Promise<void> {
  const starts = new Map(budgets.map(({ id, period, timezone }) => [id, windowAt(period, timezone, nowMs).startMs]));
  const unknown = [...starts].flatMap(([id, startMs]) => (memory.spent(id, startMs, nowMs) === null ? [id] : []));
  if (unknown.length > 0) {
    const rows = await tx
      .select({ id: budgetWindows.budgetId, startsAt: budgetWindows.startsAt, nanoUsd: budgetWindows.spentNanoUsd })
      .from(budgetWindows)
      .where(and(inArray(budgetWindows.budgetId, unknown), gte(budgetWindows.endsAt, new Date(nowMs))));
    for (const id of unknown) {
      const startMs = starts.get(id) ?? 0;
      const row = rows.find((each) => each.id === id && each.startsAt.getTime() === startMs);
      memory.note(id, startMs, row?.nanoUsd ?? 0, nowMs);
    }
  }
  if (nowMs - memory.holdersAtMs < HOLDERS_MS) return;
  memory.holdersAtMs = nowMs;
  const counted = await tx.execute(sql`
    select credit.key as id, count(*) as n from running_calls, jsonb_each(credits) as credit
    where environment_id = ${environmentId} and told_at > ${new Date(nowMs - CREDIT_COUNTED_MS).toISOString()}::timestamptz
    group by credit.key`);
  memory.holders = new Map(returnedRows(counted).map((row) => [String(row["id"]), Number(row["n"])]));
}

interface ToldRow {
  instance: string;
  boot: string;
  running: Record<string, number>;
  credits: Record<string, number>;
  unanswered: Record<string, number>;
}

async function writeTold(tx: Db, environmentId: string, rows: readonly ToldRow[], nowMs: number): Promise<void> {
  await tx.execute(sql`
    insert into running_calls as known (environment_id, instance, boot, told_at, running, credits, credits_before, unanswered)
    select ${environmentId}, v.instance, v.boot, ${new Date(nowMs).toISOString()}::timestamptz, v.running, v.credits, '{}',
      v.unanswered
    from jsonb_to_recordset(cast(${JSON.stringify(sorted(rows))} as text)::jsonb) as v(instance text, boot text, running jsonb,
      credits jsonb, unanswered jsonb)
    on conflict (environment_id, instance, boot) do update set
      told_at = excluded.told_at, running = excluded.running, credits = excluded.credits, credits_before = known.credits,
      unanswered = known.unanswered || excluded.unanswered`);
}

/** What such a process told before it was replaced by an older client, or by a state without budgets, stands. */
async function writeUntold(
  tx: Db,
  environmentId: string,
  rows: readonly { instance: string; boot: string; running: Record<string, null> }[],
  nowMs: number,
): Promise<void> {
  await tx.execute(sql`
    insert into running_calls as known (environment_id, instance, boot, told_at, running, credits, credits_before)
    select ${environmentId}, v.instance, v.boot, ${new Date(nowMs).toISOString()}::timestamptz, v.running, '{}', '{}'
    from jsonb_to_recordset(cast(${JSON.stringify(sorted(rows))} as text)::jsonb) as v(instance text, boot text, running jsonb)
    on conflict (environment_id, instance, boot) do update set
      told_at = excluded.told_at, running = excluded.running || known.running`);
}

/** In one order, so that two servers never wait for each other in a circle. */
function sorted<Row extends { instance: string; boot: string }>(rows: readonly Row[]): Row[] {
  return rows.toSorted((a, b) =>
    a.instance === b.instance ? (a.boot < b.boot ? -1 : 1) : a.instance < b.instance ? -1 : 1,
  );
}

/** What the processes of an environment have told. */
export async function readTold(db: Db, environmentId: string, nowMs: number): Promise<Told[]> {
  const rows = await db
    .select({
      toldAt: runningCalls.toldAt,
      running: runningCalls.running,
      credits: runningCalls.credits,
      creditsBefore: runningCalls.creditsBefore,
      unanswered: runningCalls.unanswered,
    })
    .from(runningCalls)
    .where(
      and(
        eq(runningCalls.environmentId, environmentId),
        gte(runningCalls.toldAt, new Date(nowMs - RUNNING_FORGOTTEN_MS)),
      ),
    );
  return rows.map(({ toldAt, ...row }) => ({ ...row, toldAtMs: toldAt.getTime() }));
}

/** Forgets processes that told nothing for longer than a call runs. */
export async function pruneTold(db: Db, nowMs: number): Promise<void> {
  await db.delete(runningCalls).where(lt(runningCalls.toldAt, new Date(nowMs - RUNNING_FORGOTTEN_MS)));
}
