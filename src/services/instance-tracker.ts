/**
 * What this server heard from instances since it last told the database: sightings and receipts. Written in batches;
 * kept while the database is away. Ages are sent, not times: the database's clock times all servers alike.
 */
import type { Logger } from "pino";
import { isDatabaseAway } from "../db/away.ts";
import type { Db } from "../db/types.ts";
import type { Clock } from "../deps.ts";
import { Coalesced } from "./coalesce.ts";
import { type Heard, writeHeard } from "./instance-writes.ts";

/** How soon a new receipt is in the database, for all servers to count. */
const RECEIPT_FLUSH_MS = 100;
/** How soon a mere sighting is. */
const SEEN_FLUSH_MS = 10_000;
const RETRY_MS = 1000;
/** Instances tracked per environment; more are served but not counted. */
export const INSTANCES_PER_ENVIRONMENT_MAX = 20_000;
const BATCH_MAX = 2000;
/** What was written is remembered for so long, so that a repeated receipt is not written again. */
const REMEMBER_MS = 180_000;

export interface Sighting {
  environmentId: string;
  instance: string;
  app: string | null;
  sdk: string | null;
  /** The revision that the instance says it applied; null when it has none. */
  applied: { lineage: string; n: number } | null;
}

export interface InstanceTracker {
  /** Notes a poll. Never fails and never waits. Answers with the number of this sighting, for `disconnected`. */
  seen(sighting: Sighting): number;
  /**
   * Notes that the connection of a parked poll closed, unless the instance was seen again since: it may be gone,
   * restarting or behind a bad network, so it is not taken for stopped.
   */
  disconnected(environmentId: string, instance: string, sighting: number): void;
  /** Notes that an instance said it stopped. */
  stopped(environmentId: string, instance: string): void;
  /** Writes what is not yet written. Rejects when the database is away; nothing is lost then. */
  flush(): Promise<void>;
}

interface Entry extends Heard {
  dirty: boolean;
  /** How often it was seen. */
  sightings: number;
}

const NOT_TRACKED = 0;

export class BufferedInstanceTracker implements InstanceTracker {
  readonly #db: Db;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #entries = new Map<string, Map<string, Entry>>();
  readonly #flush = new Coalesced(() => this.#write());
  #timer: { cancel(): void; dueMs: number } | null = null;
  #overflowLogged = false;

