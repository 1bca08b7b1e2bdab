/**
 * The usage of the soak and what it must come to. Invariant: whatever is handed out as a record has been added to the
 * expected sums, in exact arithmetic of its own.
 */
import { randomInt, randomUUID } from "node:crypto";
import type { UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";

export const MODEL = "claude-opus-5-5";
/** Nano-USD per token of it. */
const INPUT_NANO_USD = 4_000n;
const OUTPUT_NANO_USD = 20_000n;
const MAX_INPUT_TOKENS = 500;
const MAX_OUTPUT_TOKENS = 500;
/** Of ten records, so many are estimates. */
const ESTIMATED_OF_TEN = 2;
/** Of ten records, so many are of flags whose budget was crossed before. */
const OF_OLD_FLAGS_OF_TEN = 3;

export interface Expected {
  records: number;
  exactNanoUsd: bigint;
  estimatedNanoUsd: bigint;
}

export class Traffic {
  readonly expected = new Map<string, Expected>();
  #current: readonly string[] = [];
  #old: readonly string[] = [];

  /** From now on most records are of these flags; those of before get the rest. */
  turnTo(flags: readonly string[]): void {
    this.#old = [...this.#old, ...this.#current];
    this.#current = flags;
  }

  /** A record of a flag in turn. */
  next(): UsageRecord {
    const isOld = this.#old.length > 0 && randomInt(10) < OF_OLD_FLAGS_OF_TEN;
    const flags = isOld ? this.#old : this.#current;
    const flag = flags[randomInt(flags.length)];
    if (flag === undefined) throw new Error("the traffic was given no flags");
    return this.record(flag, randomInt(1, MAX_OUTPUT_TOKENS));
  }

  /** A record of this flag with so many tokens of output. */
  record(flag: string, output: number): UsageRecord {
    const input = randomInt(MAX_INPUT_TOKENS);
    const exact = randomInt(10) >= ESTIMATED_OF_TEN;
    const sum = this.expected.get(flag) ?? { records: 0, exactNanoUsd: 0n, estimatedNanoUsd: 0n };
    sum.records += 1;
    sum[exact ? "exactNanoUsd" : "estimatedNanoUsd"] +=
      BigInt(input) * INPUT_NANO_USD + BigInt(output) * OUTPUT_NANO_USD;
    this.expected.set(flag, sum);
    const usage = { input, output, cacheWrite5m: 0, cacheWrite1h: 0, cacheRead: 0, webSearches: 0 };
    const names = { flag, model: MODEL, requestedModel: MODEL };
    return { id: randomUUID(), at: Date.now(), ...names, outcome: "ok", exact, usage, attempt: 1, latencyMs: 800 };
  }
}
