/**
 * Asks the server out of turn, for those who will not decide by old state: one question at a time, shared by all who wait,
 * each for their own time. Invariant: an outage costs one wait, not one per call.
 */
import type { Freshness } from "./freshness.ts";
import type { Asking } from "./poller.ts";
import type { Runtime } from "../runtime.ts";

/** A process that was frozen and runs again asks again in an outage, but no more often than this. */
const ASK_AGAIN_MS = 30_000;

export interface InquiryHost {
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
  /** When a question stayed without an answer; null when the last one was answered. */
  #unansweredMs: number | null = null;

  constructor(runtime: Runtime, freshness: Freshness, host: InquiryHost) {
    this.#runtime = runtime;
    this.#freshness = freshness;
    this.#host = host;
  }

  /** Resolves when the server was asked, after `timeoutMs`, or at once in an outage that has cost somebody a wait. */
  async wait(timeoutMs: number): Promise<void> {
    if (this.#isOutage) return;
    const { done } = this.start(timeoutMs);
    await atMost(this.#runtime, done, timeoutMs);
    if (!this.#freshness.isConfirmed) this.#unansweredMs = this.#runtime.monotonicMs();
  }

  /** The question that is under way, or a new one. */
  start(timeoutMs: number): Asking {
    const { ranSinceMs } = this.#freshness;
    const known = this.#current ?? this.#host.asking;
    // One from before a freeze is not waited for: its connection may be dead, and its answer old.
    if (known !== null && known.sinceMs >= ranSinceMs) return known;
    const sinceMs = this.#runtime.monotonicMs();
    const done = this.#host.ask(timeoutMs).then(() => {
      if (this.#current === asking) this.#current = null;
    });
    const asking: Asking = { sinceMs, done };
    this.#current = asking;
    return asking;
  }

  /** The server was reached. */
  answered(): void {
    this.#unansweredMs = null;
  }

  get #isOutage(): boolean {
    const sinceMs = this.#unansweredMs;
    if (sinceMs === null) return false;
    // While the process runs its polls go on, and tell of the end of the outage.
    if (this.#freshness.ranSinceMs <= sinceMs) return true;
    return this.#runtime.monotonicMs() - sinceMs < ASK_AGAIN_MS;
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
