/**
 * The current snapshot of every environment, in memory: built once per revision, compressed once, served to every poll.
 * Within one lineage a revision never goes back; with the database away the last state stays.
 */
import { promisify } from "node:util";
import { gzip, gzipSync } from "node:zlib";
import type { Logger } from "pino";
import type { Clock } from "../../clock.ts";
import type { PreparedSnapshot, SnapshotStep, SnapshotStore } from "../../deps.ts";
import { environments } from "../../db/schema/state.ts";
import type { Db, EnvironmentRow } from "../../db/types.ts";
import { compileSnapshot } from "../../domain/snapshot.ts";
import { breakersOf } from "../flags/surroundings.ts";
import { Coalesced } from "../shared/coalesce.ts";
import { LongPolls } from "./long-polls.ts";
import type { PollConnection } from "./poll-connection.ts";
import type { Evidence } from "./lineage-repair.ts";
import { snapshotReader, type SnapshotRows } from "./rows.ts";

/** A version check older than this means that the state served may be old. */
const FRESH_MS = 3000;

/** A client of another lineage makes this server read afresh, at most so often. */
const CATCH_UP_MIN_MS = 1000;

/** A snapshot up to this size is compressed in a millisecond or two; the way to another thread and back takes longer. */
const COMPRESS_HERE_MAX_BYTES = 65_536;

const compressElsewhere = promisify(gzip);

export class DatabaseSnapshotStore implements SnapshotStore {
  readonly #db: Db;
  readonly #readRows: ReturnType<typeof snapshotReader>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #parked: LongPolls;
  readonly #current = new Map<string, PreparedSnapshot>();
  readonly #idByKey = new Map<string, string>();
  readonly #refreshes = new Map<string, Coalesced>();
  readonly #refreshAll = new Coalesced(() => this.#readAll());
  readonly #readAtMs = new Map<string, number>();
  /** The lineage of environments whose own was never replaced. */
  #sharedLineage = "";
  #confirmedAtMs: number | null = null;
  #staleTimer: { cancel(): void } | null = null;
  readOnly = false;
  /** Called when somebody has seen a later revision than the database has in the same lineage: history was rewound. */
  onRewound: (environmentId: string, evidence: Evidence) => Promise<void> = () => Promise.resolve();

  constructor(options: { db: Db; clock: Clock; log: Logger; random: () => number }) {
    this.#db = options.db;
    this.#readRows = snapshotReader(options.db);
    this.#clock = options.clock;
    this.#log = options.log;
    this.#parked = new LongPolls(options.clock, options.random);
  }

  current(environmentId: string): PreparedSnapshot | undefined {
    return this.#current.get(environmentId);
  }

