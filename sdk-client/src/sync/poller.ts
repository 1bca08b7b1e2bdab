/**
 * The loop that never gives up. Whatever a poll comes to, another one follows: at once after news (that poll is the
 * receipt) and after a parked poll, after a pause when the server does not park, after a capped backoff when it failed.
 * Only `stop` ends it. Waits are measured on the monotonic clock, so that a jump of the wall clock moves nothing.
 */
import { answerTimeoutMs, backoffMs } from "./backoff.ts";
import type { AndonLogger } from "../logger.ts";
import { poll, type PollOutcome } from "./poll.ts";
import type { ServerLink } from "./request.ts";
import { Stop } from "./stop.ts";
import { parseRevision, type Revision } from "../wire/revision.ts";
import type { Snapshot } from "../wire/protocol.ts";

/** What became of a snapshot that was offered. */
export type Verdict = "applied" | "same" | "older";

export interface PollerHost {
  /** The revision that decides now, if the server should be told; null for none. */
  readonly knownRevision: Revision | null;
  offer(snapshot: Snapshot): Verdict;
  /**
   * The server was reached and agrees with what is known; `serverStaleMs` is the age of what it knows itself, `askedMs`
   * when it was asked, on the monotonic clock.
   */
  contact(serverStaleMs: number, askedMs: number): void;
  /** That contact came after one or more polls had failed. */
  regained(): void;
}

/** A question under way: when it was sent, on the monotonic clock, and its end. */
export interface Asking {
  readonly sinceMs: number;
  readonly done: Promise<unknown>;
}

export interface PollerOptions {
  readonly pollIntervalMs: number;
  readonly waitSeconds: number;
}

interface Asked {
  readonly revision: Revision | null;
  readonly waitSeconds: number;
  readonly startedMs: number;
  readonly tookMs: number;
}

/** A 304 that took at least this long was parked; a faster one was not, whatever was asked for. */
const PARKED_AT_LEAST_MS = 1_000;
/** Polls without a pause in one interval before each gets a short one: bounds the load when news never ends. */
const MAX_IMMEDIATE_POLLS = 20;
const SHORT_PAUSE_MS = 100;
/**
 * A server that has lost its database parks nobody. So many polls then follow soon, at a fifth of the interval: the next
 * may land at a server that knows more. Bounded, for when none does.
 */
const STALE_POLLS = 6;
const STALE_SHARE = 0.2;
/** How long a parked poll has to bring news that was heard of elsewhere, before it is taken for dead. */
const NEWS_GRACE_MS = 500;

export class Poller {
  readonly #link: ServerLink;
  readonly #options: PollerOptions;
  readonly #host: PollerHost;
  readonly #logger: AndonLogger;
  #isStopped = false;
  #running: Promise<void> | null = null;
  #failures = 0;
  #lastCause: string | null = null;
  /** False until the server answered, and after a failure: then it must answer at once, not park. */
  #inContact = false;
  #immediatePolls = 0;
  /** Since a server was last heard of that has its database. */
  #stalePolls = 0;
  #windowStartMs = 0;
  #lastNews: Revision | null = null;
  #cancelNews: (() => void) | null = null;
  #isPolling = false;
  #asking: Asking | null = null;
  /** Ends the poll, or the pause, that is under way. */
  #current = new Stop();

  constructor(link: ServerLink, options: PollerOptions, host: PollerHost, logger: AndonLogger) {
    this.#link = link;
    this.#options = options;
    this.#host = host;
    this.#logger = logger;
  }

  /** Sends the first poll, after {@link stop} too. */
  start(): void {
    this.#isStopped = false;
    this.#inContact = false;
    this.#running = this.#run();
  }

  /** The poll under way that is to be answered at once, and when it was sent (monotonic); null for none. */
  get asking(): Asking | null {
    return this.#asking;
  }

