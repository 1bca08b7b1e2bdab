/**
 * How old the last contact with the server is, and the news when it becomes too old or fresh again. Monotonic clock only:
 * a jump of the wall clock neither ages nor refreshes anything. State never expires by this; it only says its age.
 */
import type { Runtime } from "../runtime.ts";

/** Intervals without contact, beyond one parked poll, after which the state counts as stale. */
const STALE_AFTER_INTERVALS = 3;

export interface FreshnessNews {
  stale(staleMs: number | null): void;
  live(): void;
}

export class Freshness {
  readonly #runtime: Runtime;
  readonly #staleAfterMs: number;
  readonly #news: FreshnessNews;
  /** On the monotonic clock, moved back by what the server said of its own age; null before the first contact. */
  #contactAtMs: number | null = null;
  #isStale = false;
  #cancelTimer: () => void = nothing;

  constructor(runtime: Runtime, options: { pollIntervalMs: number; waitSeconds: number }, news: FreshnessNews) {
    this.#runtime = runtime;
    this.#staleAfterMs = STALE_AFTER_INTERVALS * options.pollIntervalMs + options.waitSeconds * 1_000;
    this.#news = news;
  }

  /** Age of the last contact in milliseconds; null before the first. */
  get staleMs(): number | null {
    return this.#contactAtMs === null ? null : this.#runtime.monotonicMs() - this.#contactAtMs;
  }

  get hadContact(): boolean {
    return this.#contactAtMs !== null;
  }

  /** Starts to wait for a first contact. */
  start(): void {
    this.#checkIn(this.#staleAfterMs);
  }

  /** Notes a contact; `serverStaleMs` is the age of what the server knows. */
  contact(serverStaleMs: number): void {
    this.#contactAtMs = this.#runtime.monotonicMs() - serverStaleMs;
    this.#check();
  }

  stop(): void {
    this.#cancelTimer();
    this.#cancelTimer = nothing;
  }

  #check(): void {
    const staleMs = this.staleMs;
    const wasStale = this.#isStale;
    this.#isStale = staleMs === null || staleMs >= this.#staleAfterMs;
    if (this.#isStale) {
      this.stop();
      if (!wasStale) this.#news.stale(staleMs);
      return;
    }
    this.#checkIn(this.#staleAfterMs - (staleMs ?? 0));
    if (wasStale) this.#news.live();
  }

  #checkIn(delayMs: number): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#runtime.startTimer(() => this.#check(), Math.ceil(delayMs), false);
  }
}

function nothing(): void {
  // No timer is running.
}
