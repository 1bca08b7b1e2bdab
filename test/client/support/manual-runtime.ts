/** A runtime whose time passes only when the test says so. The two clocks are apart, so that one can jump. */
import type { Runtime } from "../../../sdk-client/src/runtime.ts";

interface Timer {
  readonly atMs: number;
  readonly callback: () => void;
}

export class ManualRuntime implements Runtime {
  #monotonicMs = 1_000;
  #wallMs = 1_700_000_000_000;
  readonly #timers = new Set<Timer>();
  /** What `random` answers. */
  chance = 0.999;

  nowMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  random(): number {
    return this.chance;
  }

  startTimer(callback: () => void, delayMs: number): () => void {
    const timer = { atMs: this.#monotonicMs + delayMs, callback };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  get timerCount(): number {
    return this.#timers.size;
  }

  /** Lets time pass on both clocks; timers fire in their order. */
  advance(ms: number): void {
    const endMs = this.#monotonicMs + ms;
    for (let next = this.#earliest(endMs); next !== undefined; next = this.#earliest(endMs)) {
      this.#timers.delete(next);
      this.#moveTo(Math.max(next.atMs, this.#monotonicMs));
      next.callback();
    }
    this.#moveTo(endMs);
  }

  /** The process is frozen and runs again: timers that fell due fire late, if at all. A machine may stop its own clock. */
  freeze(ms: number, monotonicStops = false): void {
    if (monotonicStops) this.#wallMs += ms;
    else this.#moveTo(this.#monotonicMs + ms);
  }

  /** The wall clock jumps; nothing else happens. */
  jumpWallClock(ms: number): void {
    this.#wallMs += ms;
  }

  #moveTo(monotonicMs: number): void {
    this.#wallMs += monotonicMs - this.#monotonicMs;
    this.#monotonicMs = monotonicMs;
  }

  #earliest(untilMs: number): Timer | undefined {
    return [...this.#timers].filter((timer) => timer.atMs <= untilMs).toSorted((a, b) => a.atMs - b.atMs)[0];
  }
}
