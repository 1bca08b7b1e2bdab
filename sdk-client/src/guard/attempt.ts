/**
 * One attempt at one model: its own abort signal, its limits, and why it was stopped. Invariant: whatever it waits for,
 * a stop ends the wait at once, also when the `fetch` below pays no heed to the signal.
 */
import type { Decision } from "../wire/protocol.ts";

/** Why a wait ended before its time. The first stop of an attempt stands. */
export type Stop =
  | { kind: "killed"; decision: Decision }
  /** The caller, or the SDK's own timeout, aborted the request. */
  | { kind: "aborted" }
  | { kind: "deadline"; limitMs: number }
  | { kind: "limit"; name: LimitName; limitMs: number };

export type LimitName = "attempt limit" | "first token limit" | "idle limit";

/** Thrown out of {@link Attempt.wait} when the attempt is stopped. */
export class Stopped extends Error {
  readonly stop: Stop;

  constructor(stop: Stop) {
    super(stop.kind);
    this.stop = stop;
  }
}

export class Attempt {
  readonly #controller = new AbortController();
  /** Most attempts have none. */
  #limits: Map<LimitName, NodeJS.Timeout> | null = null;
  #stop: Stop | null = null;
  #interrupt: ((reason: Stopped) => void) | null = null;
  #onStop: ((stop: Stop) => void) | null = null;

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get stopped(): Stop | null {
    return this.#stop;
  }

  /** Ends the attempt: aborts its request and whatever waits for it. Later stops change nothing. */
  stop(stop: Stop): void {
    if (this.#stop !== null) return;
    this.#stop = stop;
    this.clearLimits();
    this.#controller.abort();
    this.#interrupt?.(new Stopped(stop));
    this.#onStop?.(stop);
  }

  /** Calls back once when the attempt is stopped, at once if it is: nobody waits on a stream that is not being read. */
  onStop(listener: (stop: Stop) => void): void {
    this.#onStop = listener;
    if (this.#stop !== null) listener(this.#stop);
  }

  /** Stops the attempt after `limitMs`, unless the limit is cleared first. No limit when undefined. */
  limit(name: LimitName, limitMs: number | undefined): void {
    if (limitMs === undefined) return;
    this.#limits ??= new Map();
    this.#limits.set(
      name,
      setTimeout(() => this.stop({ kind: "limit", name, limitMs }), limitMs),
    );
  }

  clearLimit(name: LimitName): void {
    clearTimeout(this.#limits?.get(name));
    this.#limits?.delete(name);
  }

  clearLimits(): void {
    if (this.#limits === null) return;
    for (const timer of this.#limits.values()) clearTimeout(timer);
    this.#limits.clear();
  }

  /**
   * Waits for `work`, at most until the attempt is stopped. Throws {@link Stopped}, or the error of `work`. One wait at a
   * time.
   */
  wait<T>(work: Promise<T>, onLate?: (value: T) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#stop !== null) reject(new Stopped(this.#stop));
      this.#interrupt = reject;
      work.then(
        (value) => {
          this.#interrupt = null;
          if (this.#stop !== null) onLate?.(value);
          resolve(value);
        },
        (error: unknown) => {
          this.#interrupt = null;
          reject(error);
        },
      );
    });
  }
}
