/**
 * Brings usage to the server: batches it, one request at a time, and sends each batch until it is acknowledged.
 * Invariants: a batch is repeated with the same id and bytes; what is not acknowledged is kept, in bounds; what is lost
 * is said in the log and counted; it never keeps the process alive beyond a bounded flush.
 */
import { BACKOFF_CAP_MS, backoffMs } from "../sync/backoff.ts";
import type { ReportPart } from "../guard-host.ts";
import type { CheckCounts } from "./evaluations.ts";
import type { AndonLogger } from "../logger.ts";
import type { ServerLink } from "../sync/request.ts";
import { Stop } from "../sync/stop.ts";
import type { Revision } from "../wire/revision.ts";
import { type Batch, makeBatch, splitBatch } from "./batch.ts";
import { UsageBuffer } from "./buffer.ts";
import type { PromptThresholds } from "./sums.ts";
import { postUsage, type Rejected, type ReportOutcome } from "./post.ts";
import type { UsageRecord } from "../wire/usage-protocol.ts";

/** Checks alone, without any usage, are reported no more often than this. */
const CHECKS_INTERVAL_MS = 15_000;
/** Kinds of loss that are remembered as logged. */
const MAX_KINDS_LOGGED = 50;
/** Usage that waited for the server goes within this time of its answer to a poll; spread, so that a fleet does not come at once. */
const REGAINED_SPREAD_MS = 500;
/** Tries of a flush: the first may meet a connection that has died. */
const FLUSH_TRIES = 2;

/** Refusals that are believed of a batch which may have been counted before its answer was lost; else one is. */
const REFUSALS_TO_BELIEVE = 3;
/** Failures after which the batch was surely not counted; any other leaves that open. */
const NOT_COUNTED: ReadonlySet<string> = new Set(["status 401", "status 403", "status 404", "status 429"]);
/** The server has no room for this client's batches now: what they hold may come in fewer. */
const NO_ROOM = "status 429";
/** How long a flush waits after that, when the server does not say. */
const NO_ROOM_PAUSE_MS = 250;

/**
 * Longer than any report takes, in milliseconds: the request belonged to a request of the application that is over, with
 * which Cloudflare Workers end it without a word. A repeat counts once.
 */
const ABANDONED_AFTER_MS = 20_000;

export interface ReporterHost {
  /** The server's newest revision, as an acknowledgement told it. */
  sawRevision(revision: Revision): void;
  /** All of an acknowledgement. */
  answered(answer: Readonly<Record<string, unknown>>): void;
  /** Called when usage begins to wait, and when none waits any more. */
  waiting(isWaiting: boolean): void;
}

/** Attempts, since the start. */
export interface UsageStats {
  /** Records and sums that wait to be acknowledged. */
  waiting: number;
  acknowledgedRecords: number;
  /** Attempts whose details were given up to keep their sums. */
  summedAttempts: number;
  /** Lost: refused by the server, or left over when the client was closed. */
  droppedRecords: number;
}

export class UsageReporter {
  readonly #checks: CheckCounts;
  readonly #link: ServerLink;
  readonly #intervalMs: number;
  readonly #host: ReporterHost;
  readonly #logger: AndonLogger;
  readonly #buffer: UsageBuffer;
  #stop = new Stop();
  /** Counted as lost when the client was closed, and still here. */
  #leftOver = 0;
  readonly #kindsLogged = new Set<string>();
  /** What is being sent, first; more only after a split. */
  #batches: Batch[] = [];
  #sending: Promise<boolean> | null = null;
  #sendingSinceMs = 0;
  #cancelTimer: (() => void) | null = null;
  #isWaiting = false;
  #failures = 0;
  #lastCause: string | null = null;
  /** Until when the server asked for a pause, on the monotonic clock. */
  #pausedUntilMs = 0;
  /** Polls reached the server again while the report that is under way was sent. */
  #isRegained = false;
  /** Of the batch that is being sent: it may have been counted; how often it was refused in a row. */
  #isInDoubt = false;
  #refusals = 0;
  #checksSentMs: number;
  #acknowledged = 0;
  #dropped = 0;
  /** What every report carries that takes all usage along. */
  part: ReportPart | null = null;
  /** A report was asked for and has not begun. */
  #isAsked = false;

  constructor(
    link: ServerLink,
    options: { flushIntervalMs: number; checks: CheckCounts; promptThresholds: PromptThresholds },
    host: ReporterHost,
    logger: AndonLogger,
    buffer = new UsageBuffer(options.promptThresholds),
  ) {
    this.#link = link;
    this.#checks = options.checks;
    this.#intervalMs = options.flushIntervalMs;
    this.#host = host;
    this.#logger = logger;
    this.#buffer = buffer;
    this.#checksSentMs = link.runtime.monotonicMs();
  }

  /** Begins to report, after {@link stop} too: what was left over then goes now. */
  start(): void {
    this.#stop = new Stop();
    this.#dropped -= this.#leftOver;
    this.#leftOver = 0;
    if (this.stats.waiting > 0) this.#setWaiting(true);
    this.#schedule(this.#intervalMs);
  }

