/**
 * Room that several askers share. An asker may hold as much as is still free: one alone takes half of it, and whoever
 * comes next finds room, whatever the others do.
 */
export class FairShare {
  readonly #capacity: number;
  readonly #held = new Map<string, number>();
  #total = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** False when it would be more than this asker's share now: then nothing is taken. */
  take(asker: string, amount: number): boolean {
    const held = (this.#held.get(asker) ?? 0) + amount;
    if (held > this.#capacity - this.#total) return false;
    this.#held.set(asker, held);
    this.#total += amount;
    return true;
  }

  giveBack(asker: string, amount: number): void {
    const held = (this.#held.get(asker) ?? 0) - amount;
    if (held <= 0) this.#held.delete(asker);
    else this.#held.set(asker, held);
    this.#total -= amount;
  }
}
