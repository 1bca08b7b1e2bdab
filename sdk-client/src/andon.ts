/**
 * The client: holds the last known state of one environment, keeps it fresh in the background and decides by it. The
 * constructor never throws and never keeps the process alive; evaluating never throws and never waits.
 */
import { SnapshotCache } from "./sync/cache.ts";
import { CheckCounts } from "./reporting/evaluations.ts";
import type { CompiledFlag } from "./evaluate/compile.ts";
import { evaluate, type EvaluationSettings, type OnUnknown } from "./evaluate/evaluate.ts";
import { type WhyFallback, whyFallback } from "./degrade.ts";
import { type AndonEvent, type AndonEvents, type AndonListener, callSafely, Emitter } from "./events.ts";
import { addExitFlush, dropExitFlush, EXIT_FLUSH_MS } from "./reporting/exit-flush.ts";
import { Freshness } from "./sync/freshness.ts";
import type { GuardHost, UsageDraft } from "./guard-host.ts";
import { atMost, Inquiry } from "./sync/inquiry.ts";
import { LocalNames } from "./sync/local-header.ts";
import { type AndonLogger, consoleLogger, isLogger, safeLogger } from "./logger.ts";
import { type ModelTable, modelTable } from "./evaluate/model-table.ts";
import { type AndonOptions, type ResolvedOptions, resolveOptions } from "./options.ts";
import { parseSnapshot } from "./wire/parse-snapshot.ts";
import type { ServerLink } from "./sync/request.ts";
import { poll } from "./sync/poll.ts";
import { Poller, type Verdict } from "./sync/poller.ts";
import {
  DEFAULT_OFF_MESSAGE,
  type ChainStep,
  type Decision,
  type EvaluationContext,
  type Snapshot,
  type SnapshotFlag,
} from "./wire/protocol.ts";
import type { Revision } from "./wire/revision.ts";
import type { UsageRecord } from "./wire/usage-protocol.ts";
import { parseReport, type UsageReport } from "./reporting/record.ts";
import { processEnv, type Runtime, systemRuntime } from "./runtime.ts";
import { farewell, linkTo } from "./sync/server-link.ts";
import { type Origin, SnapshotStore } from "./sync/snapshot-store.ts";
import { newTrips } from "./sync/trips.ts";
import { UnknownFlags } from "./sync/unknown-flags.ts";
import { UsageReporter, type UsageStats } from "./reporting/reporter.ts";
import { Waiters } from "./sync/waiters.ts";

/** How `ready` found the client: by the server's state, by older state, or by none. */
export type Readiness = Origin;

/** Seams for tests. @internal */
export interface AndonInternals {
  runtime?: Runtime;
  env?: Readonly<Record<string, string | undefined>>;
}

const DEFAULT_READY_TIMEOUT_MS = 2_000;
const DEFAULT_FRESH_TIMEOUT_MS = 1_000;
const NOTHING_REPORTED: UsageStats = Object.freeze({
  waiting: 0,
  acknowledgedRecords: 0,
  summedAttempts: 0,
  droppedRecords: 0,
});
const NO_SNAPSHOT = modelTable({ blocked: [] });
const NO_STEPS: readonly ChainStep[] = Object.freeze([]);

export class Andon implements GuardHost {
  /** The name under which the server knows this process. */
  readonly instance: string;
  readonly logger: AndonLogger;
  readonly #runtime: Runtime;
  readonly #settings: EvaluationSettings;
  readonly #onUnknown: OnUnknown;
  readonly #store = new SnapshotStore();
  readonly #freshness: Freshness;
  readonly #events: Emitter;
  readonly #applied = new Set<() => void>();
  readonly #inquiry: Inquiry;
  /** Those who wait for a contact. */
  readonly #contacts = new Waiters();
  readonly #cache: SnapshotCache | null;
  readonly #link: ServerLink | null;
  readonly #checks = new CheckCounts();
  readonly #unknownFlags: UnknownFlags;
  readonly #localNames: LocalNames;
  readonly #poller: Poller | null;
  readonly #reporter: UsageReporter | null;
  #closing: Promise<void> | null = null;
  #isClosed = false;
  /** Was closed and is used again, and has not asked since. */
  #mustAsk = false;

