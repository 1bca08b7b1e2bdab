/** A door that opens once and for all. Whoever waits passes when it opens or when their own time is up. */
export class Latch {
  #isOpen = false;
  readonly #waiting = new Set<() => void>();

  open(): void {
    this.#isOpen = true;
    for (const pass of Array.from(this.#waiting)) pass();
  }

  /** `startTimer` starts the caller's timer and returns its canceller. */
  opened(startTimer: (timeUp: () => void) => () => void): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isOpen) {
        resolve();
        return;
      }
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
