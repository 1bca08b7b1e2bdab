/**
 * How old the last contact with the server is, whether the process ran ever since, and the news when it becomes too old
 * or fresh again. News and `staleMs` go by the monotonic clock only: a jump of the wall clock neither ages nor refreshes
 * anything. State never expires by this; it only says its age.
 */
import type { Runtime } from "../runtime.ts";

/** Intervals without contact, beyond one parked poll, after which the state counts as stale. */
const STALE_AFTER_INTERVALS = 3;
/** How often the process feels its own pulse, in milliseconds; without one for longer than the second it stood still. */
const PULSE_MS = 1_000;
const STOOD_STILL_MS = 2_500;

export interface FreshnessNews {
  stale(staleMs: number | null): void;
  live(): void;
}

/** A moment on both clocks, in milliseconds. */
interface Moment {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

export class Freshness {
  readonly #runtime: Runtime;
  readonly #staleAfterMs: number;
  readonly #news: FreshnessNews;
  /** Moved back by what the server said of its own age; null before the first contact. */
  #contact: Moment | null = null;
  #isStale = false;
  #startedMs = 0;
  #cancelTimer: () => void = nothing;
  #pulse: Moment;
  /** Since when the process has run without a break, on the monotonic clock. */
  #ranSinceMs: number;
  #isConfirmed = false;

  constructor(runtime: Runtime, options: { pollIntervalMs: number; waitSeconds: number }, news: FreshnessNews) {
    this.#runtime = runtime;
    this.#staleAfterMs = STALE_AFTER_INTERVALS * options.pollIntervalMs + options.waitSeconds * 1_000;
    this.#news = news;
    this.#pulse = this.#now();
    this.#ranSinceMs = this.#pulse.monotonicMs;
  }

  /** Age of the last contact in milliseconds; null before the first. */
  get staleMs(): number | null {
    return this.#contact === null ? null : this.#runtime.monotonicMs() - this.#contact.monotonicMs;
  }

  /** The same by whichever clock says more: the monotonic one may stand still with a machine that is suspended. */
  get ageMs(): number {
    return this.#contact === null ? Number.POSITIVE_INFINITY : largerGapMs(this.#contact, this.#now());
  }

  /** Since when the process has run without a break, on the monotonic clock: what was asked before may be old. */
  get ranSinceMs(): number {
    this.#feelPulse();
    return this.#ranSinceMs;
  }

  /** True when the server was asked, and answered, since the process was last frozen, and since {@link start}. */
  get isConfirmed(): boolean {
    this.#feelPulse();
    return this.#isConfirmed;
  }

  /** Starts to wait for a contact. */
  start(): void {
    this.#pulse = this.#now();
    this.#startedMs = this.#pulse.monotonicMs;
    this.#interrupted();
    this.#check();
  }

  /** Notes an answer to what was asked at `askedMs` (monotonic); `serverStaleMs` is the age of what the server knows. */
  contact(serverStaleMs: number, askedMs: number): void {
    const now = this.#now();
    this.#isConfirmed = askedMs >= this.ranSinceMs;
    // An answer to what was asked before a freeze may have waited all the time.
    const agedMs = serverStaleMs + (this.#isConfirmed ? 0 : now.monotonicMs - askedMs);
    this.#contact = { monotonicMs: now.monotonicMs - agedMs, wallMs: now.wallMs - agedMs };
    this.#check();
  }

  stop(): void {
    this.#cancelTimer();
    this.#cancelTimer = nothing;
  }

  #now(): Moment {
    return { monotonicMs: this.#runtime.monotonicMs(), wallMs: this.#runtime.nowMs() };
  }

  #feelPulse(): void {
    const now = this.#now();
    const gapMs = largerGapMs(this.#pulse, now);
    this.#pulse = now;
    if (gapMs > STOOD_STILL_MS) this.#interrupted();
  }

  #interrupted(): void {
    this.#ranSinceMs = this.#pulse.monotonicMs;
    this.#isConfirmed = false;
  }

  #check(): void {
    this.#feelPulse();
    const staleMs = this.staleMs;
    const wasStale = this.#isStale;
    const leftMs = this.#staleAfterMs - (staleMs ?? this.#pulse.monotonicMs - this.#startedMs);
    this.#isStale = leftMs <= 0;
    this.stop();
    const nextMs = this.#isStale ? PULSE_MS : Math.min(PULSE_MS, Math.ceil(leftMs));
    this.#cancelTimer = this.#runtime.startTimer(() => this.#check(), nextMs, false);
    if (this.#isStale === wasStale) return;
    if (this.#isStale) this.#news.stale(staleMs);
    else this.#news.live();
  }
}

function largerGapMs(from: Moment, to: Moment): number {
  return Math.max(to.monotonicMs - from.monotonicMs, to.wallMs - from.wallMs);
}

function nothing(): void {
  // No timer is running.
}
