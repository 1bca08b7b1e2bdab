/**
 * The one way to change an environment's state: `change` takes the row lock of the environment, so that changes are in
 * one order, and commits state, audit, revision and NOTIFY together or not at all.
 */
import { eq, sql } from "drizzle-orm";
import { StandbyError } from "./database-away.ts";
import { lineageColumns, lineageOf } from "./db/lineage.ts";
import { NOTIFY_CHANNEL } from "./db/listen.ts";
import { returnedRows } from "./db/returned-rows.ts";
import { audit, environments, installation } from "./db/schema/state.ts";
import type { Db, EnvironmentRow } from "./db/types.ts";
import type { Ctx, SnapshotStep } from "./deps.ts";
import { recordOf } from "./domain/actor.ts";
import { type AuditEntry, movedBy, targetKindOf } from "./domain/audit.ts";
import { sealKeyOf, sealOf, sealTextOf } from "./audit-seal.ts";
import { AppError } from "./errors.ts";
import { type Moved, settleStandings } from "./services/flags/settle-standing.ts";
import { withTransaction } from "./transaction.ts";

export interface Change {
  tx: Db;
  environment: EnvironmentRow;
  lineage: string;
  /** The revision this change makes, `n` only. */
  revision: number;
  at: Date;
  /** Adds an audit row to this transaction and marks the environment as changed. */
  record: (entry: AuditEntry) => Promise<number>;
  /**
   * Says what this change does to the snapshot, when that is all it does: then nothing need be read back, and the flag's
   * standing has been settled with it.
   */
  patch: (patch: SnapshotStep["patch"]) => void;
  /** Says that this change has appended to the log of verdicts, which this server then reads at once. */
  appendedVerdicts: () => void;
  /** Adds an audit row without a change: somebody asked for what is in force already. The revision stays. */
  note: (entry: AuditEntry) => Promise<void>;
}

export interface Changed<T> {
  value: T;
  /** The environment's revision after the change, `<lineage>.<n>`. */
  revision: string;
}

/**
 * One change of one environment. `work` that records no audit entry has changed nothing: the revision stays.
 * Resolves after commit and after this server has rebuilt its snapshot.
 */
export async function change<T>(
  ctx: Ctx,
  environmentId: string,
  work: (change: Change) => Promise<T>,
): Promise<Changed<T>> {
  const { deps } = ctx;
  const done = await withTransaction(ctx, (tx) => changeIn(ctx, tx, environmentId, work));
  const { value, revision, step } = done;
  if (done.hasVerdicts) await afterCommit(ctx, () => deps.verdicts.refresh(environmentId));
  await afterCommit(ctx, () => (step === null ? deps.snapshots.refresh(environmentId) : deps.snapshots.follow(step)));
  return { value, revision };
}

/** What people may take back by its audit id; null when nothing was changed. */
export interface Undoable<T> {
  value: T;
  auditId: number | null;
}

/** A change of which whoever made it is told how to take it back. */
export async function undoableChange<R extends Undoable<unknown>>(
  ctx: Ctx,
  environmentId: string,
  work: (change: Change) => Promise<R>,
): Promise<R & { revision: string }> {
  const { value: done, revision } = await change(ctx, environmentId, work);
  return { ...done, revision };
}

/**
 * The same inside a transaction that is open already. Takes the environment's row lock first, or joins it when the
 * transaction holds it. Answers with the revision after the change; the caller refreshes its snapshot after commit.
 */
export async function changeIn<T>(
  ctx: Ctx,
  tx: Db,
  environmentId: string,
  work: (change: Change) => Promise<T>,
): Promise<Changed<T> & { step: SnapshotStep | null; hasVerdicts: boolean }> {
  const { environment, lineage } = await lockEnvironment(tx, environmentId);
  const revision = environment.revision + 1;
  const at = new Date(ctx.deps.clock.nowMs());
  const recorded: AuditEntry[] = [];
  // Of the row that is locked: nobody else seals, and what is sealed here is written with the revision.
  const end: ChainEnd = { auditSeq: environment.auditSeq, auditSeal: environment.auditSeal };
  let patch = null as SnapshotStep["patch"] | null;
  let hasVerdicts = false as boolean;
  const value = await work({
    tx,
    environment,
    lineage,
    revision,
    at,
    record: async (entry) => {
      recorded.push(entry);
      const [id] = await seal(ctx, tx, [entry], { environmentId, revision, at }, end);
      return written(id);
    },
    patch: (own) => {
      patch = own;
    },
    appendedVerdicts: () => {
      hasVerdicts = true;
    },
    note: async (entry) => {
      await seal(ctx, tx, [entry], { environmentId, revision: environment.revision, at }, end);
    },
  });
  if (recorded.length === 0) {
    if (end.auditSeq > environment.auditSeq) await writeEnd(tx, environmentId, end);
    return { value, revision: `${lineage}.${environment.revision}`, step: null, hasVerdicts };
  }
  if (patch === null) {
    const moved = await settleStandings(tx, environmentId, at, revision);
    await seal(ctx, tx, movedEntries(moved, recorded), { environmentId, revision, at }, end);
  }
  const committedAt = await moveOn(tx, environmentId, `${lineage}.${revision}`, { revision, ...end });
  const step = patch === null ? null : { lineage, environment: { ...environment, revision, committedAt }, patch };
  return { value, revision: `${lineage}.${revision}`, step, hasVerdicts };
}

/**
 * The environment's new revision, the end of its audit, when that was made (the result), and the NOTIFY: in one statement,
 * as a kill waits.
 */
