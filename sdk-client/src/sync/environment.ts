/**
 * What this process knows of one environment, kept fresh in the background: the last known state, where it came from, how
 * old it is, and who waits for the server. Invariant: state never expires by itself, and nothing here throws or rejects.
 */
import type { CompiledSnapshot } from "../evaluate/compile.ts";
import { type AndonEvents, callSafely, type Emitter } from "../events.ts";
import type { AndonLogger } from "../logger.ts";
import type { ResolvedOptions } from "../options.ts";
import type { Runtime } from "../runtime.ts";
import { parseSnapshot } from "../wire/parse-snapshot.ts";
import type { Snapshot } from "../wire/protocol.ts";
import type { Revision } from "../wire/revision.ts";
import { Freshness } from "./freshness.ts";
import { Inquiry } from "./inquiry.ts";
import { LocalNames } from "./local-header.ts";
import { poll } from "./poll.ts";
import { Poller, type Verdict } from "./poller.ts";
import type { ServerLink } from "./request.ts";
import { farewell, linkTo } from "./server-link.ts";
import { type Origin, SnapshotStore } from "./snapshot-store.ts";
import { newTrips } from "./trips.ts";
import { Waiters } from "./waiters.ts";

/** Keeps the last state of a server across restarts. */
export interface StateCache {
  load(): Snapshot | null;
  save(snapshot: Snapshot): void;
  settled(): Promise<void>;
}

/** Lives as long as the polling does: what brings usage to the same server. */
export interface Companion {
  start(): void;
  /** Polls reach the server again after they failed. */
  regained(): void;
  /** Sends what waits, in bounds, and stops. Must not reject. */
  stop(): Promise<void>;
}

const DEFAULT_READY_TIMEOUT_MS = 2_000;
const DEFAULT_FRESH_TIMEOUT_MS = 1_000;

export class Environment {
  /** Null without a server to ask. */
  readonly link: ServerLink | null;
  /** Without polls in the background: how old state may be for those who do not say, in milliseconds. */
  readonly watchEveryMs: number | undefined;
  readonly #runtime: Runtime;
  readonly #logger: AndonLogger;
  readonly #events: Emitter;
  readonly #store = new SnapshotStore();
  readonly #freshness: Freshness;
  readonly #applied = new Set<() => void>();
  readonly #inquiry: Inquiry;
  /** Those who wait for a contact. */
  readonly #contacts = new Waiters();
  readonly #cache: StateCache | null;
  readonly #localNames: LocalNames;
  readonly #poller: Poller | null;
  #companion: Companion | null = null;
  #closing: Promise<void> | null = null;
  #isClosed = false;
  /** Was closed and is used again, and has not asked since. */
  #mustAsk = false;

  /** Starts polling. */
  constructor(
    options: ResolvedOptions,
    {
      runtime,
      logger,
      events,
      cache,
    }: { runtime: Runtime; logger: AndonLogger; events: Emitter; cache: StateCache | null },
  ) {
    this.#runtime = runtime;
    this.#logger = logger;
    this.#events = events;
    this.#cache = cache;
    this.#localNames = new LocalNames(options.localKill, logger);
    this.#freshness = new Freshness(runtime, options, {
      stale: (staleMs) => this.#becameStale(staleMs),
      live: () => events.emit("live", { revision: this.#store.revision }),
    });
    this.#store.seed(cache?.load() ?? null, this.#readBootstrap(options.bootstrap));
    this.link = linkTo(options, runtime);
    const isAsked = runtime.isRequestBound === true;
    this.#poller = this.link === null || isAsked ? null : this.#makePoller(this.link, options);
    this.watchEveryMs = this.link !== null && isAsked ? options.pollIntervalMs : undefined;
    this.#inquiry = this.#makeInquiry();
    this.#start();
  }

  get compiled(): CompiledSnapshot | null {
    return this.#store.compiled;
  }

  get isLive(): boolean {
    return this.#store.origin === "live";
  }

  /** Age of the last contact in milliseconds; null before the first. */
  get staleMs(): number | null {
    return this.#freshness.staleMs;
  }

  /** Starts it with the polling, and ends it with that. */
  accompany(companion: Companion): void {
    this.#companion = companion;
    companion.start();
  }

