/**
 * What a stream has used so far, read from its events as they pass by. Invariant: output that was seen is counted, also
 * when the stream never tells its final usage; the time in which output could not be seen is known.
 */
import { isObject, parseObject } from "../wire/json.ts";
import { MAX_PLACEHOLDER_TOKENS, mergeStreamUsage } from "../pricing/usage.ts";
import { type Handover, isEmptyText, readHandover, type Refusals } from "./refusal.ts";
import type { StreamWriters } from "./writers.ts";

/** `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""}}`: a delta without its text. */
const DELTA_ENVELOPE_CHARS = 79;
/** Tokens are rarely shorter: about 4 characters of English, 2 to 3 of code and numbers. */
const ASCII_CHARS_PER_TOKEN = 2;
const TOKENS_PER_OTHER_CHAR = 1.5;
/** One token is estimated at no more. */
const MAX_SEEN_OF_ONE_TOKEN = 16;
const NOT_ASCII = /[^\0-\x7f]/gu;

export class StreamUsage {
  /** `usage` as merged so far; null before `message_start`. */
  usage: Readonly<Record<string, unknown>> | null = null;
  /** The model that answers, as the API names it. */
  model: string | null = null;
  /** The id of the answer. */
  id: string | null = null;
  stopReason: string | null = null;
  /** The API told the final usage. */
  isFinal = false;
  /** Of the `error` event, when there was one. */
  errorType: string | null = null;
  /** Some of its output is thinking, which is billed in full and shown in part, or not at all. */
  hasThinking = false;
  /** Uses of the API's own tools, begun and done, each a further reading of the prompt. */
  toolUses = 0;
  webSearches = 0;
  /** What the tools' results added to the prompt, in tokens. */
  resultTokens = 0;
  readonly #handovers: Handover[] = [];
  #stopDetails: unknown;
  #hasOutput = false;
  readonly #writers: StreamWriters;
  #deltas = 0;
  #seenTokens = 0;
  /** Output passes by: a block is open whose text is shown as it is written. */
  #isVisible = false;
  #hiddenMs = 0;
  readonly #bornMs = performance.now();
  /** Since when nothing was seen. */
  #sinceMs = this.#bornMs;

  constructor(writers: StreamWriters) {
    this.#writers = writers;
  }

  /** Takes one event. */
  take(name: string, data: string): void {
    this.#writers.take(name, data);
    if (name === "content_block_delta") this.#delta(data);
    else if (name === "content_block_start") this.#block(data);
    else if (name === "content_block_stop") this.#isVisible = false;
    else if (name === "message_start") this.#start(data);
    else if (name === "message_delta") this.#end(data);
    else if (name === "error") this.#error(data);
  }

  /** Output tokens that must have been made to show what was seen, estimated upwards. */
  get seenTokens(): number {
    return Math.max(this.#deltas, Math.ceil(this.#seenTokens));
  }

  /** How long, so far, the model may have written what is not shown (thinking), or has not arrived. */
  get hiddenMs(): number {
    return this.#hiddenMs + performance.now() - this.#sinceMs;
  }

  /** Since the stream began. */
  get ageMs(): number {
    return performance.now() - this.#bornMs;
  }

  get refusals(): Refusals {
    return {
      stopReason: this.stopReason,
      stopDetails: this.#stopDetails,
      hasOutput: this.#hasOutput,
      handovers: this.#handovers,
    };
  }

  #start(data: string): void {
    const message = parseObject(data)?.["message"];
    if (!isObject(message)) return;
    if (typeof message["model"] === "string") this.model = message["model"];
    if (typeof message["id"] === "string") this.id = message["id"];
    if (isObject(message["usage"])) this.usage = mergeStreamUsage(null, message["usage"]);
  }

  #end(data: string): void {
    const event = parseObject(data);
    const delta = event?.["delta"];
    if (isObject(delta) && typeof delta["stop_reason"] === "string") {
      this.stopReason = delta["stop_reason"];
      this.#stopDetails = delta["stop_details"];
    }
    const usage = event?.["usage"];
    if (!isObject(usage)) return;
    this.usage = mergeStreamUsage(this.usage, usage);
    const output = usage["output_tokens"];
    this.isFinal = typeof output === "number" && !isPlaceholder(output, this.#seenTokens);
  }

  #error(data: string): void {
    const error = parseObject(data)?.["error"];
    this.errorType = isObject(error) && typeof error["type"] === "string" ? error["type"] : "error";
  }

  #block(data: string): void {
    const block = parseObject(data)?.["content_block"];
    if (!isObject(block)) return;
    const handover = readHandover(block, this.#hasOutput);
    if (!isEmptyText(block)) this.#hasOutput = handover === null;
    if (handover !== null) {
      this.#handovers.push(handover);
      if (handover.to !== null) this.model = handover.to;
      return;
    }
    const type = typeof block["type"] === "string" ? block["type"] : "";
    if (type.endsWith("_tool_result")) {
      this.resultTokens += tokensOf(data);
      return;
    }
    if (type === "server_tool_use" || type === "mcp_tool_use") {
      this.toolUses += 1;
      if (block["name"] === "web_search") this.webSearches += 1;
    }
    if (type === "thinking" || type === "redacted_thinking") {
      this.hasThinking = true;
      return;
    }
    this.#see();
    this.#isVisible = true;
    if (typeof block["text"] === "string") this.#seenTokens += tokensOf(block["text"]);
  }

  #delta(data: string): void {
    this.#deltas += 1;
    this.#hasOutput = true;
    this.#seenTokens += tokensOf(data, DELTA_ENVELOPE_CHARS);
    if (this.#isVisible) this.#sinceMs = performance.now();
  }

  #see(): void {
    const nowMs = performance.now();
    this.#hiddenMs += nowMs - this.#sinceMs;
    this.#sinceMs = nowMs;
  }
}

/** True when the count cannot be what was put out: proxies tell 0 or 1 where they do not know. `seen` is an estimate upwards. */
export function isPlaceholder(output: number, seen: number): boolean {
  return output <= 0 ? seen > 0 : output <= MAX_PLACEHOLDER_TOKENS && seen > MAX_SEEN_OF_ONE_TOKEN;
}

/** Tokens of a text at most likely, without its first `free` characters; a fraction. */
export function tokensOf(text: string, free = 0): number {
  const others = text.match(NOT_ASCII)?.length ?? 0;
  const ascii = Math.max(0, text.length - others - free);
  return ascii / ASCII_CHARS_PER_TOKEN + others * TOKENS_PER_OTHER_CHAR;
}
