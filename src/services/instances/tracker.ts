/**
 * What this server heard from instances since it last told the database: sightings and receipts. Written in batches;
 * kept while the database is away. Ages are sent, not times: the database's clock times all servers alike.
 */
import type { Logger } from "pino";
import type { Clock } from "../../clock.ts";
import type { InstanceTracker, Sighting } from "../../deps.ts";
import { isDatabaseAway } from "../../database-away.ts";
import type { Db } from "../../db/types.ts";
import { Coalesced } from "../shared/coalesce.ts";
import { replaceLost } from "./replace-lost.ts";
import { type Heard, type Process, tellReturned, writeHeard, writeNotCounted } from "./writes.ts";
import { NewInstances } from "./new-instances.ts";
import { type Answered, OverduePolls } from "../snapshots/overdue-polls.ts";

/** How soon a new receipt is in the database, for all servers to count. */
const RECEIPT_FLUSH_MS = 100;
/** How soon a mere sighting is: before another server takes a client that has come here for lost. */
const SEEN_FLUSH_MS = 500;
const RETRY_MS = 1000;
/** Instances tracked per environment; more are served but not counted. */
export const INSTANCES_PER_ENVIRONMENT_MAX = 20_000;
const BATCH_MAX = 2000;
/** What was written is remembered for so long, so that a repeated receipt is not written again. */
const REMEMBER_MS = 180_000;
/** How often the clients that are not counted are told of, while there are any. */
const NOT_COUNTED_MS = 2000;

interface Entry extends Heard {
  tokenId: string;
  dirty: boolean;
  /** How often it was seen. */
  sightings: number;
  /** What could end another process of its name: it is new, or was lost, since it was last written. */
  mayReplace: boolean;
}

const NOT_TRACKED = 0;

export class BufferedInstanceTracker implements InstanceTracker {
  readonly #db: Db;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #entries = new Map<string, Map<string, Entry>>();
  readonly #new = new NewInstances();
  readonly #overduePolls: OverduePolls;
  readonly #flush = new Coalesced(() => this.#write());
  #timer: { cancel(): void; dueMs: number } | null = null;
  #notCountedAtMs: number | null = null;
  #overflowLogged = false;

  constructor(options: { db: Db; clock: Clock; log: Logger }) {
    this.#db = options.db;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#overduePolls = new OverduePolls(options.clock, (overdue) => this.#lose(overdue));
  }

