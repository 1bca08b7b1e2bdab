/**
 * The clocks. A server goes by its database's: what ends at a moment (a kill, a raise, a budget's window) ends at the
 * same moment whichever server leads, and not early because that machine's clock is ahead. Timers never keep the
 * process alive: only the listening socket does. Nothing else in `src` reads a clock (demo and CLI aside).
 */
export interface Clock {
  /** Unix time in milliseconds. */
  nowMs(): number;
  /** Milliseconds from an arbitrary start that never jump. */
  monotonicMs(): number;
  /** Calls back once after `delayMs`; the handle cancels. Never keeps the process alive. */
  schedule(delayMs: number, callback: () => void): { cancel(): void };
}

/** The clock of this machine. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  schedule(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

/** One look at the database's clock (Unix time), made between two moments of the monotonic one; all in milliseconds. */
export interface ClockReading {
  sentMs: number;
  databaseMs: number;
  heardMs: number;
}

/**
 * The database's clock as far as it is known, else this machine's. Between two readings it goes on by the monotonic
 * clock, so that a correction of this machine's time moves nothing.
 */
export class DatabaseClock implements Clock {
  readonly #system: Clock;
  /** What to add to the monotonic clock. */
  #baseMs: number;

  constructor(system: Clock = systemClock) {
    this.#system = system;
    this.#baseMs = system.nowMs() - system.monotonicMs();
  }

  nowMs(): number {
    return Math.floor(this.#baseMs + this.#system.monotonicMs());
  }

  monotonicMs(): number {
    return this.#system.monotonicMs();
  }

  schedule(delayMs: number, callback: () => void): { cancel(): void } {
    return this.#system.schedule(delayMs, callback);
  }

  /**
   * Follows the database. A reading leaves as much open as its round trip took: what agrees with it is kept, so that
   * slow answers move nothing. Answers by how much the clock was moved, in milliseconds.
   */
  follow({ sentMs, databaseMs, heardMs }: ClockReading): number {
    const before = this.#baseMs;
    this.#baseMs = Math.min(Math.max(before, databaseMs - heardMs), databaseMs - sentMs);
    return this.#baseMs - before;
  }
}