  /** Starts polling. Bad options are logged by name; without a usable `url` and `token` nothing is polled. */
  constructor(options?: AndonOptions, internals: AndonInternals = {}) {
    this.#runtime = internals.runtime ?? systemRuntime;
    const given = readable(options);
    this.logger = safeLogger(isLogger(given?.logger) ? given.logger : consoleLogger(() => this.#runtime.monotonicMs()));
    const resolved = resolveOptions(given, internals.env ?? processEnv());
    this.#unknownFlags = new UnknownFlags(this.logger);
    this.#localNames = new LocalNames(resolved.localKill, this.logger);
    for (const problem of resolved.problems) this.logger.error({}, problem);
    if (options !== undefined && given === undefined) this.logger.error({}, "The options of Andon cannot be read");
    this.instance = resolved.instance;
    this.#settings = { instance: resolved.instance, localKill: resolved.localKill };
    this.#onUnknown = resolved.onUnknown;
    this.#events = new Emitter(this.logger);
    this.#freshness = new Freshness(this.#runtime, resolved, {
      stale: (staleMs) => this.#becameStale(staleMs),
      live: () => this.#events.emit("live", { revision: this.#store.revision }),
    });
    const { server, cacheFile } = resolved;
    this.#cache = server === null || cacheFile === null ? null : SnapshotCache.open(cacheFile, server, this.logger);
    this.#store.seed(this.#cache?.load() ?? null, this.#readBootstrap(resolved.bootstrap));
    this.#link = linkTo(resolved, this.#runtime);
    this.#poller = this.#link === null ? null : this.#makePoller(this.#link, resolved);
    this.#reporter = this.#link === null ? null : this.#makeReporter(this.#link, resolved);
    this.#inquiry = this.#makeInquiry();
    this.#start();
  }

