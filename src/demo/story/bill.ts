/**
 * The bill of the local Claude endpoint: what a provider would charge for the calls it has finished. It counts what was
 * answered by arithmetic of its own, in whole numbers; it shares nothing with Andon's, so that the two can be compared.
 */
import type { AnsweredUsage, EndpointCall } from "../claude-endpoint/behaviour.ts";
import { wallMs } from "./wait.ts";

/** Nano-USD per token, from the provider's price list in USD per million tokens (times 1,000). */
const RATES: Readonly<Record<string, Rates>> = {
  "claude-opus-5-5": { input: 4_000n, output: 20_000n, cacheWrite5m: 5_000n, cacheWrite1h: 8_000n, cacheRead: 200n },
  "claude-sonnet-5-5": { input: 2_000n, output: 10_000n, cacheWrite5m: 2_500n, cacheWrite1h: 4_000n, cacheRead: 100n },
};

type Rates = Readonly<Record<Exclude<keyof AnsweredUsage, "webSearches">, bigint>>;

interface Item {
  readonly endedAtMs: number;
  readonly nanoUsd: bigint;
}

export class Bill {
  readonly #items: Item[] = [];
  #open = 0;
  #notFinished = 0;
  #unpriced = 0;
  #lastArrivedAtMs = 0;

  /** Takes note of a call as it arrives, and of its end. */
  note(call: EndpointCall): void {
    this.#lastArrivedAtMs = wallMs();
    this.#open += 1;
    void call.ended.then(() => this.#ended(call));
  }

  /** Calls under way. */
  get open(): number {
    return this.#open;
  }

  get finished(): number {
    return this.#items.length;
  }

  /** Calls that are on no bill: broken off, failed, or of a model that this price list does not know. */
  get unbilled(): number {
    return this.#notFinished + this.#unpriced;
  }

  /** When the newest call arrived, Unix milliseconds; 0 before the first. */
  get lastArrivedAtMs(): number {
    return this.#lastArrivedAtMs;
  }

  /** The sum of all finished calls. */
  get nanoUsd(): bigint {
    return this.#items.reduce((sum, { nanoUsd }) => sum + nanoUsd, 0n);
  }

  /** When the sum reached `limitNanoUsd`: the end of the call that did it, Unix milliseconds; null when it has not. */
  reachedAtMs(limitNanoUsd: bigint): number | null {
    let sum = 0n;
    for (const { endedAtMs, nanoUsd } of this.#items) {
      sum += nanoUsd;
      if (sum >= limitNanoUsd) return endedAtMs;
    }
    return null;
  }

  #ended(call: EndpointCall): void {
    this.#open -= 1;
    const rates = RATES[call.model];
    if (call.end !== "finished" || call.usage === null) this.#notFinished += 1;
    else if (rates === undefined || call.usage.webSearches > 0) this.#unpriced += 1;
    else this.#items.push({ endedAtMs: wallMs(), nanoUsd: costOf(call.usage, rates) });
  }
}

function costOf(usage: AnsweredUsage, rates: Rates): bigint {
  return (
    BigInt(usage.input) * rates.input +
    BigInt(usage.output) * rates.output +
    BigInt(usage.cacheWrite5m) * rates.cacheWrite5m +
    BigInt(usage.cacheWrite1h) * rates.cacheWrite1h +
    BigInt(usage.cacheRead) * rates.cacheRead
  );
}
