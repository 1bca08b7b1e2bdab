/**
 * Keeps this server's memory like the database: NOTIFY makes it fast, a version check every second makes it sure. A
 * server that could not check says so (`Andon-Stale`); it never guesses.
 */
import { eq, sql } from "drizzle-orm";
import type { Logger } from "pino";
import { type Clock, type ClockReading, DatabaseClock } from "../../clock.ts";
import type { LeaseDesk, TokenStore } from "../../deps.ts";
import { isDatabaseAway, isReadOnly, ReadOnlyError, StandbyError } from "../../database-away.ts";
import type { Database } from "../../db/database.ts";
import { lineageColumns, lineageOf } from "../../db/lineage.ts";
import { budgetOfPayload, type Listener } from "../../db/listen.ts";
import { verdictHeads } from "../../db/schema/budgets.ts";
import { environments, installation } from "../../db/schema/state.ts";
import { Coalesced } from "../shared/coalesce.ts";
import type { DatabaseSnapshotStore } from "./store.ts";
import type { DatabaseVerdictLog } from "../verdicts/log.ts";
import { VERDICTS_PAYLOAD } from "../verdicts/rows.ts";

export const VERSION_CHECK_MS = 1000;
/** A clock that was off by more is worth a line in the log. */
const CLOCK_OFF_MS = 2000;
/** A session that listens is replaced after so long. */
const LISTEN_MAX_AGE_MS = 5 * 60_000;
/** The payload of a NOTIFY that speaks of tokens, not of an environment. */
const TOKENS_PAYLOAD = "tokens";

export interface StateSyncOptions {
  database: Database;
  clock: Clock;
  log: Logger;
  snapshots: DatabaseSnapshotStore;
  tokens: TokenStore;
  leases: Pick<LeaseDesk, "wake">;
  verdicts: DatabaseVerdictLog;
}

export class StateSync {
  readonly #options: StateSyncOptions;
  readonly #check = new Coalesced(() => this.#checkVersions());
  #tokensVersion: number | null = null;
  #away = false;
  /** The cluster and its timeline: another one behind the same endpoint is a failover. */
  #cluster: string | null = null;
  #listeningSinceMs = 0;
  #listener: Listener | null = null;
  #listenAttempt: Promise<void> | null = null;
  #timer: { cancel(): void } | null = null;
  #closed = false;

  constructor(options: StateSyncOptions) {
    this.#options = options;
  }

  /** Loads everything, listens, and goes on checking. Rejects when the database is away at the start. */
  async start(): Promise<void> {
    await this.#options.tokens.refresh();
    await this.check();
    this.#listen();
    await this.#listenAttempt;
    this.#schedule();
  }

