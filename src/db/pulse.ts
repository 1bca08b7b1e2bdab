/**
 * Whether the database answers, by a question that is asked every second anyway: who waits for a page is told at once,
 * instead of after the deadline of a query of its own.
 */

/** A question without an answer for so long: the database is silent. */
const SILENT_AFTER_MS = 1500;

export class Pulse {
  readonly #listeners: (() => void)[] = [];
  #silent = false;

  /** True from a question that was not answered to the next that is. */
  get silent(): boolean {
    return this.#silent;
  }

  /** `listener` is called each time it falls silent. */
  onSilent(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Takes `question` as a sign of life when it is answered in time; an error that is no answer is none. */
  async watch<T>(question: Promise<T>, isAnswer: (error: unknown) => boolean): Promise<T> {
    let isAnswered = false;
    // One turn later: after a turn that took long, the answer may have come and not been read yet.
    const timer = setTimeout(() => setImmediate(() => isAnswered || this.#fallSilent()), SILENT_AFTER_MS);
    timer.unref();
    try {
      const answer = await question;
      this.#silent = false;
      return answer;
    } catch (error) {
      if (isAnswer(error)) this.#silent = false;
      else this.#fallSilent();
      throw error;
    } finally {
      isAnswered = true;
      clearTimeout(timer);
    }
  }

  #fallSilent(): void {
    if (this.#silent) return;
    this.#silent = true;
    for (const listener of this.#listeners) listener();
  }
}
