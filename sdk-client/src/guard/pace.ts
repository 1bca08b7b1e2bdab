/**
 * How fast models write, as far as it was seen: what bounds output that nobody saw. Invariant: a bound is never below
 * what the fastest answer seen of the model, written twice as fast, would have come to in that time.
 */
import { canonicalModel } from "../pricing/model-id.ts";

/** Taken of a model of which no answer was seen; more than any model writes. */
const UNSEEN_TOKENS_PER_SECOND = 500;
const SAFETY_FACTOR = 2;
/** Shorter answers say little: their time is that of the network, and of reading the prompt. */
const MIN_SAMPLE_TOKENS = 256;
/** The API notices a broken connection later than it is broken. */
const NOTICE_MS = 50;
const MAX_MODELS = 256;

/** One answer's model, and whether it was served in fast mode. */
export interface Paced {
  model: string;
  fast: boolean;
}

export class Pace {
  readonly #fastest = new Map<string, number>();

  /** Takes note of an answer of so many output tokens, written in this time. */
  saw(answer: Paced, tokens: number, elapsedMs: number): void {
    if (tokens < MIN_SAMPLE_TOKENS || !(elapsedMs > 0)) return;
    const key = keyOf(answer);
    const known = this.#fastest.get(key);
    if (known === undefined && this.#fastest.size >= MAX_MODELS) return;
    const perSecond = (tokens / elapsedMs) * 1_000;
    if (known === undefined || perSecond > known) this.#fastest.set(key, perSecond);
  }

  /** Tokens that the model can have written in this time, at most. */
  mostIn(answer: Paced, elapsedMs: number): number {
    const fastest = this.#fastest.get(keyOf(answer));
    const perSecond = fastest === undefined ? UNSEEN_TOKENS_PER_SECOND : fastest * SAFETY_FACTOR;
    return Math.ceil((perSecond * (elapsedMs + NOTICE_MS)) / 1_000);
  }
}

function keyOf({ model, fast }: Paced): string {
  return fast ? `${canonicalModel(model)} fast` : canonicalModel(model);
}
