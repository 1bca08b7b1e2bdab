/**
 * What callers ask for. Chat follows a trace, one that is given or a built-in distribution with the same shape; agents send
 * a long cached prompt, may write 64,000 tokens and write about 2 % of that. Time is scaled: 20 seconds pass in one.
 */
import { readFileSync } from "node:fs";
import type { Random } from "../soak/bill-endpoint.ts";
import type { Call, Workload } from "./protocol.ts";

/** Seconds of the world in one of the run. */
export const TIME_SCALE = 20;

/** Bytes of a prompt for each of its tokens: English text, and code with JSON. */
const CHAT_BYTES_PER_TOKEN = 4.2;
const AGENT_BYTES_PER_TOKEN = 2;
const CHAT_MAX_TOKENS = 1_024;
const AGENT_INPUT_TOKENS = 150_000;
const AGENT_NEW_TOKENS = 1_500;
const AGENT_MAX_TOKENS = 64_000;
const TOKENS_PER_SECOND = 70;
/** Prompts of the trace that are a conversation, in tokens. */
const CHAT_PROMPT = { min: 1_000, max: 8_000 };
/** Of the built-in distribution: the medians and spreads of its logarithms. */
const PROMPT_SHAPE = { median: 1_900, spread: 0.55 };
const ANSWER_SHAPE = { median: 160, spread: 0.8 };
const AGENT_ANSWER_SHAPE = { median: 430, spread: 1 };

interface Tokens {
  input: number;
  output: number;
}

export class Calls {
  readonly #workload: Workload;
  readonly #random: Random;
  readonly #trace: readonly Tokens[];

  constructor(workload: Workload, random: Random, traceFile: string | null) {
    this.#workload = workload;
    this.#random = random;
    this.#trace = traceFile === null ? [] : readTrace(traceFile);
  }

  next(): Call {
    return this.#workload === "agent" ? this.#agent() : this.#chat(this.#workload === "worst");
  }

  /** Between an answer and the caller's next call, milliseconds of the run. */
  pauseMs(): number {
    return (this.#random() * 200) / TIME_SCALE;
  }

  #chat(isWorst: boolean): Call {
    const { input, output } = this.#traced() ?? {
      input: clamped(this.#logNormal(PROMPT_SHAPE), CHAT_PROMPT),
      output: Math.max(1, this.#logNormal(ANSWER_SHAPE)),
    };
    const promptBytes = Math.ceil(input * CHAT_BYTES_PER_TOKEN);
    const written = isWorst ? CHAT_MAX_TOKENS : Math.min(CHAT_MAX_TOKENS, output);
    const worldMs = 400 + this.#random() * 800 + (Math.min(CHAT_MAX_TOKENS, output) * 1_000) / TOKENS_PER_SECOND;
    // The worst call has a token in every byte.
    const used = isWorst ? promptBytes : input;
    return {
      promptBytes,
      maxTokens: CHAT_MAX_TOKENS,
      input: used,
      cacheRead: 0,
      output: written,
      tookMs: worldMs / TIME_SCALE,
    };
  }

  #agent(): Call {
    const output = Math.min(AGENT_MAX_TOKENS, Math.max(20, this.#logNormal(AGENT_ANSWER_SHAPE)));
    return {
      promptBytes: AGENT_INPUT_TOKENS * AGENT_BYTES_PER_TOKEN,
      maxTokens: AGENT_MAX_TOKENS,
      input: AGENT_NEW_TOKENS,
      cacheRead: AGENT_INPUT_TOKENS - AGENT_NEW_TOKENS,
      output,
      tookMs: (5_000 + this.#random() * 55_000) / TIME_SCALE,
    };
  }

  #traced(): Tokens | undefined {
    return this.#trace[Math.floor(this.#random() * this.#trace.length)];
  }

  #logNormal({ median, spread }: { median: number; spread: number }): number {
    const gauss = Math.sqrt(-2 * Math.log(1 - this.#random())) * Math.cos(2 * Math.PI * this.#random());
    return Math.round(median * Math.exp(spread * gauss));
  }
}

function clamped(value: number, { min, max }: { min: number; max: number }): number {
  return Math.min(max, Math.max(min, value));
}

/** A CSV of `time,input tokens,output tokens` with a head, as the Azure LLM inference traces are. */
function readTrace(file: string): Tokens[] {
  const [, ...lines] = readFileSync(file, "utf8").trim().split(/\r?\n/);
  const rows = lines.map((line) => {
    const [, input, output] = line.split(",");
    return { input: Number(input), output: Number(output) };
  });
  const kept = rows.filter(({ input }) => input >= CHAT_PROMPT.min && input <= CHAT_PROMPT.max);
  if (kept.length === 0) throw new Error(`${file} holds no call of ${CHAT_PROMPT.min} to ${CHAT_PROMPT.max} tokens`);
  return kept;
}