  seen(sighting: Sighting): number {
    const nowMs = this.#clock.monotonicMs();
    const entries = this.#entriesOf(sighting.environmentId);
    const key = keyOf(sighting);
    const entry = entries.get(key);
    if (entry === undefined) {
      if (!this.#mayAdd(entries, key, sighting, nowMs)) return NOT_TRACKED;
      const added = { ...sighting, ...newEntry(nowMs) };
      if (sighting.applied !== null) added.appliedAtMs = nowMs;
      entries.set(key, added);
      this.#schedule(RECEIPT_FLUSH_MS);
      return added.sightings;
    }
    const { applied } = sighting;
    const isNew = applied !== null && isNewReceipt(entry.applied, applied);
    if (isNew) {
      entry.applied = applied;
      entry.appliedAtMs = nowMs;
    }
    const urgent = isNew || entry.stopped || entry.disconnectedAtMs !== null || entry.local !== sighting.local;
    entry.lastSeenMs = nowMs;
    entry.app = sighting.app;
    entry.sdk = sighting.sdk;
    entry.local = sighting.local;
    entry.stopped = false;
    entry.disconnectedAtMs = null;
    entry.dirty = true;
    entry.sightings += 1;
    this.#schedule(urgent ? RECEIPT_FLUSH_MS : SEEN_FLUSH_MS);
    return entry.sightings;
  }

  disconnected(process: Process, sighting: number): void {
    this.#lose([{ process, sighting, atMs: this.#clock.monotonicMs() }]);
  }

  answered(process: Process, sighting: number): void {
    if (sighting !== NOT_TRACKED) this.#overduePolls.await(process, sighting);
  }

  stopped(process: Process & { tokenId: string }): void {
    const nowMs = this.#clock.monotonicMs();
    const entries = this.#entriesOf(process.environmentId);
    const key = keyOf(process);
    const entry = entries.get(key);
    if (entry === undefined) {
      if (!this.#mayAdd(entries, key, process, nowMs)) return;
      const unknown = { ...process, app: null, sdk: null, local: null, applied: null };
      entries.set(key, { ...unknown, ...newEntry(nowMs), stopped: true });
    } else {
      entry.stopped = true;
      entry.disconnectedAtMs = null;
      entry.lastSeenMs = nowMs;
      entry.dirty = true;
    }
    this.#new.giveBack(process.environmentId, process.tokenId, nowMs);
    this.#schedule(RECEIPT_FLUSH_MS);
  }

  flush(): Promise<void> {
    return this.#flush.run();
  }

  /** Stops the timers. What is not written yet goes with a last `flush`. */
  close(): void {
    this.#overduePolls.close();
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

  /** Marks those that were not seen since, and did not say goodbye. */
  #lose(answers: readonly Answered[]): void {
    for (const { process, sighting, atMs } of answers) {
      const entry = this.#entries.get(process.environmentId)?.get(keyOf(process));
      if (entry === undefined || entry.sightings !== sighting || entry.stopped || entry.disconnectedAtMs !== null) {
        continue;
      }
      entry.disconnectedAtMs = atMs;
      entry.mayReplace = true;
      entry.dirty = true;
      this.#schedule(RECEIPT_FLUSH_MS);
    }
  }

  /** Whether there is room for one more instance; says who is left out. */
  #mayAdd(
    entries: Map<string, Entry>,
    key: string,
    { environmentId, tokenId }: Process & { tokenId: string },
    nowMs: number,
  ): boolean {
    const isFull = entries.size >= INSTANCES_PER_ENVIRONMENT_MAX && !this.#makeRoom(entries, nowMs);
    if (!isFull && this.#new.admit(environmentId, tokenId, nowMs)) return true;
    this.#new.refuse({ environmentId, tokenId, because: isFull ? "full" : "new names" }, key, nowMs);
    this.#schedule(NOT_COUNTED_MS);
    if (!this.#overflowLogged) {
      this.#overflowLogged = true;
      this.#log.warn(
        { environmentId, tokenId, max: INSTANCES_PER_ENVIRONMENT_MAX },
        isFull
          ? "too many instances in one environment: more are served but not counted"
          : "a token makes up too many names of instances: more are served but not counted",
      );
    }
    return false;
  }

  /** Drops what is written and was not seen lately; false when there is nothing of that kind. */
  #makeRoom(entries: Map<string, Entry>, nowMs: number): boolean {
    for (const [key, entry] of entries) {
      if (!entry.dirty && nowMs - entry.lastSeenMs > REMEMBER_MS) entries.delete(key);
    }
    return entries.size < INSTANCES_PER_ENVIRONMENT_MAX;
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
      for (const [key, entry] of entries) {
        if (entry.dirty) dirty.push(entry);
        else if (entry.stopped || nowMs - entry.lastSeenMs > REMEMBER_MS) entries.delete(key);
      }
    }
    for (let from = 0; from < dirty.length; from += BATCH_MAX) {
      const batch = dirty.slice(from, from + BATCH_MAX);
      const names = batch.filter((entry) => entry.mayReplace);
      for (const entry of batch) Object.assign(entry, { dirty: false, mayReplace: false });
      try {
        await this.#db.transaction((tx) => writeHeard(tx, batch, this.#clock.monotonicMs()));
        // On its own: it takes the rows of others, in no order.
        if (names.length > 0) await replaceLost(this.#db, names);
      } catch (error) {
        for (const entry of batch) entry.dirty = true;
        for (const entry of names) entry.mayReplace = true;
        throw error;
      }
    }
    if (dirty.length > 0) await tellReturned(this.#db);
    await this.#writeNotCounted(nowMs);
  }

  async #writeNotCounted(nowMs: number): Promise<void> {
    if (this.#notCountedAtMs !== null && nowMs - this.#notCountedAtMs < NOT_COUNTED_MS) return;
    const refused = this.#new.refused(nowMs);
    if (refused.length === 0) return;
    await writeNotCounted(this.#db, refused);
    this.#notCountedAtMs = nowMs;
  }
}

/** No header has a line break. */
function keyOf({ instance, boot }: Process): string {
  return boot === "" ? instance : `${instance}\n${boot}`;
}

function newEntry(nowMs: number) {
  return {
    appliedAtMs: null as number | null,
    firstSeenMs: nowMs,
    lastSeenMs: nowMs,
    stopped: false,
    disconnectedAtMs: null,
    dirty: true,
    sightings: 1,
    mayReplace: true,
  };
}

/** Within a lineage only a higher `n` is news; another lineage always is. */
function isNewReceipt(known: Sighting["applied"], applied: { lineage: string; n: number }): boolean {
  return known === null || known.lineage !== applied.lineage || applied.n > known.n;
}
