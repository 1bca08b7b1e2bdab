/** Clocks that stand still until a test moves them: with its timers, or the wall clock alone. */
import type { Clock } from "../../src/clock.ts";
import { systemClock } from "../../src/clock.ts";

interface Timer {
  dueMs: number;
  callback: () => void;
}

export class FakeClock implements Clock {
  #nowMs: number;
  #monotonicMs = 0;
  readonly #timers = new Set<Timer>();

  constructor(nowMs = Date.parse("2026-01-02T03:00:00.000Z")) {
    this.#nowMs = nowMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  schedule(delayMs: number, callback: () => void): { cancel(): void } {
    const timer = { dueMs: this.#monotonicMs + delayMs, callback };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  /** Number of timers that wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Moves both clocks on and calls what falls due, in order. */
  advance(byMs: number): void {
    const untilMs = this.#monotonicMs + byMs;
    for (;;) {
      const [next] = [...this.#timers].filter((timer) => timer.dueMs <= untilMs).toSorted((a, b) => a.dueMs - b.dueMs);
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#move(next.dueMs - this.#monotonicMs);
      next.callback();
    }
    this.#move(untilMs - this.#monotonicMs);
  }

  /** Moves the wall clock only, as a correction of the system's time does. */
  jump(byMs: number): void {
    this.#nowMs += byMs;
  }

  #move(byMs: number): void {
    this.#nowMs += byMs;
    this.#monotonicMs += byMs;
  }
}

/** The wall clock stands still until it is moved; timers run. For worlds with real clients and browsers. */
export class WallClock implements Clock {
  #nowMs: number;
  readonly #watchers = new Set<(nowMs: number) => void>();

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  moveTo(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const watcher of this.#watchers) watcher(nowMs);
  }

  /** Calls back at each move until the answer is called. */
  onMove(watcher: (nowMs: number) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  monotonicMs(): number {
    return systemClock.monotonicMs();
  }

  schedule(delayMs: number, callback: () => void): { cancel(): void } {
    return systemClock.schedule(delayMs, callback);
  }
}

/** The system's clock, which a test moves on: what runs by timers goes on beside it. */
export class ShiftedClock implements Clock {
  #aheadMs = 0;

  nowMs(): number {
    return systemClock.nowMs() + this.#aheadMs;
  }

  moveBy(ms: number): void {
    this.#aheadMs += ms;
  }

  monotonicMs(): number {
    return systemClock.monotonicMs();
  }

  schedule(delayMs: number, callback: () => void): { cancel(): void } {
    return systemClock.schedule(delayMs, callback);
  }
}
