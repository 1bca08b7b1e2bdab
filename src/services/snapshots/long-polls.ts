/**
 * The polls of one server that wait for a change. All waiters of an environment are let go in one turn of the event
 * loop; a waiter that leaves (timeout, disconnect) leaves nothing behind.
 */
import type { Clock } from "../../clock.ts";
import type { PollConnection } from "./poll-connection.ts";

/** Above it a poll is answered at once; its client polls again after its own pause. */
export const LONG_POLLS_MAX = 20_000;
/** A poll is let go up to this share of its wait sooner, but not before WAIT_MIN_MS: less looks like no parking. */
const WAIT_SPREAD = 0.4;
const WAIT_MIN_MS = 2000;

interface Waiter {
  connection: PollConnection;
  then: (gone: boolean) => void;
  timer: { cancel(): void };
}

export class LongPolls {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #waiting = new Map<string, Set<Waiter>>();
  #count = 0;
  #draining = false;

  /** `random` is in [0, 1). */
  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  get count(): number {
    return this.#count;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** True while a poll may be parked. */
  get open(): boolean {
    return !this.#draining && this.#count < LONG_POLLS_MAX;
  }

  /**
   * Calls `then` once: on `release` of the environment and within it, after `timeoutMs` or somewhat sooner, when the server drains, or when
   * the connection goes; `gone` is true for the last. A connection has one place: what waited for it before is let go. A callback and no promise:
   * the last of a thousand waits for all that is done for the others. Must not throw.
   */
  park(environmentId: string, timeoutMs: number, connection: PollConnection, then: (gone: boolean) => void): void {
    connection.leave?.(false);
    if (!this.open || connection.gone || timeoutMs <= 0) {
      then(connection.gone);
      return;
    }
    const waiters = this.#waiting.get(environmentId) ?? new Set();
    this.#waiting.set(environmentId, waiters);
    const leave = (gone: boolean) => {
      if (!waiters.delete(waiter)) return;
      this.#count -= 1;
      connection.leave = null;
      waiter.timer.cancel();
      then(gone);
    };
    const waiter: Waiter = {
      connection,
      then,
      timer: this.#clock.schedule(this.#spread(timeoutMs), () => leave(false)),
    };
    connection.leave = leave;
    waiters.add(waiter);
    this.#count += 1;
  }

  /** A fleet that was let go together by a change does not come back together. Never longer than asked for. */
  #spread(timeoutMs: number): number {
    const spreadMs = Math.min(timeoutMs * WAIT_SPREAD, Math.max(0, timeoutMs - WAIT_MIN_MS));
    return timeoutMs - spreadMs * this.#random();
  }

  /** Lets all waiters of the environment go. Their timers are cleared when everybody has been told. */
  release(environmentId: string): void {
    const waiters = [...(this.#waiting.get(environmentId) ?? [])];
    this.#waiting.get(environmentId)?.clear();
    this.#count -= waiters.length;
    for (const { connection, then } of waiters) {
      connection.leave = null;
      then(false);
    }
    for (const { timer } of waiters) timer.cancel();
  }

  /** Lets everybody go. */
  releaseAll(): void {
    for (const environmentId of this.#waiting.keys()) this.release(environmentId);
  }

  /** Lets everybody go and parks nobody any more. */
  drain(): void {
    this.#draining = true;
    this.releaseAll();
  }
}
