/**
 * Instances and receipts: which running clients there are and which of them decide by a revision. Speaks for all
 * servers: it reads the database, after writing what this server still held back.
 */
import { and, asc, eq, sql } from "drizzle-orm";
import { parseRevision } from "../../sdk-client/src/protocol.ts";
import { type Ctx, read, requireEnvironment } from "../context.ts";
import { environments, instances, receipts, revisions } from "../db/schema.ts";
import type { Db, EnvironmentRow } from "../db/types.ts";
import { AppError, invalid } from "../errors.ts";

/** An instance heard of within this time is live. */
export const LIVE_SECONDS = 90;
/** Revisions per environment whose receipts are kept. */
export const REVISIONS_KEPT = 100;
const INSTANCE_KEPT_DAYS = 7;
/** Instances named in one answer; the counts are of all. */
const LISTED_MAX = 1000;

export type InstanceState = "live" | "silent" | "stopped";

export interface InstanceResource {
  instance: string;
  app: string | null;
  sdk: string | null;
  /** `<lineage>.<n>` it applied; null before its first receipt. */
  revision: string | null;
  appliedAt: string | null;
  lastSeen: string;
  state: InstanceState;
  /** Whole seconds since it was last heard of. */
  silentSeconds: number;
  /** It decides by the environment's newest revision. */
  current: boolean;
  /** Whole seconds since the connection of its parked poll closed without a goodbye; null while nothing says so. */
  disconnectedSeconds: number | null;
}

export interface InstanceList {
  items: InstanceResource[];
  live: number;
  silent: number;
  stopped: number;
  /** Live ones that decide by the newest revision. */
  current: number;
}

export interface Straggler {
  instance: string;
  app: string | null;
  revision: string | null;
  lastSeen: string;
  silentSeconds: number;
  /** Whole seconds since the connection of its parked poll closed without a goodbye: it may be gone, or restarting. */
  disconnectedSeconds: number | null;
}

export interface Receipts {
  revision: string;
  committedAt: string;
  /** Live instances that decide by it or by a later one. */
  applied: number;
  live: number;
  /** Live instances that do not yet. */
  stragglers: Straggler[];
  /** Not heard of for a while, and not known to have stopped or to have applied it. */
  silent: Straggler[];
  stopped: number;
  /** Milliseconds from commit to receipt over the instances that ran at the commit; null without any. */
  p50Ms: number | null;
  p99Ms: number | null;
  lastMs: number | null;
}

/** All instances of an environment that are remembered, by name. */
export async function listInstances(ctx: Ctx, environmentKey: string): Promise<InstanceList> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const rows = await readInstances(ctx, environment);
  const items = rows.map((row): InstanceResource => ({
    instance: row.instance,
    app: row.app,
    sdk: row.sdk,
    revision: revisionOf(row),
    appliedAt: row.appliedAt?.toISOString() ?? null,
    lastSeen: row.lastSeen.toISOString(),
    state: row.state,
    silentSeconds: row.silentSeconds,
    current: row.lineage === lineageOf(ctx, environment) && row.revision === environment.revision,
    disconnectedSeconds: row.disconnectedSeconds,
  }));
  const counted = (state: InstanceState) => items.filter((item) => item.state === state).length;
  return {
    items: items.slice(0, LISTED_MAX),
    live: counted("live"),
    silent: counted("silent"),
    stopped: counted("stopped"),
    current: items.filter((item) => item.state === "live" && item.current).length,
  };
}

/**
 * Who applied a revision and how fast; without `revision` the newest. INVALID for a malformed one, NOT_FOUND for one
 * of another lineage, of the future, or so old that its receipts are gone.
 */
export async function getReceipts(ctx: Ctx, environmentKey: string, revision?: string): Promise<Receipts> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const lineage = lineageOf(ctx, environment);
  const n = revision === undefined ? environment.revision : requireRevision(revision, lineage, environment.revision);
  const committedAt = await committedAtOf(ctx, environment, n);
  const rows = await readInstances(ctx, environment);
  const hasApplied = (row: Known) => row.lineage === lineage && row.revision !== null && row.revision >= n;
  const live = rows.filter((row) => row.state === "live");
  const behind = (state: InstanceState) =>
    rows
      .filter((row) => row.state === state && !hasApplied(row))
      .slice(0, LISTED_MAX)
      .map(straggler);
  const delaysMs = await readDelays(ctx, environment.id, lineage, n, committedAt);
  return {
    revision: `${lineage}.${n}`,
    committedAt: committedAt.toISOString(),
    applied: live.filter(hasApplied).length,
    live: live.length,
    stragglers: behind("live"),
    silent: behind("silent"),
    stopped: rows.filter((row) => row.state === "stopped").length,
    p50Ms: quantile(delaysMs, 0.5),
    p99Ms: quantile(delaysMs, 0.99),
    lastMs: quantile(delaysMs, 1),
  };
}

