/**
 * Receipts: which instances decide by a revision, and how fast they came to. Speaks for all servers: it reads the
 * database, after writing what this server still held back.
 */
import type { Receipts, Straggler } from "../../api/instance.ts";
import { and, eq, inArray, sql } from "drizzle-orm";
import { parseRevision } from "../../../sdk-client/src/wire/revision.ts";
import { requireEnvironment, requireEnvironmentId } from "../../authorize.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { audit, instances, receipts, revisions } from "../../db/schema/state.ts";
import type { EnvironmentRow } from "../../db/types.ts";
import type { Action } from "../../domain/audit.ts";
import { EVERY_FLAG, type Fleet, hasApplied, type Member, proofOf } from "../../domain/fleet.ts";
import { AppError, invalid } from "../../errors.ts";
import { lineageOf, readFleet } from "./fleet.ts";

/** Revisions per environment whose receipts are kept. */
export const REVISIONS_KEPT = 100;
/** Instances named in one list of an answer; the counts are of all. */
export const LISTED_MAX = 1000;

/**
 * Who applied a revision and how fast; without `revision` the newest. INVALID for a malformed one, NOT_FOUND for one
 * of another lineage, of the future, or so old that its receipts are gone.
 */
export async function getReceipts(ctx: Ctx, environmentKey: string, revision?: string): Promise<Receipts> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const lineage = lineageOf(ctx, environment.id);
  const n = revision === undefined ? environment.revision : requireRevision(revision, lineage, environment.revision);
  const committedAt = await committedAtOf(ctx, environment, n);
  const restored = await restoredBy(ctx, environment.id, n);
  const fleet = await flushedFleet(ctx, environment.id, lineage);
  const proof = proofOf(fleet, { n, restored });
  const delaysMs = await receiptDelaysMs(ctx, environment.id, { lineage, n, committedAt });
  const late = (one: Member) => !hasApplied(n)(one);
  return {
    revision: `${lineage}.${n}`,
    committedAt: committedAt.toISOString(),
    applied: proof.applied,
    live: proof.live,
    stragglers: byName([...proof.behind.first, ...proof.lost.first.filter(late)]).map(straggler),
    behind: proof.behind.count + proof.lostBehind,
    lost: proof.lost.count,
    lostInstances: namesOf(proof.lost.first),
    local: proof.held.count,
    localInstances: namesOf(proof.held.first),
    silent: byName(proof.silent.first).map(straggler),
    stopped: await countStopped(ctx, environment.id),
    notCounted: [...fleet.notCounted],
    p50Ms: quantile(delaysMs, 0.5),
    p99Ms: quantile(delaysMs, 0.99),
    lastMs: quantile(delaysMs, 1),
  };
}

/** The fleet with what this server has heard and not yet told. */
export async function flushedFleet(ctx: Ctx, environmentId: string, lineage: string): Promise<Fleet> {
  return read(ctx, async (db) => {
    await ctx.deps.instances.flush();
    return readFleet(db, { environmentId, lineage, named: LISTED_MAX });
  });
}

export async function countStopped(ctx: Ctx, environmentId: string): Promise<number> {
  return read(ctx, (db) =>
    db.$count(instances, and(eq(instances.environmentId, environmentId), sql`${instances.stoppedAt} is not null`)),
  );
}

/**
 * From commit to the newest receipt in milliseconds, for each revision of which any is kept: for as many revisions as
 * are asked, in one statement.
 */
export async function lastReceiptsMs(
  ctx: Ctx,
  environmentKey: string,
  asked: readonly number[],
): Promise<ReadonlyMap<number, number>> {
  if (asked.length === 0) return new Map();
  const environmentId = await requireEnvironmentId(ctx, environmentKey, "viewer");
  const lineage = lineageOf(ctx, environmentId);
  const rows = await read(ctx, (db) =>
    db
      .select({
        n: revisions.revision,
        // Drizzle would write a column of `revisions` without its table, and "revision" within is that of receipts.
        lastMs: sql`(select extract(epoch from max(first.applied_at) - revisions.committed_at) * 1000 from (
          select min(applied_at) as applied_at from receipts
          where environment_id = ${environmentId} and lineage = ${lineage} and receipts.revision >= revisions.revision
            and first_seen <= revisions.committed_at
          group by instance, boot) as first)`.mapWith(Number),
      })
      .from(revisions)
      .where(and(eq(revisions.environmentId, environmentId), inArray(revisions.revision, [...new Set(asked)]))),
  );
  return new Map(rows.flatMap(({ n, lastMs }) => (lastMs === null ? [] : [[n, Math.max(0, lastMs)]])));
}

