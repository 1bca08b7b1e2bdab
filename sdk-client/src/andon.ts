/**
 * The client: holds the last known state of one environment, keeps it fresh in the background and decides by it. The
 * constructor never throws and never keeps the process alive; evaluating never throws and never waits.
 */
import { SnapshotCache } from "./sync/cache.ts";
import { CheckCounts } from "./reporting/evaluations.ts";
import type { CompiledFlag } from "./evaluate/compile.ts";
import { evaluate, type EvaluationSettings, type OnUnknown } from "./evaluate/evaluate.ts";
import { type AndonEvent, type AndonEvents, type AndonListener, callSafely, Emitter } from "./events.ts";
import { addExitFlush, dropExitFlush, EXIT_FLUSH_MS } from "./reporting/exit-flush.ts";
import { Freshness } from "./sync/freshness.ts";
import type { GuardHost, UsageDraft } from "./guard-host.ts";
import { Latch } from "./sync/latch.ts";
import { LocalNames } from "./sync/local-header.ts";
import { type AndonLogger, consoleLogger, isLogger, safeLogger } from "./logger.ts";
import { type ModelTable, modelTable } from "./evaluate/model-table.ts";
import { type AndonOptions, type ResolvedOptions, resolveOptions } from "./options.ts";
import { parseSnapshot } from "./wire/parse-snapshot.ts";
import type { ServerLink } from "./sync/request.ts";
import { Poller, type Verdict } from "./sync/poller.ts";
import type { ChainStep, Decision, EvaluationContext, Snapshot, SnapshotFlag } from "./wire/protocol.ts";
import type { Revision } from "./wire/revision.ts";
import { parseReport, type UsageReport } from "./reporting/record.ts";
import { processEnv, type Runtime, systemRuntime } from "./runtime.ts";
import { farewell, linkTo } from "./sync/server-link.ts";
import { type Origin, SnapshotStore } from "./sync/snapshot-store.ts";
import { newTrips } from "./sync/trips.ts";
import { UnknownFlags } from "./sync/unknown-flags.ts";
import { UsageReporter, type UsageStats } from "./reporting/reporter.ts";

/** How `ready` found the client: by the server's state, by older state, or by none. */
export type Readiness = Origin;

/** Seams for tests. @internal */
export interface AndonInternals {
  runtime?: Runtime;
  env?: Readonly<Record<string, string | undefined>>;
}

const DEFAULT_READY_TIMEOUT_MS = 2_000;
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
  readonly #live = new Latch();
  readonly #cache: SnapshotCache | null;
  readonly #link: ServerLink | null;
  readonly #checks = new CheckCounts();
  readonly #unknownFlags: UnknownFlags;
  readonly #localNames: LocalNames;
  readonly #poller: Poller | null;
  readonly #reporter: UsageReporter | null;
  #closing: Promise<void> | null = null;

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
    this.#freshness.start();
    this.#poller?.start();
    this.#reporter?.start();
  }

  /**
   * Resolves `"live"` once the server has answered; when `timeoutMs` (2,000) is up, or there is no server to ask, with
   * what there is instead: `"cache"`, `"bootstrap"` or `"none"`. Never rejects.
   */
  async ready(options?: { timeoutMs?: number }): Promise<Readiness> {
    if (this.#store.origin !== "live" && this.#poller !== null && this.#closing === null) {
      const asked = options?.timeoutMs ?? DEFAULT_READY_TIMEOUT_MS;
      const timeoutMs = Number.isNaN(asked) ? DEFAULT_READY_TIMEOUT_MS : asked;
      // This timer holds the process: somebody awaits the answer.
      await this.#live.opened((timeUp) => this.#runtime.startTimer(timeUp, timeoutMs, true));
    }
    return this.#store.origin;
  }

  /** True when the feature may run for this context. Never throws. */
  isEnabled(flag: string, context?: EvaluationContext, options?: { onUnknown?: OnUnknown }): boolean {
    return this.evaluate(flag, context, options).enabled;
  }

  /** The decision for one flag and context. Never throws. `onUnknown` answers for flags that no snapshot knows. */
  evaluate(flag: string, context?: EvaluationContext, options?: { onUnknown?: OnUnknown }): Decision {
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
    if (parsed.ok) this.#reporter?.add(parsed.record);
    else this.logger.error({ problem: parsed.problem }, "A record given to report() is not valid; it is not sent");
  }

  /** Takes a guard's note of what an attempt used. */
  record(used: UsageDraft): void {
    this.#reporter?.add({ id: crypto.randomUUID(), at: this.#runtime.nowMs(), ...used });
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
   * Sends the usage that waits, in two seconds at most, stops polling, tells the server and lets go of everything.
   * Decisions go on by the last state. Never rejects.
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
      contact: (serverStaleMs: number) => this.#contact(serverStaleMs),
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

  #contact(serverStaleMs: number): void {
    this.#store.confirm();
    if (this.#store.compiled !== null) this.#localNames.check(this.#store.compiled.flags);
    this.#freshness.contact(serverStaleMs);
    this.#live.open();
  }

  #becameStale(staleMs: number | null): void {
    const details: AndonEvents["stale"] = { staleMs, revision: this.#store.revision };
    this.logger.error(details, "No contact with Andon for too long; decisions go on by the last known state");
    this.#events.emit("stale", details);
  }

  async #close(): Promise<void> {
    this.#live.open();
    this.#freshness.stop();
    await Promise.all([this.#poller?.stop(), this.#lastReport()]);
    if (this.#link !== null) await farewell(this.#link, this.logger);
    await this.#cache?.settled();
    this.#link?.transport.close();
  }

  async #lastReport(): Promise<void> {
    if (this.#reporter === null) return;
    await this.#atMost(this.#reporter.flush(), EXIT_FLUSH_MS);
    this.#reporter.stop();
  }

  /** Resolves with the promise or after the time, whichever is first. The promise must not reject. */
  #atMost(promise: Promise<unknown>, timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#runtime.startTimer(resolve, timeoutMs, true);
      void promise.then(() => {
        cancel();
        resolve();
      });
    });
  }
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
