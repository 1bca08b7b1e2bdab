/**
 * A stop that others can listen to. Not an `AbortController`: Cloudflare Workers make none outside of a request, and let no
 * request touch that of another.
 */
import type { Runtime } from "../runtime.ts";

export class Stop {
  #isStopped = false;
  readonly #listeners = new Set<() => void>();

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Later stops change nothing. */
  stop(): void {
    this.#isStopped = true;
    for (const listener of Array.from(this.#listeners)) listener();
    this.#listeners.clear();
  }

  /** Calls back at the stop, at once when it has been. Returns the unsubscriber. */
  onStop(listener: () => void): () => void {
    if (this.#isStopped) listener();
    else this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Waits for `delayMs` by a timer of the runtime that does not hold the process, or until the stop. */
  pause(runtime: Runtime, delayMs: number): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        forget();
        resolve();
      };
      const cancel = runtime.startTimer(end, delayMs, false);
      const forget = this.onStop(end);
    });
  }
}