  /** As `Andon.ready`. */
  async ready(timeoutMs: number | undefined): Promise<Origin> {
    this.wake();
    const { origin } = this.#store;
    if (this.link === null || this.#closing !== null) return origin;
    if (!this.#freshness.isConfirmed) {
      const limitMs = orDefault(timeoutMs, DEFAULT_READY_TIMEOUT_MS);
      this.#inquiry.start(limitMs);
      // This timer holds the process: somebody awaits the answer.
      await this.#contacts.wait((timeUp) => this.#runtime.startTimer(timeUp, limitMs, true));
    }
    if (this.#freshness.isConfirmed) return "live";
    return this.#store.origin === "live" ? "cache" : this.#store.origin;
  }

  /** As `Andon.fresh`. */
  async fresh(givenMaxStaleMs: number | undefined, timeoutMs: number | undefined): Promise<boolean> {
    const maxStaleMs = orDefault(givenMaxStaleMs, 0);
    const isTooOld = this.isTooOld(maxStaleMs) || maxStaleMs === 0;
    if (!isTooOld || this.link === null) return !isTooOld;
    const askedMs = this.#runtime.monotonicMs();
    await this.#inquiry.wait(orDefault(timeoutMs, DEFAULT_FRESH_TIMEOUT_MS));
    const sinceAskedMs = this.#runtime.monotonicMs() - askedMs;
    return !this.#mustAsk && this.#freshness.ageMs <= maxStaleMs + sinceAskedMs;
  }

  isTooOld(maxStaleMs: number | undefined = this.watchEveryMs): boolean {
    this.wake();
    return this.#mustAsk || (maxStaleMs !== undefined && this.#freshness.ageMs > maxStaleMs);
  }

  /** Calls back after every applied snapshot, synchronously after it decides. Returns the unsubscriber. */
  onApplied(listener: () => void): () => void {
    this.#applied.add(listener);
    return () => {
      this.#applied.delete(listener);
    };
  }

  /** The server has told of this revision elsewhere. */
  news(revision: Revision): void {
    this.#poller?.news(revision);
  }

  /** Of a client that is used after it was closed. While it closes, it is woken once it has. */
  wake(): void {
    if (this.#closing === null || this.link === null) return;
    this.#mustAsk = true;
    if (!this.#isClosed) return;
    this.#isClosed = false;
    this.#closing = null;
    this.#inquiry.answered();
    this.#start();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #readBootstrap(bootstrap: unknown): Snapshot | null {
    if (bootstrap === undefined || bootstrap === null) return null;
    const parsed = parseSnapshot(bootstrap);
    if (parsed.ok) return parsed.snapshot;
    this.#logger.error({ problem: parsed.problem }, 'Option "bootstrap" is not a snapshot; ignored');
    return null;
  }

  #makePoller(link: ServerLink, options: ResolvedOptions): Poller {
    const store = this.#store;
    const host = {
      get knownRevision(): Revision | null {
        return store.knownRevision;
      },
      offer: (snapshot: Snapshot) => this.#offer(snapshot),
      contact: (serverStaleMs: number, askedMs: number) => this.#contact(serverStaleMs, askedMs),
      regained: () => this.#companion?.regained(),
    };
    return new Poller(link, options, host, this.#logger);
  }

  #makeInquiry(): Inquiry {
    const poller = this.#poller;
    const host = {
      isPolled: poller !== null,
      get asking() {
        return poller?.asking ?? null;
      },
      ask: (timeoutMs: number) => this.#ask(timeoutMs),
    };
    return new Inquiry(this.#runtime, this.#freshness, host);
  }

  #offer(snapshot: Snapshot): Verdict {
    const previous = this.#store.compiled?.snapshot ?? null;
    const verdict = this.#store.offer(snapshot);
    if (verdict !== "applied") return verdict;
    for (const listener of Array.from(this.#applied)) callSafely(listener, "applied", this.#logger);
    this.#cache?.save(snapshot);
    const { revision } = snapshot;
    this.#events.emit("change", { revision, previous: previous?.revision ?? null });
    for (const flag of newTrips(previous, snapshot)) this.#events.emit("trip", { flag, revision });
    return verdict;
  }

  /** Polls once, beside the poller, whose own poll may be parked, or may have died with a freeze. */
  async #ask(answerTimeoutMs: number): Promise<void> {
    if (this.link === null) return;
    const askedMs = this.#runtime.monotonicMs();
    const revision = this.#store.knownRevision;
    const outcome = await poll(this.link, { revision, waitSeconds: 0, answerTimeoutMs });
    if (outcome.kind === "failed") return;
    if (outcome.kind === "snapshot" && this.#offer(outcome.snapshot) === "older") return;
    this.#contact(outcome.serverStaleMs, askedMs);
  }

  #contact(serverStaleMs: number, askedMs: number): void {
    this.#store.confirm();
    if (this.#store.compiled !== null) this.#localNames.check(this.#store.compiled.flags);
    this.#freshness.contact(serverStaleMs, askedMs);
    if (!this.#freshness.isConfirmed) return;
    this.#mustAsk = false;
    this.#inquiry.answered();
    this.#contacts.release();
  }

  #becameStale(staleMs: number | null): void {
    const details: AndonEvents["stale"] = { staleMs, revision: this.#store.revision };
    this.#logger.error(details, "No contact with Andon for too long; decisions go on by the last known state");
    this.#events.emit("stale", details);
  }

  #start(): void {
    this.#freshness.start();
    this.#poller?.start();
    this.#companion?.start();
  }

  async #close(): Promise<void> {
    this.#mustAsk = false;
    this.#contacts.release();
    this.#freshness.stop();
    await Promise.all([this.#poller?.stop(), this.#companion?.stop()]);
    if (this.link !== null) await farewell(this.link, this.#logger);
    await this.#cache?.settled();
    this.link?.transport.close();
    this.#isClosed = true;
    if (this.#mustAsk) this.wake();
  }
}

/** A time that was given and is one. */
function orDefault(givenMs: number | undefined, defaultMs: number): number {
  return givenMs === undefined || Number.isNaN(givenMs) ? defaultMs : givenMs;
}