  /** One version check that began after this call. Rejects when the database is away. */
  check(): Promise<void> {
    return this.#check.run();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#listenAttempt;
    await this.#listener?.close();
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer = this.#options.clock.schedule(VERSION_CHECK_MS, () => {
      this.#keepListening();
      void this.#guarded(this.check()).finally(() => this.#schedule());
    });
  }

  async #checkVersions(): Promise<void> {
    const { database, clock, snapshots, tokens, verdicts } = this.#options;
    const startedMs = clock.monotonicMs();
    const question = database.lanes.sync
      .select({
        ...lineageColumns,
        readOnly: sql<string>`current_setting('transaction_read_only')`,
        nowMs: sql`extract(epoch from clock_timestamp()) * 1000`.mapWith(Number),
        tokensVersion: installation.tokensVersion,
        id: environments.id,
        n: environments.revision,
        verdictN: verdictHeads.n,
      })
      .from(installation)
      .leftJoin(environments, sql`true`)
      .leftJoin(verdictHeads, eq(verdictHeads.environmentId, environments.id))
      .where(eq(installation.id, 1));
    const rows = await database.check(question.execute());
    const first = rows[0];
    if (first === undefined) return;
    if (first.timeline === null) throw new StandbyError();
    if (first.readOnly === "on") throw new ReadOnlyError();
    this.#followCluster(`${first.system} ${first.timeline}`);
    this.#followClock({ sentMs: startedMs, databaseMs: first.nowMs, heardMs: clock.monotonicMs() });
    const revisions = new Map<string, { lineage: string; n: number }>();
    const heads = new Map<string, number>();
    for (const { id, n, own, verdictN, ...shared } of rows) {
      const lineage = own === null ? null : lineageOf({ ...shared, own });
      if (id === null || n === null || lineage === null) continue;
      revisions.set(id, { lineage, n });
      heads.set(id, verdictN ?? 0);
    }
    if (this.#tokensVersion !== first.tokensVersion) {
      await tokens.refresh();
      this.#tokensVersion = first.tokensVersion;
    }
    await snapshots.reconcile(revisions, startedMs);
    await verdicts.reconcile(heads);
  }

  /** After a failover, sessions that still lead to the old primary are left. */
  #followCluster(cluster: string): void {
    const before = this.#cluster;
    this.#cluster = cluster;
    if (before === null || before === cluster) return;
    this.#options.log.warn({}, "the database is another one than before (failover or restore); connecting anew");
    this.#options.database.renew();
    void this.#listenAnew();
  }

  /** Tests bring clocks of their own, which go by nothing else. */
  #followClock(reading: ClockReading): void {
    const { clock, log } = this.#options;
    if (!(clock instanceof DatabaseClock)) return;
    const movedMs = Math.round(clock.follow(reading));
    if (Math.abs(movedMs) > CLOCK_OFF_MS) {
      log.warn({ movedMs }, "this machine's clock differs from the database's, which is followed");
    }
  }

  /** A session that listens is never asked anything: that it leads nowhere any more would not show. */
  #keepListening(): void {
    const ageMs = this.#options.clock.monotonicMs() - this.#listeningSinceMs;
    if (this.#listener !== null && ageMs > LISTEN_MAX_AGE_MS) void this.#listenAnew();
    else this.#listen();
  }

  /** Listens when nobody does. Without LISTEN the version check still carries every change. */
  #listen(): void {
    if (this.#listener !== null || this.#listenAttempt !== null || this.#closed) return;
    const attempt = this.#options.database.listen({
      onNotify: (payload) => this.#onNotify(payload),
      onListening: () => void this.#guarded(this.check()),
    });
    this.#listenAttempt = attempt.then(
      (listener) => {
        this.#listener = listener;
        this.#listenAttempt = null;
        this.#listeningSinceMs = this.#options.clock.monotonicMs();
      },
      (error: unknown) => {
        this.#listenAttempt = null;
        this.#report(error);
      },
    );
  }

  /** After an outage nobody knows whether the old connection still hears anything. */
  async #listenAnew(): Promise<void> {
    const former = this.#listener;
    this.#listener = null;
    this.#listen();
    try {
      await former?.close();
    } catch (error) {
      this.#options.log.debug({ err: error }, "a session that listened did not end in peace");
    }
  }

  #onNotify(payload: string): void {
    const { snapshots, tokens, leases, verdicts } = this.#options;
    const budgetId = budgetOfPayload(payload);
    if (budgetId !== null) {
      if (!this.#closed) leases.wake(budgetId);
      return;
    }
    // A server hears its own changes too, and often before it has answered its parked polls: those come first.
    setImmediate(() => {
      if (this.#closed) return;
      const [environmentId = "", revision = ""] = payload.split(" ");
      if (payload === TOKENS_PAYLOAD) void this.#guarded(tokens.refresh());
      else if (environmentId === VERDICTS_PAYLOAD) void this.#guarded(verdicts.refresh(revision));
      else if (snapshots.current(environmentId)?.revision !== revision)
        void this.#guarded(snapshots.refresh(environmentId));
    });
  }

  async #guarded(work: Promise<void>): Promise<void> {
    try {
      await work;
      this.#options.snapshots.readOnly = false;
      if (!this.#away) return;
      this.#away = false;
      this.#options.log.info("the database answers again");
      await this.#listenAnew();
    } catch (error) {
      this.#report(error);
    }
  }

  #report(error: unknown): void {
    const { log } = this.#options;
    if (this.#closed) return;
    if (!isDatabaseAway(error)) {
      log.error({ err: error }, "the state could not be read; trying again");
      return;
    }
    this.#options.snapshots.readOnly = isReadOnly(error);
    if (isReadOnly(error)) this.#options.database.renew();
    if (!this.#away) log.warn({ err: error }, "the database is away; the last known state is served");
    this.#away = true;
  }
}