  get stats(): UsageStats {
    return {
      waiting: this.#buffer.size + this.#batches.reduce((sum, batch) => sum + batch.records.length, 0),
      acknowledgedRecords: this.#acknowledged,
      summedAttempts: this.#buffer.summed,
      droppedRecords: this.#dropped,
    };
  }

  add(record: UsageRecord): void {
    const droppedBefore = this.#buffer.dropped;
    this.#buffer.add(record);
    this.#noteLost(droppedBefore);
    if (!this.#isWaiting) this.#setWaiting(true);
    if (this.#buffer.holdsBatch && this.#sending === null && this.#failures === 0) this.#schedule(0);
  }

  /** A report at once, also without usage; after the one that is under way. In an outage, when it is over. */
  now(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    if (this.#sending === null && this.#failures === 0) this.#schedule(0);
  }

  /**
   * Polls reach the server again after they failed: what waits need not wait for its own next try. A pause that the
   * server asked for is kept.
   */
  contactRegained(): void {
    if (this.#sending !== null) this.#isRegained = true;
    else if (this.#failures > 0) this.#schedule(this.#soonMs());
  }

  /** Sends what waits now, without regard to pauses. True when everything was acknowledged. */
  async flush(): Promise<boolean> {
    await this.#underWay;
    for (let failures = 0; this.#hasSomething;) {
      if (await this.#send()) continue;
      if (this.#stop.isStopped) return false;
      if (this.#lastCause === NO_ROOM) {
        await this.#pause();
        continue;
      }
      failures += 1;
      if (failures >= FLUSH_TRIES || this.#stop.isStopped) return false;
    }
    return true;
  }

  /** Until the server may have room again, or the client is stopped. */
  #pause(): Promise<void> {
    const { runtime } = this.#link;
    const leftMs = Math.max(NO_ROOM_PAUSE_MS, this.#pausedUntilMs - runtime.monotonicMs());
    return this.#stop.pause(runtime, leftMs);
  }

  /** Sends nothing more. What still waits is lost, which is said in the log. */
  stop(): void {
    if (this.#stop.isStopped) return;
    this.#stop.stop();
    this.#cancelTimer?.();
    const { waiting } = this.stats;
    this.#leftOver = waiting;
    if (waiting > 0) this.#drop(waiting, "Andon could not be told of all usage before the client was closed", "closed");
    this.#setWaiting(false);
  }

  get #hasSomething(): boolean {
    return this.#batches.length > 0 || this.#buffer.size > 0 || !this.#checks.isEmpty;
  }

  /** Whether something is to be sent at this tick. */
  get #isDue(): boolean {
    if (this.#batches.length > 0 || this.#buffer.size > 0 || this.#isAsked || this.part?.isDue === true) return true;
    const sinceMs = this.#link.runtime.monotonicMs() - this.#checksSentMs;
    return !this.#checks.isEmpty && sinceMs >= CHECKS_INTERVAL_MS;
  }

  #schedule(delayMs: number): void {
    this.#cancelTimer?.();
    if (this.#stop.isStopped) return;
    this.#cancelTimer = this.#link.runtime.startTimer(
      () => {
        if (this.#isDue) void this.#send();
        else this.#schedule(this.#intervalMs);
      },
      delayMs,
      false,
    );
  }

  /** One request at a time: who asks while one is under way gets what comes of it. True: acknowledged. */
  #send(): Promise<boolean> {
    const underWay = this.#underWay;
    if (underWay !== null) return underWay;
    this.#sendingSinceMs = this.#link.runtime.monotonicMs();
    this.#sending = this.#sendNext();
    return this.#sending;
  }

  get #underWay(): Promise<boolean> | null {
    const tookMs = this.#link.runtime.monotonicMs() - this.#sendingSinceMs;
    return tookMs > ABANDONED_AFTER_MS ? null : this.#sending;
  }

  async #sendNext(): Promise<boolean> {
    this.#cancelTimer?.();
    this.#isRegained = false;
    const batch = this.#nextBatch();
    const stop = this.#stop;
    const sinceMs = this.#sendingSinceMs;
    const outcome = await postUsage(this.#link, batch.body, stop);
    // Another was begun since: this one's batch is, or was, that one's.
    if (this.#sendingSinceMs !== sinceMs) return false;
    this.#sending = null;
    if (stop.isStopped) return false;
    this.#schedule(this.#settle(batch, outcome));
    if (this.#batches.length === 0 && this.#buffer.size === 0) this.#setWaiting(false);
    return outcome.kind !== "failed";
  }

  #nextBatch(): Batch {
    const known = this.#batches[0];
    if (known !== undefined) return known;
    this.#checksSentMs = this.#link.runtime.monotonicMs();
    const records = this.#buffer.takeBatch();
    // What runs is told with all that has ended, or it would count as neither.
    const isAll = this.#buffer.size === 0;
    if (isAll) this.#isAsked = false;
    const part = isAll ? (this.part?.take() ?? "") : "";
    const batch = makeBatch(this.#link.instance, records, this.#checks.take(), part);
    this.#batches.push(batch);
    return batch;
  }

  /** Deals with what came of a batch; answers how long to wait before the next, in milliseconds. */
  #settle(batch: Batch, outcome: ReportOutcome): number {
    switch (outcome.kind) {
      case "failed":
        this.#isInDoubt ||= !NOT_COUNTED.has(outcome.cause);
        if (outcome.cause === NO_ROOM && !this.#isInDoubt) this.#thaw();
        return this.#failed(outcome.cause, outcome.detail, outcome.retryAfterMs);
      case "refused":
        this.#refusals += 1;
        // Its parts would have other ids: were it counted after all, they would count twice.
        if (this.#isInDoubt && this.#refusals < REFUSALS_TO_BELIEVE) {
          return this.#failed(`status ${outcome.status}`, "refused, though it may have been counted before", null);
        }
        this.#recovered();
        this.#divide(batch, outcome.status);
        return this.#batches.length > 0 ? 0 : this.#intervalMs;
      case "acknowledged":
        this.#recovered();
        this.#batches.shift();
        this.#acknowledged += batch.records.length - outcome.rejected.length;
        for (const rejected of outcome.rejected) this.#rejected(rejected);
        if (batch.part !== "") this.part?.counted(outcome.answer);
        if (outcome.revision !== null) this.#host.sawRevision(outcome.revision);
        this.#host.answered(outcome.answer);
        return this.#batches.length > 0 || this.#buffer.holdsBatch || this.#isAsked ? 0 : this.#intervalMs;
    }
  }

  /** Nothing of the batches was counted, so that they need not be repeated as they are: all goes into later ones. */
  #thaw(): void {
    for (const batch of this.#batches.splice(0).toReversed()) {
      const droppedBefore = this.#buffer.dropped;
      this.#buffer.putBack(batch.records);
      this.#checks.putBack(batch.checks);
      if (batch.part !== "") this.part?.lost();
      this.#noteLost(droppedBefore);
    }
  }

  #failed(cause: string, detail: string, retryAfterMs: number | null): number {
    this.#failures += 1;
    const failure = { failures: this.#failures, pollIntervalMs: this.#intervalMs, retryAfterMs };
    const { runtime } = this.#link;
    this.#pausedUntilMs = runtime.monotonicMs() + Math.min(retryAfterMs ?? 0, BACKOFF_CAP_MS);
    const delayMs = this.#isRegained ? this.#soonMs() : backoffMs(failure, runtime.random());
    const fields = { cause, detail, failures: this.#failures, retryInMs: Math.round(delayMs) };
    // An outage is one piece of news, not one per try.
    this.#logger[cause === this.#lastCause ? "debug" : "warn"](fields, "Andon could not be told of usage; it is kept");
    this.#lastCause = cause;
    return delayMs;
  }

  #soonMs(): number {
    const { runtime } = this.#link;
    return Math.max(runtime.random() * REGAINED_SPREAD_MS, this.#pausedUntilMs - runtime.monotonicMs());
  }

  #recovered(): void {
    this.#failures = 0;
    this.#lastCause = null;
    this.#isInDoubt = false;
    this.#refusals = 0;
  }

  /** The server will not have this batch: smaller ones tell the good records from the bad. */
  #divide(batch: Batch, status: number): void {
    const parts = splitBatch(this.#link.instance, batch);
    this.#batches.splice(0, 1, ...(parts ?? []));
    if (batch.part !== "") this.part?.lost();
    if (parts !== null) return;
    if (batch.records.length > 0) this.#drop(1, "Andon refused a record of usage; it is lost", `status ${status}`);
    else this.#logger.warn({ status }, "Andon refused the counts of checks; they are lost");
  }

  #rejected({ path, message }: Rejected): void {
    this.#drop(1, "Andon rejected a record of usage; it is lost", `${path.replaceAll(/\d+/g, "*")}: ${message}`);
  }

  #noteLost(droppedBefore: number): void {
    const lost = this.#buffer.dropped - droppedBefore;
    if (lost > 0) this.#drop(lost, "There is no room for more usage, not even for sums; it is lost", "no room");
  }

  /** Counts what is lost, and says so once for each kind of cause: an error per record would drown the log. */
  #drop(count: number, message: string, kind: string): void {
    this.#dropped += count;
    if (this.#kindsLogged.has(kind) || this.#kindsLogged.size >= MAX_KINDS_LOGGED) return;
    this.#kindsLogged.add(kind);
    this.#logger.error({ kind, count, dropped: this.#dropped }, message);
  }

  #setWaiting(isWaiting: boolean): void {
    if (this.#isWaiting === isWaiting) return;
    this.#isWaiting = isWaiting;
    this.#host.waiting(isWaiting);
  }
}
