/** Those who wait for one thing to happen, each for as long as they like. */
export class Waiters {
  readonly #waiting = new Set<() => void>();

  /** It has happened: everybody goes on. */
  release(): void {
    for (const pass of Array.from(this.#waiting)) pass();
  }

  /** Waits for the next {@link release}. `startTimer` starts the caller's timer and returns its canceller. */
  wait(startTimer: (timeUp: () => void) => () => void): Promise<void> {
    return new Promise((resolve) => {
      const pass = (): void => {
        this.#waiting.delete(pass);
        cancel();
        resolve();
      };
      const cancel = startTimer(pass);
      this.#waiting.add(pass);
    });
  }
}
