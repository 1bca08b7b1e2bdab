/**
 * Asks the server out of turn, for those who will not decide by old state: one question at a time, shared by all who wait,
 * each for their own time. Invariant: an outage costs one wait, not one per call.
 */
import type { Freshness } from "./freshness.ts";
import type { Asking } from "./poller.ts";
import type { Runtime } from "../runtime.ts";

/** A process that was frozen and runs again asks again in an outage, but no more often than this. */
const ASK_AGAIN_MS = 30_000;
/** The same where no polls tell of the end of an outage. */
const ASK_AGAIN_UNPOLLED_MS = 5_000;

export interface InquiryHost {
  /** Polls go on in the background. */
  readonly isPolled: boolean;
  /** A poll under way that answers the question as well. */
  readonly asking: Asking | null;
  /** Asks once, for as long. Must not reject. */
  ask(timeoutMs: number): Promise<unknown>;
}

export class Inquiry {
  readonly #runtime: Runtime;
  readonly #freshness: Freshness;
  readonly #host: InquiryHost;
  #current: Asking | null = null;
  /** By when the current question is answered or given up, unless it went with the request that had asked it. */
  #currentUntilMs = 0;
  /** When a question stayed without an answer; null when the last one was answered. */
  #unansweredMs: number | null = null;
  #answeredMs = Number.NEGATIVE_INFINITY;

  constructor(runtime: Runtime, freshness: Freshness, host: InquiryHost) {
    this.#runtime = runtime;
    this.#freshness = freshness;
    this.#host = host;
  }

  /** Resolves when the server was asked, after `timeoutMs`, or at once in an outage that has cost somebody a wait. */
  async wait(timeoutMs: number): Promise<void> {
    if (this.#isOutage) return;
    const askedMs = this.#runtime.monotonicMs();
    const { done } = this.start(timeoutMs);
    await atMost(this.#runtime, done, timeoutMs);
    if (this.#answeredMs < askedMs) this.#unansweredMs = this.#runtime.monotonicMs();
  }

  /** The question that is under way, or a new one. */
  start(timeoutMs: number): Asking {
    const { ranSinceMs } = this.#freshness;
    const nowMs = this.#runtime.monotonicMs();
    const known = (nowMs <= this.#currentUntilMs ? this.#current : null) ?? this.#host.asking;
    // One from before a freeze is not waited for: its connection may be dead, and its answer old.
    if (known !== null && known.sinceMs >= ranSinceMs) return known;
    this.#currentUntilMs = nowMs + timeoutMs;
    const done = this.#host.ask(timeoutMs).then(() => {
      if (this.#current === asking) this.#current = null;
    });
    const asking: Asking = { sinceMs: nowMs, done };
    this.#current = asking;
    return asking;
  }

  /** The server was reached. */
  answered(): void {
    this.#unansweredMs = null;
    this.#answeredMs = this.#runtime.monotonicMs();
  }

  get #isOutage(): boolean {
    const sinceMs = this.#unansweredMs;
    if (sinceMs === null) return false;
    // While the process runs its polls go on, and tell of the end of the outage.
    if (this.#host.isPolled && this.#freshness.ranSinceMs <= sinceMs) return true;
    const againMs = this.#host.isPolled ? ASK_AGAIN_MS : ASK_AGAIN_UNPOLLED_MS;
    return this.#runtime.monotonicMs() - sinceMs < againMs;
  }
}

/** Resolves with the promise, which must not reject, or after the time, whichever is first. Holds the process. */
export function atMost(runtime: Runtime, promise: Promise<unknown>, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cancel = runtime.startTimer(resolve, timeoutMs, true);
    void promise.then(() => {
      cancel();
      resolve();
    });
  });
}