async function moveOn(
  tx: Db,
  environmentId: string,
  news: string,
  { revision, auditSeq, auditSeal }: ChainEnd & { revision: number },
): Promise<Date> {
  const result = await tx.execute(sql`
    with moved as (
      update environments set revision = ${revision}, committed_at = clock_timestamp(),
        audit_seq = ${auditSeq}, audit_seal = ${auditSeal}
      where id = ${environmentId} returning id, revision, committed_at
    ), kept as (
      insert into revisions (environment_id, revision, committed_at) select id, revision, committed_at from moved
    )
    select pg_notify(${NOTIFY_CHANNEL}, ${`${environmentId} ${news}`}), floor(extract(epoch from committed_at) * 1000)::float8 as at_ms from moved`);
  return new Date(Number(returnedRows(result)[0]?.["at_ms"]));
}

/** The row lock that puts all changes of an environment in one order. NOT_FOUND when it is gone. */
export async function lockEnvironment(
  tx: Db,
  environmentId: string,
): Promise<{ environment: EnvironmentRow; lineage: string }> {
  const [locked] = await tx
    .select({ environment: environments, ...lineageColumns })
    .from(environments)
    .innerJoin(installation, eq(installation.id, 1))
    .where(eq(environments.id, environmentId))
    // Not "update": that waits for every batch of receipts and usage that is being written, whose keys refer to this row.
    .for("no key update", { of: environments });
  if (locked === undefined) throw new AppError("NOT_FOUND", "The environment is gone.");
  const lineage = lineageOf(locked);
  if (lineage === null) throw new StandbyError();
  return { environment: locked.environment, lineage };
}

/**
 * Brings this server's memory up to date after a commit. Never fails: the change is made, whatever happens to the
 * database now, and the version check brings what is missing.
 */
export async function afterCommit(ctx: Ctx, refresh: () => Promise<void>): Promise<void> {
  try {
    await refresh();
  } catch (error) {
    ctx.deps.log.warn({ err: error, requestId: ctx.requestId }, "a change was made but not read back yet");
  }
}

/** What the story of a flag tells of changes of something else that moved it. */
function movedEntries(moved: readonly Moved[], recorded: readonly AuditEntry[]): AuditEntry[] {
  const cause = recorded.find((entry) => targetKindOf(entry) !== "flag") ?? null;
  const reason = cause === null ? null : movedBy(cause);
  if (reason === null) return [];
  const told = new Set(recorded.filter((entry) => targetKindOf(entry) === "flag").map(({ target }) => target));
  return moved
    .filter(({ flag }) => !told.has(flag))
    .map(({ flag, before, after }) => ({
      action: "flag.moved",
      target: flag,
      reason,
      before,
      after,
    }));
}

interface AuditScope {
  environmentId: string | null;
  revision: number | null;
  at: Date;
}

/**
 * Writes one audit row outside of a change, and locks the end of its chain for that. For what belongs to no environment,
 * `scope.environmentId` is null.
 */
export async function insertAudit(ctx: Ctx, tx: Db, entry: AuditEntry, scope: AuditScope): Promise<number> {
  const end = await lockChain(tx, scope.environmentId);
  const [id] = await seal(ctx, tx, [entry], scope, end);
  await writeEnd(tx, scope.environmentId, end);
  return written(id);
}

function written(id: number | undefined): number {
  if (id === undefined) throw new AppError("INTERNAL", "The audit row was not written.");
  return id;
}

/** Seals and writes audit rows after `end`, which moves on with them. Whoever calls it holds the lock of the chain. */
async function seal(
  ctx: Ctx,
  tx: Db,
  entries: readonly AuditEntry[],
  scope: AuditScope,
  end: ChainEnd,
): Promise<number[]> {
  if (entries.length === 0) return [];
  const key = sealKeyOf(ctx.deps.config.secret);
  const rows = entries.map((entry) => {
    const row = {
      environmentId: scope.environmentId,
      revision: scope.revision,
      at: scope.at,
      actor: recordOf(ctx.actor),
      action: entry.action,
      targetKind: targetKindOf(entry),
      target: entry.target,
      reason: entry.reason ?? null,
      before: entry.before ?? null,
      after: entry.after ?? null,
      requestId: ctx.requestId,
      reverts: entry.reverts ?? null,
      seq: (end.auditSeq += 1),
    };
    const sealText = sealTextOf(row);
    end.auditSeal = sealOf(key, end.auditSeal, sealText);
    return { ...row, sealText, sealKey: key.id, seal: end.auditSeal };
  });
  const ids = await tx.insert(audit).values(rows).returning({ id: audit.id });
  return ids.map(({ id }) => id);
}

async function writeEnd(tx: Db, environmentId: string | null, end: ChainEnd): Promise<void> {
  if (environmentId === null) await tx.update(installation).set(end);
  else await tx.update(environments).set(end).where(eq(environments.id, environmentId));
}

interface ChainEnd {
  auditSeq: number;
  auditSeal: string;
}

async function lockChain(tx: Db, environmentId: string | null): Promise<ChainEnd> {
  const table = environmentId === null ? installation : environments;
  const [end] = await tx
    .select({ auditSeq: table.auditSeq, auditSeal: table.auditSeal })
    .from(table)
    .where(environmentId === null ? eq(installation.id, 1) : eq(environments.id, environmentId))
    .for("no key update");
  if (end === undefined) throw new AppError("NOT_FOUND", "The environment is gone.");
  return end;
}