/** Removes receipts and commit times of all but the newest revisions, and instances long unheard of. */
export async function pruneReceipts(db: Db): Promise<void> {
  const oldest = sql`(select revision - ${REVISIONS_KEPT} from environments where environments.id = environment_id)`;
  await db.delete(receipts).where(sql`${receipts.revision} <= ${oldest}`);
  await db.delete(revisions).where(sql`${revisions.revision} <= ${oldest}`);
  await db.delete(instances).where(sql`${instances.lastSeen} < now() - make_interval(days => ${INSTANCE_KEPT_DAYS})`);
}

interface Known {
  instance: string;
  app: string | null;
  sdk: string | null;
  lineage: string | null;
  revision: number | null;
  appliedAt: Date | null;
  lastSeen: Date;
  state: InstanceState;
  silentSeconds: number;
  disconnectedSeconds: number | null;
}

async function readInstances(ctx: Ctx, environment: EnvironmentRow): Promise<Known[]> {
  const rows = await read(ctx, async (db) => {
    await ctx.deps.instances.flush();
    return db
      .select({
        instance: instances.instance,
        app: instances.app,
        sdk: instances.sdk,
        lineage: instances.lineage,
        revision: instances.revision,
        appliedAt: instances.appliedAt,
        lastSeen: instances.lastSeen,
        stoppedAt: instances.stoppedAt,
        // The database's clock: this server's may differ from the one that wrote it.
        silent: secondsSince(instances.lastSeen).mapWith(Number),
        disconnectedSeconds: sql<
          number | null
        >`case when ${instances.disconnectedAt} is not null then ${secondsSince(instances.disconnectedAt)}::int end`,
      })
      .from(instances)
      .where(eq(instances.environmentId, environment.id))
      .orderBy(asc(instances.instance));
  });
  return rows.map(({ stoppedAt, silent, ...row }) => ({
    ...row,
    state: stateOf(stoppedAt, silent),
    silentSeconds: silent,
  }));
}

const secondsSince = (column: typeof instances.lastSeen | typeof instances.disconnectedAt) =>
  sql`greatest(0, floor(extract(epoch from clock_timestamp() - ${column})))`;

function stateOf(stoppedAt: Date | null, silentSeconds: number): InstanceState {
  if (stoppedAt !== null) return "stopped";
  return silentSeconds <= LIVE_SECONDS ? "live" : "silent";
}

/** Milliseconds from commit to the first receipt, ascending, of the instances that ran when it was committed. */
async function readDelays(
  ctx: Ctx,
  environmentId: string,
  lineage: string,
  n: number,
  committedAt: Date,
): Promise<number[]> {
  const rows = await read(ctx, (db) =>
    db
      .select({ appliedAt: sql`min(${receipts.appliedAt})`.mapWith(receipts.appliedAt) })
      .from(receipts)
      .innerJoin(
        instances,
        and(eq(instances.environmentId, receipts.environmentId), eq(instances.instance, receipts.instance)),
      )
      .where(
        and(
          eq(receipts.environmentId, environmentId),
          eq(receipts.lineage, lineage),
          sql`${receipts.revision} >= ${n}`,
          sql`${instances.firstSeen} <= ${committedAt.toISOString()}::timestamptz`,
        ),
      )
      .groupBy(receipts.instance),
  );
  return rows.map((row) => Math.max(0, row.appliedAt.getTime() - committedAt.getTime())).toSorted((a, b) => a - b);
}

async function committedAtOf(ctx: Ctx, environment: EnvironmentRow, n: number): Promise<Date> {
  if (n === environment.revision) return environment.committedAt;
  const rows = await read(ctx, (db) =>
    db
      .select({ committedAt: revisions.committedAt })
      .from(revisions)
      .innerJoin(environments, eq(environments.id, revisions.environmentId))
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

function lineageOf(ctx: Ctx, environment: EnvironmentRow): string {
  const revision = ctx.deps.snapshots.revisionOf(environment.id, environment.revision);
  return parseRevision(revision)?.lineage ?? "";
}

const revisionOf = (row: { lineage: string | null; revision: number | null }) =>
  row.lineage === null || row.revision === null ? null : `${row.lineage}.${row.revision}`;

function straggler(row: Known): Straggler {
  return {
    instance: row.instance,
    app: row.app,
    revision: revisionOf(row),
    lastSeen: row.lastSeen.toISOString(),
    silentSeconds: row.silentSeconds,
    disconnectedSeconds: row.disconnectedSeconds,
  };
}

/** The nearest-rank quantile of ascending values; null without any. */
function quantile(ascending: readonly number[], share: number): number | null {
  return ascending[Math.max(0, Math.ceil(share * ascending.length) - 1)] ?? null;
}
