/**
 * Runs work that is asked for more often than it needs doing: at most one run at a time, and whoever asks during a run
 * gets one that begins after it, shared with all others who wait.
 */
export class Coalesced {
  readonly #work: () => Promise<void>;
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  constructor(work: () => Promise<void>) {
    this.#work = work;
  }

  /** Resolves when a run that began after this call has ended; rejects when that run failed. */
  run(): Promise<void> {
    if (this.#running === null) return this.#begin();
    this.#next ??= this.#after(this.#running);
    return this.#next;
  }

  #begin(): Promise<void> {
    const run = this.#work().finally(() => {
      if (this.#running === run) this.#running = null;
    });
    this.#running = run;
    return run;
  }

  async #after(running: Promise<void>): Promise<void> {
    // A failure belongs to those who asked for that run; these wait for the next one.
    await running.catch(() => undefined);
    this.#next = null;
    return this.#begin();
  }
}