  /**
   * Resolves `"live"` once the server has answered since this process ran: one that was frozen and runs again, or a client
   * that was closed, asks anew. When `timeoutMs` (2,000) is up, or there is no server to ask, with what there is instead:
   * `"cache"` (older state of the server, from the file or of this process), `"bootstrap"` or `"none"`. Never rejects.
   */
  async ready(options?: { timeoutMs?: number }): Promise<Readiness> {
    this.#wake();
    const { origin } = this.#store;
    if (this.#poller === null || this.#closing !== null) return origin;
    if (!this.#freshness.isConfirmed) {
      const timeoutMs = orDefault(options?.timeoutMs, DEFAULT_READY_TIMEOUT_MS);
      this.#inquiry.start(timeoutMs);
      // This timer holds the process: somebody awaits the answer.
      await this.#contacts.wait((timeUp) => this.#runtime.startTimer(timeUp, timeoutMs, true));
    }
    if (this.#freshness.isConfirmed) return "live";
    return this.#store.origin === "live" ? "cache" : this.#store.origin;
  }

  /**
   * Asks the server first when the last contact is more than `maxStaleMs` (0) ago, by either clock, and waits for the
   * answer, `timeoutMs` (1,000) at most; in an outage only the first to ask waits. True when the state is as fresh as that
   * now; else the last known state goes on deciding. For processes that are frozen between requests. Never rejects.
   */
  async fresh(options?: { maxStaleMs?: number | undefined; timeoutMs?: number | undefined }): Promise<boolean> {
    const maxStaleMs = orDefault(options?.maxStaleMs, 0);
    const isTooOld = this.isTooOld(maxStaleMs) || maxStaleMs === 0;
    if (!isTooOld || this.#link === null) return !isTooOld;
    const askedMs = this.#runtime.monotonicMs();
    await this.#inquiry.wait(orDefault(options?.timeoutMs, DEFAULT_FRESH_TIMEOUT_MS));
    const sinceAskedMs = this.#runtime.monotonicMs() - askedMs;
    return !this.#mustAsk && this.#freshness.ageMs <= maxStaleMs + sinceAskedMs;
  }

  isTooOld(maxStaleMs: number | undefined): boolean {
    this.#wake();
    return this.#mustAsk || (maxStaleMs !== undefined && this.#freshness.ageMs > maxStaleMs);
  }

  /** True when the feature may run for this context. Never throws. */
  isEnabled(flag: string, context?: EvaluationContext, options?: { onUnknown?: OnUnknown }): boolean {
    return this.evaluate(flag, context, options).enabled;
  }

  /** The decision for one flag and context. Never throws. `onUnknown` answers for flags that no snapshot knows. */
  evaluate(flag: string, context?: EvaluationContext, options?: { onUnknown?: OnUnknown }): Decision {
    if (this.#closing !== null) this.#wake();
    const decision = evaluate(
      this.#store.compiled,
      flag,
      context,
      this.#settings,
      options?.onUnknown ?? this.#onUnknown,
      this.#freshness.staleMs,
    );
    this.#checks.count(flag, decision.enabled);
    if (decision.reason === "UNKNOWN" && this.#store.origin === "live") this.#unknownFlags.tell(flag);
    return decision;
  }

  /**
   * Runs `ai` while the flag is on, and `fallback` when it is off or Claude failed: an error of the guard, a failed connection,
   * or a status other than 400, 413 and 422. Every other error of `ai` is thrown on, as those of `fallback` are.
   */
  async run<T>(
    flag: string,
    context: EvaluationContext | undefined,
    ai: (decision: Decision) => T | Promise<T>,
    fallback: (why: WhyFallback) => T | Promise<T>,
  ): Promise<T> {
    const decision = this.evaluate(flag, context);
    const message = decision.message === "" ? DEFAULT_OFF_MESSAGE : decision.message;
    if (!decision.enabled) return fallback({ because: "off", message, error: null });
    let why: WhyFallback;
    try {
      return await ai(decision);
    } catch (error) {
      const because = whyFallback(error);
      if (because === null) throw error;
      const told = because === "off" && error instanceof Error ? error.message : message;
      why = { because, message: told, error };
    }
    this.logger.warn({ flag, because: why.because, err: why.error }, "The path without AI answers");
    return fallback(why);
  }

  /** As `evaluate`, without counting as a check of the flag. */
  decide(flag: string, context?: EvaluationContext): Decision {
    const staleMs = this.#freshness.staleMs;
    return evaluate(this.#store.compiled, flag, context, this.#settings, this.#onUnknown, staleMs);
  }

  /**
   * Reports what a call used that no guard saw: the results of a batch, or a call by other means. Usage is counts and
   * names, never content. Never throws; a record that is not valid is logged and not sent.
   */
  report(record: UsageReport): void {
    const parsed = parseReport(record, this.#runtime.nowMs());
    if (parsed.ok) this.#add(parsed.record);
    else this.logger.error({ problem: parsed.problem }, "A record given to report() is not valid; it is not sent");
  }

  /** Takes a guard's note that it holds calls of the flag. */
  guarded(flag: string, sdk: string): void {
    this.#checks.guarded(flag, sdk);
  }

  /** Counts a call that a guard refused by a limit of the flag. */
  limited(flag: string): void {
    this.#checks.limited(flag);
  }

  /** Takes a guard's note of what an attempt used. */
  record(used: UsageDraft): void {
    if (this.#reporter === null) this.#wake();
    else this.#add({ id: crypto.randomUUID(), at: this.#runtime.nowMs(), ...used });
  }

  #add(record: UsageRecord): void {
    this.#reporter?.add(record);
    this.#wake();
  }

  /** How much usage waits to be sent, was acknowledged, summed or lost; zeros without a server. */
  usageStats(): UsageStats {
    return this.#reporter?.stats ?? NOTHING_REPORTED;
  }

  on<Event extends AndonEvent>(event: Event, listener: AndonListener<Event>): this {
    this.#events.on(event, listener);
    return this;
  }

  off<Event extends AndonEvent>(event: Event, listener: AndonListener<Event>): this {
    this.#events.off(event, listener);
    return this;
  }

  /**
   * Sends the usage that waits, and ends nothing: for functions whose process is frozen once they have answered. True when
   * the server has taken all; after `timeoutMs` (2,000), or a failure, false: what waits is kept and sent later. Never
   * rejects.
   */
  async flush(options?: { timeoutMs?: number }): Promise<boolean> {
    this.#wake();
    if (this.#reporter === null) return true;
    let isDone = false;
    const flushed = this.#reporter.flush().then((isSent) => {
      isDone = isSent;
    });
    await atMost(this.#runtime, flushed, orDefault(options?.timeoutMs, EXIT_FLUSH_MS));
    return isDone;
  }

  /**
   * Sends the usage that waits, in two seconds at most, stops polling, tells the server and lets go of everything. Never
   * rejects. A client that is used after it wakes up: it polls and reports again, and a guard asks the server first.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  get hasState(): boolean {
    return this.#store.compiled !== null;
  }

  /** The flag as the current snapshot has it. */
  flag(key: string): SnapshotFlag | undefined {
    return this.#flag(key)?.source;
  }

  /** The steps of the flag's chain, blocked models included; `[]` without a chain. */
  chain(key: string): readonly ChainStep[] {
    return this.#flag(key)?.steps ?? NO_STEPS;
  }

  isBlocked(model: string): boolean {
    return this.models.isBlocked(model);
  }

  /** What the current snapshot knows of model names; only the built-in prices without one. */
  get models(): ModelTable {
    return this.#store.compiled?.models ?? NO_SNAPSHOT;
  }

  /** Calls back after every applied snapshot, synchronously after it decides. Returns the unsubscriber. */
  onApplied(listener: () => void): () => void {
    this.#applied.add(listener);
    return () => {
      this.#applied.delete(listener);
    };
  }

  #flag(key: string): CompiledFlag | undefined {
    return this.#store.compiled?.flags.get(key);
  }

  #readBootstrap(bootstrap: unknown): Snapshot | null {
    if (bootstrap === undefined || bootstrap === null) return null;
    const parsed = parseSnapshot(bootstrap);
    if (parsed.ok) return parsed.snapshot;
    this.logger.error({ problem: parsed.problem }, 'Option "bootstrap" is not a snapshot; ignored');
    return null;
  }

  #makePoller(link: ServerLink, resolved: ResolvedOptions): Poller {
    const store = this.#store;
    const host = {
      get knownRevision(): Revision | null {
        return store.knownRevision;
      },
      offer: (snapshot: Snapshot) => this.#offer(snapshot),
      contact: (serverStaleMs: number, askedMs: number) => this.#contact(serverStaleMs, askedMs),
      regained: () => this.#reporter?.contactRegained(),
    };
    return new Poller(link, resolved, host, this.logger);
  }

  #makeReporter(link: ServerLink, resolved: ResolvedOptions): UsageReporter {
    const flush = (): Promise<unknown> => reporter.flush();
    const host = {
      sawRevision: (revision: Revision) => this.#poller?.news(revision),
      waiting: (isWaiting: boolean) => (isWaiting ? addExitFlush(flush) : dropExitFlush(flush)),
    };
    const options = { ...resolved, checks: this.#checks, promptThresholds: () => this.models.promptThresholds() };
    const reporter = new UsageReporter(link, options, host, this.logger);
    return reporter;
  }

  #offer(snapshot: Snapshot): Verdict {
    const previous = this.#store.compiled?.snapshot ?? null;
    const verdict = this.#store.offer(snapshot);
    if (verdict !== "applied") return verdict;
    for (const listener of Array.from(this.#applied)) callSafely(listener, "applied", this.logger);
    this.#cache?.save(snapshot);
    const { revision } = snapshot;
    this.#events.emit("change", { revision, previous: previous?.revision ?? null });
    for (const flag of newTrips(previous, snapshot)) this.#events.emit("trip", { flag, revision });
    return verdict;
  }

  #makeInquiry(): Inquiry {
    const poller = this.#poller;
    const host = {
      get asking() {
        return poller?.asking ?? null;
      },
      ask: (timeoutMs: number) => this.#ask(timeoutMs),
    };
    return new Inquiry(this.#runtime, this.#freshness, host);
  }

  /** Polls once, beside the poller, whose own poll may be parked, or may have died with a freeze. */
  async #ask(answerTimeoutMs: number): Promise<void> {
    if (this.#link === null) return;
    const askedMs = this.#runtime.monotonicMs();
    const revision = this.#store.knownRevision;
    const outcome = await poll(this.#link, { revision, waitSeconds: 0, answerTimeoutMs });
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
    this.logger.error(details, "No contact with Andon for too long; decisions go on by the last known state");
    this.#events.emit("stale", details);
  }

  #start(): void {
    this.#freshness.start();
    this.#poller?.start();
    this.#reporter?.start();
  }

  /** Of a client that is used after it was closed. While it closes, it is woken once it has. */
  #wake(): void {
    if (this.#closing === null || this.#poller === null) return;
    this.#mustAsk = true;
    if (!this.#isClosed) return;
    this.#isClosed = false;
    this.#closing = null;
    this.#inquiry.answered();
    this.#start();
  }

  async #close(): Promise<void> {
    this.#mustAsk = false;
    this.#contacts.release();
    this.#freshness.stop();
    await Promise.all([this.#poller?.stop(), this.#lastReport()]);
    if (this.#link !== null) await farewell(this.#link, this.logger);
    await this.#cache?.settled();
    this.#link?.transport.close();
    this.#isClosed = true;
    if (this.#mustAsk) this.#wake();
  }

  async #lastReport(): Promise<void> {
    if (this.#reporter === null) return;
    await atMost(this.#runtime, this.#reporter.flush(), EXIT_FLUSH_MS);
    this.#reporter.stop();
  }
}

/** A time that was given and is one. */
function orDefault(givenMs: number | undefined, defaultMs: number): number {
  return givenMs === undefined || Number.isNaN(givenMs) ? defaultMs : givenMs;
}

/** A plain copy of the options; undefined when reading them throws. */
function readable(options: AndonOptions | undefined): AndonOptions | undefined {
  try {
    return options === undefined ? undefined : { ...options };
  } catch {
    // A getter or proxy of the caller threw; the constructor says so in the log.
    return undefined;
  }
}
