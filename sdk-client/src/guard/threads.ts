/**
 * What conversations that the provider holds (beta message threads) had in them, by the id of their last answer. Invariant:
 * bounded; a thread that is not known counts as the largest window there is.
 */
import { Oldest } from "./oldest.ts";
import { promptTokens } from "../pricing/usage.ts";
import { isObject } from "../wire/json.ts";
import { MAX_TOKENS_PER_CALL, type TokenClass, type TokenUsage } from "../wire/usage-protocol.ts";

const MAX_THREADS = 10_000;

/** The part of a prompt that the request does not carry. */
export interface Before {
  tokens: number;
  /** The dearest class that its tokens were billed in. */
  as: Extract<TokenClass, "input" | "cacheWrite5m" | "cacheWrite1h">;
}

/** Of a thread that is not known, before the bound of a prompt. */
const UNKNOWN: Before = { tokens: MAX_TOKENS_PER_CALL, as: "cacheWrite1h" };

export class Threads {
  readonly #byAnswer = new Map<string, Before>();
  readonly #oldest = new Oldest(this.#byAnswer);

  /** What a turn continues; null for a turn that carries all it has. */
  before(thread: unknown): Before | null {
    if (!isObject(thread) || thread["type"] !== "continue") return null;
    const previous = thread["previous_message_id"];
    return (typeof previous === "string" ? this.#byAnswer.get(previous) : undefined) ?? UNKNOWN;
  }

  /** Takes note of a turn's answer: what comes after it has its prompt and its output before it. */
  answered(thread: unknown, id: unknown, usage: TokenUsage): void {
    if (!isObject(thread) || typeof id !== "string") return;
    const earlier = this.before(thread)?.as;
    const oldest = this.#byAnswer.size >= MAX_THREADS ? this.#oldest.next() : undefined;
    if (oldest !== undefined) this.#byAnswer.delete(oldest);
    this.#byAnswer.set(id, { tokens: promptTokens(usage) + usage.output, as: dearestOf(usage, earlier) });
  }
}

function dearestOf(usage: TokenUsage, earlier: Before["as"] | undefined): Before["as"] {
  if (usage.cacheWrite1h > 0 || earlier === "cacheWrite1h") return "cacheWrite1h";
  return usage.cacheWrite5m > 0 || earlier === "cacheWrite5m" ? "cacheWrite5m" : "input";
}