  all(): PreparedSnapshot[] {
    return [...this.#current.values()];
  }

  environmentByKey(key: string): PreparedSnapshot | undefined {
    const id = this.#idByKey.get(key);
    return id === undefined ? undefined : this.#current.get(id);
  }

  async refresh(environmentId?: string): Promise<void> {
    if (environmentId === undefined) return this.#refreshAll.run();
    let refresh = this.#refreshes.get(environmentId);
    if (refresh === undefined) {
      refresh = new Coalesced(() => this.#read(environmentId));
      this.#refreshes.set(environmentId, refresh);
    }
    return refresh.run();
  }

  async follow({ lineage, environment, patch }: SnapshotStep): Promise<void> {
    const before = this.#current.get(environment.id);
    if (before?.lineage !== lineage) return this.refresh(environment.id);
    // The NOTIFY may have been faster.
    if (before.n === environment.revision) return;
    if (before.n !== environment.revision - 1) return this.refresh(environment.id);
    const prepared = await prepare(patch({ ...before.rows, environment }));
    if (this.#current.get(environment.id) !== before) return this.refresh(environment.id);
    this.#serve(prepared);
  }

  revisionOf(environmentId: string, n: number): string {
    return `${this.#current.get(environmentId)?.lineage ?? this.#sharedLineage}.${n}`;
  }

  whenChanged(
    environmentId: string,
    revision: string,
    { timeoutMs, connection }: { timeoutMs: number; connection: PollConnection },
    then: (gone: boolean) => void,
  ): void {
    if (this.#current.get(environmentId)?.revision === revision) {
      this.#parked.park(environmentId, timeoutMs, connection, then);
    } else {
      then(connection.gone);
    }
  }

  get parks(): boolean {
    return this.#parked.open;
  }

  get draining(): boolean {
    return this.#parked.draining;
  }

  async catchUp(environmentId: string, has: { lineage: string; n: number }): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    const readMs = this.#readAtMs.get(environmentId);
    const served = this.#current.get(environmentId);
    const foreign = has.lineage !== served?.lineage;
    // Whoever makes up revisions causes one read a second, not one per poll.
    if (foreign && readMs !== undefined && nowMs - readMs < CATCH_UP_MIN_MS) return;
    await this.refresh(environmentId);
    const after = this.#current.get(environmentId);
    if (after !== undefined && after.lineage === has.lineage && after.n < has.n)
      await this.onRewound(environmentId, { ...has, seenBy: "client" });
  }

  get longPolls(): number {
    return this.#parked.count;
  }

  /** Answers all parked polls and parks no more. */
  drain(): void {
    this.#staleTimer?.cancel();
    this.#parked.drain();
  }

  staleSeconds(): number {
    if (this.#confirmedAtMs === null) return 0;
    const ageMs = this.#clock.monotonicMs() - this.#confirmedAtMs;
    return ageMs < FRESH_MS ? 0 : Math.floor(ageMs / 1000);
  }

  /**
   * Takes what a version check saw: the state served is current as of `atMs` (monotonic), or the environments that
   * differ are read afresh.
   */
  async reconcile(revisions: ReadonlyMap<string, { lineage: string; n: number }>, atMs: number): Promise<void> {
    for (const environmentId of this.#current.keys()) {
      if (!revisions.has(environmentId)) this.#forget(environmentId);
    }
    const behind = [...revisions].filter(([id, { lineage, n }]) => {
      const served = this.#current.get(id);
      return served?.lineage !== lineage || served.n !== n;
    });
    await Promise.all(behind.map(([id]) => this.refresh(id)));
    this.#confirmedAtMs = Math.max(this.#confirmedAtMs ?? atMs, atMs);
    this.#staleTimer?.cancel();
    const freshForMs = FRESH_MS - (this.#clock.monotonicMs() - this.#confirmedAtMs);
    // Another server may know more by then: its clients are better off asking again than waiting here.
    this.#staleTimer = this.#clock.schedule(Math.max(0, freshForMs), () => this.#parked.releaseAll());
  }

  async #readAll(): Promise<void> {
    const rows = await this.#db.select({ id: environments.id }).from(environments);
    const ids = new Set(rows.map((row) => row.id));
    for (const id of this.#current.keys()) if (!ids.has(id)) this.#forget(id);
    await Promise.all([...ids].map((id) => this.refresh(id)));
  }

  async #read(environmentId: string): Promise<void> {
    const startedMs = this.#clock.monotonicMs();
    // A change may be followed during the read, which then brings an older state and proves nothing.
    const before = this.#current.get(environmentId);
    const read = await this.#readRows(environmentId);
    this.#readAtMs.set(environmentId, startedMs);
    if (read === null) {
      this.#forget(environmentId);
      return;
    }
    if (before !== undefined && before.lineage === read.lineage && before.n > read.environment.revision) {
      this.#log.warn(
        { environmentId, served: before.revision, read: read.environment.revision },
        "the database has an older revision than was served",
      );
      // Not awaited: what it does ends in a refresh of its own, which waits for this one.
      this.onRewound(environmentId, { lineage: before.lineage, n: before.n, seenBy: "server" }).catch(
        (error: unknown) =>
          this.#log.error({ err: error, environmentId }, "the lineage was not replaced; trying again"),
      );
      return;
    }
    this.#sharedLineage = read.sharedLineage;
    if (!this.#isServed(read.lineage, read.environment)) this.#serve(await prepare(read));
  }

  /** True when this state or a later one of its lineage is served. */
  #isServed(lineage: string, { id, revision }: EnvironmentRow): boolean {
    const served = this.#current.get(id);
    return served?.lineage === lineage && served.n >= revision;
  }

  #serve(prepared: PreparedSnapshot): void {
    if (this.#isServed(prepared.lineage, prepared.rows.environment)) return;
    this.#idByKey.set(prepared.key, prepared.environmentId);
    this.#current.set(prepared.environmentId, prepared);
    this.#parked.release(prepared.environmentId);
  }

  #forget(environmentId: string): void {
    const served = this.#current.get(environmentId);
    this.#refreshes.delete(environmentId);
    this.#readAtMs.delete(environmentId);
    if (served === undefined) return;
    this.#current.delete(environmentId);
    this.#idByKey.delete(served.key);
    this.#parked.release(environmentId);
  }
}

async function prepare(rows: SnapshotRows): Promise<PreparedSnapshot> {
  const { environment, lineage } = rows;
  const revision = `${lineage}.${environment.revision}`;
  const committedAtMs = environment.committedAt.getTime();
  const snapshot = compileSnapshot({
    environment: environment.key,
    revision,
    committedAtMs,
    master: environment.masterState,
    flags: rows.flags,
    chains: rows.chains,
    blockedModels: rows.blocks.map(({ model }) => model),
    breakers: breakersOf(rows),
    trips: rows.trips,
    priceTable: rows.priceTable,
    pricedModels: rows.prices.map(({ row }) => row.model),
    aliases: environment.aliases,
    budgets: rows.budgets,
  });
  const json = Buffer.from(JSON.stringify(snapshot));
  return {
    environmentId: environment.id,
    key: environment.key,
    lineage,
    n: environment.revision,
    revision,
    etag: `"${revision}"`,
    snapshot,
    committedAtMs,
    json,
    gzip: json.byteLength <= COMPRESS_HERE_MAX_BYTES ? gzipSync(json) : await compressElsewhere(json),
    rows,
  };
}