  /**
   * The server has told of this revision elsewhere. Unless a parked poll brings it at once, there is a poll now: the
   * parked one may hang on a dead connection. Once per revision, so that a server that is ahead is not hammered.
   */
  news(revision: Revision): void {
    if (revision === this.#lastNews || this.#isStopped || !this.#isNewer(revision)) return;
    this.#lastNews = revision;
    this.#cancelNews?.();
    const look = (): void => {
      if (this.#isNewer(revision)) this.#current.stop();
    };
    this.#cancelNews = this.#link.runtime.startTimer(look, this.#isPolling ? NEWS_GRACE_MS : 0, false);
  }

  /** Aborts the poll that is parked and resolves when the loop has ended. */
  async stop(): Promise<void> {
    this.#cancelNews?.();
    this.#isStopped = true;
    this.#current.stop();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      this.#current = new Stop();
      const step = this.#step();
      const mayPark = this.#inContact && this.#options.waitSeconds > 0;
      this.#asking = mayPark ? null : { sinceMs: this.#link.runtime.monotonicMs(), done: step };
      const delayMs = await step;
      this.#asking = null;
      if (delayMs > 0) await this.#current.pause(this.#link.runtime, delayMs);
    }
  }

  /** One poll; answers how long to wait before the next, in milliseconds. */
  async #step(): Promise<number> {
    const { runtime } = this.#link;
    const startedMs = runtime.monotonicMs();
    const waitSeconds = this.#inContact ? this.#options.waitSeconds : 0;
    const revision = this.#host.knownRevision;
    this.#isPolling = true;
    const outcome = await poll(this.#link, {
      revision,
      waitSeconds,
      answerTimeoutMs: answerTimeoutMs(this.#options.pollIntervalMs, this.#failures),
      stop: this.#current,
    });
    this.#isPolling = false;
    if (this.#current.isStopped) {
      // Closed, or news that this poll did not bring: the next one asks for an answer at once.
      this.#inContact = false;
      return 0;
    }
    const tookMs = runtime.monotonicMs() - startedMs;
    const delayMs = this.#settle(outcome, { revision, waitSeconds, startedMs, tookMs });
    const settled = this.#inContact ? outcome.kind : "failed";
    this.#logger.debug({ outcome: settled, tookMs, delayMs }, "Polled Andon");
    return delayMs;
  }

  #settle(outcome: PollOutcome, asked: Asked): number {
    switch (outcome.kind) {
      case "failed":
        return this.#failed(outcome.cause, outcome.detail, outcome.retryAfterMs);
      case "unchanged": {
        this.#succeeded(outcome.serverStaleMs, asked.startedMs);
        const mayPark = this.#options.waitSeconds > 0;
        const parked = asked.waitSeconds > 0 && asked.tookMs >= PARKED_AT_LEAST_MS;
        const wasProbe = mayPark && asked.waitSeconds === 0;
        if (parked || wasProbe) return this.#atOnce();
        const looks = asked.waitSeconds > 0 && outcome.serverStaleMs > 0 && this.#stalePolls++ < STALE_POLLS;
        return this.#interval() * (looks ? STALE_SHARE : 1);
      }
      case "snapshot": {
        for (const warning of outcome.warnings) {
          this.#logger.warn({ at: warning }, "Part of the snapshot is malformed and was replaced");
        }
        const verdict = this.#host.offer(outcome.snapshot);
        if (verdict === "older") {
          return this.#failed("older revision", `refused ${outcome.snapshot.revision}`, null);
        }
        this.#succeeded(outcome.serverStaleMs, asked.startedMs);
        // The same again, though it was named: this server does not know If-None-Match.
        const wasUseless = verdict === "same" && asked.revision === outcome.snapshot.revision;
        return wasUseless ? this.#interval() : this.#atOnce();
      }
    }
  }

  #succeeded(serverStaleMs: number, startedMs: number): void {
    const failures = this.#failures;
    this.#failures = 0;
    this.#lastCause = null;
    this.#inContact = true;
    if (serverStaleMs === 0) this.#stalePolls = 0;
    this.#host.contact(serverStaleMs, startedMs);
    if (failures === 0) return;
    this.#logger.info({ failures }, "Andon answers again");
    this.#host.regained();
  }

  #failed(cause: string, detail: string, retryAfterMs: number | null): number {
    this.#failures += 1;
    this.#inContact = false;
    const { pollIntervalMs } = this.#options;
    const failure = { failures: this.#failures, pollIntervalMs, retryAfterMs };
    const delayMs = backoffMs(failure, this.#link.runtime.random());
    const fields = { cause, detail, failures: this.#failures, retryInMs: Math.round(delayMs) };
    // An outage is one piece of news, not one per poll.
    const level = cause === this.#lastCause ? "debug" : "warn";
    this.#logger[level](fields, "A poll of Andon failed; the last known state stays");
    this.#lastCause = cause;
    return delayMs;
  }

  #isNewer(revision: Revision): boolean {
    const known = this.#host.knownRevision;
    if (known === null || revision === known) return known === null;
    const [ours, theirs] = [parseRevision(known), parseRevision(revision)];
    if (ours === null || theirs === null) return false;
    // Another lineage: which is newer only a poll can tell.
    return ours.lineage !== theirs.lineage || theirs.n > ours.n;
  }

  /** Jittered, so that the instances of a fleet do not poll in step. */
  #interval(): number {
    return this.#options.pollIntervalMs * (0.9 + this.#link.runtime.random() * 0.1);
  }

  #atOnce(): number {
    const nowMs = this.#link.runtime.monotonicMs();
    if (nowMs - this.#windowStartMs >= this.#options.pollIntervalMs) {
      this.#windowStartMs = nowMs;
      this.#immediatePolls = 0;
    }
    this.#immediatePolls += 1;
    return this.#immediatePolls > MAX_IMMEDIATE_POLLS ? SHORT_PAUSE_MS : 0;
  }
}
