/**
 * The polls of one server that wait for a change. All waiters of an environment are let go in one turn of the event
 * loop; a waiter that leaves (timeout, disconnect) leaves nothing behind.
 */
import type { Clock } from "../deps.ts";

/** Above it a poll is answered at once; its client polls again after its own pause. */
export const PARKED_POLLS_MAX = 20_000;

interface Waiter {
  then: (gone: boolean) => void;
  timer: { cancel(): void };
}

export class ParkedPolls {
  readonly #clock: Clock;
  readonly #waiting = new Map<string, Set<Waiter>>();
  #count = 0;
  #draining = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get count(): number {
    return this.#count;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** True while a poll may be parked. */
  get open(): boolean {
    return !this.#draining && this.#count < PARKED_POLLS_MAX;
  }

  /**
   * Calls `then` once: on `release` of the environment and within it, after `timeoutMs`, when the server drains, or on
   * abort; `gone` is true for the last. A callback and no promise: the last of a thousand waits for all that is done for
   * the others. Must not throw.
   */
  park(environmentId: string, timeoutMs: number, signal: AbortSignal, then: (gone: boolean) => void): void {
    if (!this.open || signal.aborted || timeoutMs <= 0) {
      then(signal.aborted);
      return;
    }
    const waiters = this.#waiting.get(environmentId) ?? new Set();
    this.#waiting.set(environmentId, waiters);
    const leave = (gone: boolean) => {
      if (!waiters.delete(waiter)) return;
      this.#count -= 1;
      waiter.timer.cancel();
      then(gone);
    };
    const onAbort = () => leave(true);
    const timer = this.#clock.schedule(timeoutMs, () => {
      signal.removeEventListener("abort", onAbort);
      leave(false);
    });
    const waiter: Waiter = { then, timer };
    // On release it stays, as taking it off costs more than the rest of leaving: the signal goes with its request.
    signal.addEventListener("abort", onAbort, { once: true });
    waiters.add(waiter);
    this.#count += 1;
  }

  /** Lets all waiters of the environment go. Their timers are cleared when everybody has been told. */
  release(environmentId: string): void {
    const waiters = [...(this.#waiting.get(environmentId) ?? [])];
    this.#waiting.get(environmentId)?.clear();
    this.#count -= waiters.length;
    for (const { then } of waiters) then(false);
    for (const { timer } of waiters) timer.cancel();
  }

  /** Lets everybody go and parks nobody any more. */
  drain(): void {
    this.#draining = true;
    for (const environmentId of this.#waiting.keys()) this.release(environmentId);
  }
}