  constructor(options: { db: Db; clock: Clock; log: Logger }) {
    this.#db = options.db;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  seen(sighting: Sighting): number {
    const nowMs = this.#clock.monotonicMs();
    const entries = this.#entriesOf(sighting.environmentId);
    let entry = entries.get(sighting.instance);
    if (entry === undefined) {
      if (entries.size >= INSTANCES_PER_ENVIRONMENT_MAX && !this.#makeRoom(entries, nowMs)) return NOT_TRACKED;
      entry = { ...sighting, ...newEntry(nowMs) };
      if (sighting.applied !== null) entry.appliedAtMs = nowMs;
      entries.set(sighting.instance, entry);
      this.#schedule(RECEIPT_FLUSH_MS);
      return entry.sightings;
    }
    const { applied } = sighting;
    const isNew = applied !== null && isNewReceipt(entry.applied, applied);
    if (isNew) {
      entry.applied = applied;
      entry.appliedAtMs = nowMs;
    }
    const urgent = isNew || entry.stopped || entry.disconnectedAtMs !== null;
    entry.lastSeenMs = nowMs;
    entry.app = sighting.app;
    entry.sdk = sighting.sdk;
    entry.stopped = false;
    entry.disconnectedAtMs = null;
    entry.dirty = true;
    entry.sightings += 1;
    this.#schedule(urgent ? RECEIPT_FLUSH_MS : SEEN_FLUSH_MS);
    return entry.sightings;
  }

  disconnected(environmentId: string, instance: string, sighting: number): void {
    const entry = this.#entries.get(environmentId)?.get(instance);
    if (entry === undefined || entry.sightings !== sighting || entry.stopped) return;
    entry.disconnectedAtMs = this.#clock.monotonicMs();
    entry.dirty = true;
    this.#schedule(RECEIPT_FLUSH_MS);
  }

  stopped(environmentId: string, instance: string): void {
    const nowMs = this.#clock.monotonicMs();
    const entries = this.#entriesOf(environmentId);
    const entry = entries.get(instance);
    if (entry === undefined) {
      if (entries.size >= INSTANCES_PER_ENVIRONMENT_MAX && !this.#makeRoom(entries, nowMs)) return;
      const unknown = { environmentId, instance, app: null, sdk: null, applied: null };
      entries.set(instance, { ...unknown, ...newEntry(nowMs), stopped: true });
    } else {
      entry.stopped = true;
      entry.disconnectedAtMs = null;
      entry.lastSeenMs = nowMs;
      entry.dirty = true;
    }
    this.#schedule(RECEIPT_FLUSH_MS);
  }

  flush(): Promise<void> {
    return this.#flush.run();
  }

  /** Stops the timers; what is not flushed by the caller is lost. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #entriesOf(environmentId: string): Map<string, Entry> {
    let entries = this.#entries.get(environmentId);
    if (entries === undefined) {
      entries = new Map();
      this.#entries.set(environmentId, entries);
    }
    return entries;
  }

  /** Drops what is written and was not seen lately; false when there is nothing of that kind. */
  #makeRoom(entries: Map<string, Entry>, nowMs: number): boolean {
    for (const [instance, entry] of entries) {
      if (!entry.dirty && nowMs - entry.lastSeenMs > REMEMBER_MS) entries.delete(instance);
    }
    if (entries.size < INSTANCES_PER_ENVIRONMENT_MAX) return true;
    if (!this.#overflowLogged) {
      this.#overflowLogged = true;
      this.#log.warn(
        { max: INSTANCES_PER_ENVIRONMENT_MAX },
        "too many instances in one environment: more are served but not counted",
      );
    }
    return false;
  }

  #schedule(delayMs: number): void {
    const dueMs = this.#clock.monotonicMs() + delayMs;
    if (this.#timer !== null) {
      if (this.#timer.dueMs <= dueMs) return;
      this.#timer.cancel();
    }
    const timer = this.#clock.schedule(delayMs, () => {
      this.#timer = null;
      this.flush().catch((error: unknown) => {
        // The version check speaks of a database that is away; here is nothing to add but another try.
        if (!isDatabaseAway(error)) this.#log.error({ err: error }, "receipts were not written; trying again");
        this.#schedule(RETRY_MS);
      });
    });
    this.#timer = { cancel: () => timer.cancel(), dueMs };
  }

  async #write(): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    const dirty: Entry[] = [];
    for (const entries of this.#entries.values()) {
      for (const [instance, entry] of entries) {
        if (entry.dirty) dirty.push(entry);
        else if (nowMs - entry.lastSeenMs > REMEMBER_MS) entries.delete(instance);
      }
    }
    for (let from = 0; from < dirty.length; from += BATCH_MAX) {
      const batch = dirty.slice(from, from + BATCH_MAX);
      for (const entry of batch) entry.dirty = false;
      try {
        await this.#db.transaction((tx) => writeHeard(tx, batch, this.#clock.monotonicMs()));
      } catch (error) {
        for (const entry of batch) entry.dirty = true;
        throw error;
      }
    }
  }
}

function newEntry(nowMs: number) {
  return {
    appliedAtMs: null,
    firstSeenMs: nowMs,
    lastSeenMs: nowMs,
    stopped: false,
    disconnectedAtMs: null,
    dirty: true,
    sightings: 1,
  };
}

/** Within a lineage only a higher `n` is news; another lineage always is. */
function isNewReceipt(known: Sighting["applied"], applied: { lineage: string; n: number }): boolean {
  return known === null || known.lineage !== applied.lineage || applied.n > known.n;
}
