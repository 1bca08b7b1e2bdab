/**
 * What the demo says and what it claims. Every claim is checked when it is made and printed with its outcome;
 * `failures` decides the exit code.
 */
export interface Figure {
  readonly what: string;
  readonly value: string;
}

const SECONDS_WIDTH = 5;

export class Narrator {
  readonly #print: (line: string) => void;
  readonly #startedMs = performance.now();
  readonly #failures: string[] = [];
  readonly #figures: Figure[] = [];
  #claims = 0;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  get failures(): readonly string[] {
    return this.#failures;
  }

  get claims(): number {
    return this.#claims;
  }

  get figures(): readonly Figure[] {
    return this.#figures;
  }

  /** A heading: what happens next. */
  chapter(title: string): void {
    this.#print("");
    this.say(title);
  }

  say(text: string): void {
    const seconds = ((performance.now() - this.#startedMs) / 1000).toFixed(1).padStart(SECONDS_WIDTH);
    this.#print(`${seconds} s  ${text}`);
  }

  /** States something. When it does not hold, `instead` says what was seen, and the demo will fail. */
  claim(text: string, holds: boolean, instead: string): void {
    this.#claims += 1;
    if (holds) {
      this.#print(`         ✓ ${text}`);
      return;
    }
    this.#failures.push(`${text} — ${instead}`);
    this.#print(`         ✗ ${text}\n           instead: ${instead}`);
  }

  /** A line of the table at the end. */
  figure(what: string, value: string): void {
    this.#figures.push({ what, value });
  }

  /** The table of what was measured, and the verdict. */
  conclude(): void {
    this.#print("");
    const width = Math.max(0, ...this.#figures.map((figure) => figure.what.length));
    for (const { what, value } of this.#figures) this.#print(`  ${what.padEnd(width)}  ${value}`);
    this.#print("");
    if (this.#failures.length === 0) {
      this.say(`All ${this.#claims} claims held.`);
      return;
    }
    this.say(`${this.#failures.length} of ${this.#claims} claims did not hold:`);
    for (const failure of this.#failures) this.#print(`         ✗ ${failure}`);
  }
}

/** "84 ms", "3.2 s". */
export function duration(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