/** Milliseconds from commit to the first receipt, ascending, of the instances that ran when it was committed. */
export async function receiptDelaysMs(
  ctx: Ctx,
  environmentId: string,
  { lineage, n, committedAt }: { lineage: string; n: number; committedAt: Date },
): Promise<number[]> {
  const rows = await read(ctx, (db) =>
    db
      .select({ appliedAt: sql`min(${receipts.appliedAt})`.mapWith(receipts.appliedAt) })
      .from(receipts)
      .where(
        and(
          eq(receipts.environmentId, environmentId),
          eq(receipts.lineage, lineage),
          sql`${receipts.revision} >= ${n}`,
          sql`${receipts.firstSeen} <= ${committedAt.toISOString()}::timestamptz`,
        ),
      )
      .groupBy(receipts.instance, receipts.boot),
  );
  return rows.map((row) => Math.max(0, row.appliedAt.getTime() - committedAt.getTime())).toSorted((a, b) => a - b);
}

/** What turns something on again. */
const RESTORES = ["flag.restored", "flag.trip-ended", "master.restored"] as const satisfies Action[];

/** What the change of a revision has turned on: an instance that holds any of that off by itself has not applied it. */
export async function restoredBy(ctx: Ctx, environmentId: string, n: number): Promise<string[] | null> {
  const rows = await read(ctx, (db) =>
    db
      .select({ action: audit.action, target: audit.target })
      .from(audit)
      .where(and(eq(audit.environmentId, environmentId), eq(audit.revision, n), inArray(audit.action, RESTORES))),
  );
  const restored = rows.flatMap(({ action, target }) => restoredIn(action, target) ?? []);
  return restored.length === 0 ? null : restored;
}

/** What a change turned on again, by its entry in the audit; null when it was none of that kind. */
export function restoredIn(action: string, flag: string): string | null {
  if (action === "master.restored") return EVERY_FLAG;
  return action === "flag.restored" || action === "flag.trip-ended" ? flag : null;
}

async function committedAtOf(ctx: Ctx, environment: EnvironmentRow, n: number): Promise<Date> {
  if (n === environment.revision) return environment.committedAt;
  const rows = await read(ctx, (db) =>
    db
      .select({ committedAt: revisions.committedAt })
      .from(revisions)
      .where(and(eq(revisions.environmentId, environment.id), eq(revisions.revision, n))),
  );
  const row = rows[0];
  if (row === undefined)
    throw new AppError("NOT_FOUND", `Receipts are kept for the newest ${REVISIONS_KEPT} revisions only.`);
  return row.committedAt;
}

function requireRevision(text: string, lineage: string, newest: number): number {
  const parsed = parseRevision(text);
  if (parsed === null) throw invalid("revision", "expected <lineage>.<n>, as in an answer's `revision`");
  if (parsed.lineage !== lineage || parsed.n > newest || parsed.n < 1) {
    throw new AppError("NOT_FOUND", `There is no revision ${text} in this environment.`);
  }
  return parsed.n;
}

function namesOf(members: readonly Member[]): string[] {
  return byName(members).map(({ instance }) => instance);
}

/** `host-9` before `host-10`. */
export function byName(members: readonly Member[]): Member[] {
  return members.toSorted((a, b) => a.instance.localeCompare(b.instance, "en", { numeric: true }));
}

function straggler({ instance, app, revision, lastSeen, silentSeconds, disconnectedSeconds }: Member): Straggler {
  return { instance, app, revision, lastSeen, silentSeconds, disconnectedSeconds };
}

/** The nearest-rank quantile of ascending values; null without any. */
export function quantile(ascending: readonly number[], share: number): number | null {
  return ascending[Math.max(0, Math.ceil(share * ascending.length) - 1)] ?? null;
}
