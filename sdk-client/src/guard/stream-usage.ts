/**
 * What a stream has used so far, read from its events as they pass by. Invariant: output that was seen is counted, also
 * when the stream never tells its final usage.
 */
import { isObject, parseObject } from "../wire/json.ts";
import { mergeStreamUsage } from "../pricing/usage.ts";
import type { StreamWriters } from "./writers.ts";

/** `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""}}`: a delta without its text. */
const DELTA_ENVELOPE_CHARS = 79;
/** Tokens are rarely shorter: about 4 characters of English, fewer of code. */
const ASCII_CHARS_PER_TOKEN = 3;
const TOKENS_PER_OTHER_CHAR = 1.5;
const NOT_ASCII = /[^\0-\x7f]/gu;

export class StreamUsage {
  /** `usage` as merged so far; null before `message_start`. */
  usage: Readonly<Record<string, unknown>> | null = null;
  /** The model that answers, as the API names it. */
  model: string | null = null;
  stopReason: string | null = null;
  /** The API told the final usage. */
  isFinal = false;
  /** Of the `error` event, when there was one. */
  errorType: string | null = null;
  readonly #writers: StreamWriters;
  #deltas = 0;
  #seenTokens = 0;

  constructor(writers: StreamWriters) {
    this.#writers = writers;
  }

  /** Takes one event. */
  take(name: string, data: string): void {
    this.#writers.take(name, data);
    if (name === "content_block_delta") this.#delta(data);
    else if (name === "message_start") this.#start(data);
    else if (name === "message_delta") this.#end(data);
    else if (name === "error") this.#error(data);
  }

  /** Output tokens that must have been made to show what was seen, estimated upwards. */
  get seenTokens(): number {
    return Math.max(this.#deltas, Math.ceil(this.#seenTokens));
  }

  #start(data: string): void {
    const message = parseObject(data)?.["message"];
    if (!isObject(message)) return;
    if (typeof message["model"] === "string") this.model = message["model"];
    if (isObject(message["usage"])) this.usage = mergeStreamUsage(null, message["usage"]);
  }

  #end(data: string): void {
    const event = parseObject(data);
    const delta = event?.["delta"];
    if (isObject(delta) && typeof delta["stop_reason"] === "string") this.stopReason = delta["stop_reason"];
    if (!isObject(event?.["usage"])) return;
    this.usage = mergeStreamUsage(this.usage, event["usage"]);
    this.isFinal = true;
  }

  #error(data: string): void {
    const error = parseObject(data)?.["error"];
    this.errorType = isObject(error) && typeof error["type"] === "string" ? error["type"] : "error";
  }

  #delta(data: string): void {
    this.#deltas += 1;
    this.#seenTokens += tokensOf(data, DELTA_ENVELOPE_CHARS);
  }
}

/** Tokens of a text at most likely, without its first `free` characters; a fraction. */
export function tokensOf(text: string, free = 0): number {
  const others = text.match(NOT_ASCII)?.length ?? 0;
  const ascii = Math.max(0, text.length - others - free);
  return ascii / ASCII_CHARS_PER_TOKEN + others * TOKENS_PER_OTHER_CHAR;
}
