/**
 * Which model wrote which thinking block, as far as answers passed through this process. A block tells it to nobody but
 * the API, and is an error for every other model. Invariant: bounded, and no text of a block is kept.
 */
import type { NameOf } from "../evaluate/model-names.ts";
import { Oldest } from "./oldest.ts";
import { isObject, parseObject } from "../wire/json.ts";

/** About 1 MB. The oldest go first: their conversations are over, or get the treatment of blocks that nobody saw. */
const MAX_BLOCKS = 20_000;

const SIGNATURE = '"signature_delta"';
const MARKS = /"type":\s*"(?:redacted_thinking|fallback)"/;

export class Writers {
  readonly #modelByBlock = new Map<number, string>();
  readonly #oldest = new Oldest(this.#modelByBlock);
  /** The one model that wrote all blocks so far; null before the first. */
  #only: string | null = null;
  #areMany = false;

  /** False while every block that was seen is by this model: nothing has to be looked up then. */
  hasOthersThan(model: string): boolean {
    return this.#areMany || (this.#only !== null && this.#only !== model);
  }

  /** Takes note of what identifies a block (its `signature`, or its `data`), and of the model that wrote it. */
  note(seal: string, model: string): void {
    if (this.#only !== null && this.#only !== model) this.#areMany = true;
    this.#only ??= model;
    this.#modelByBlock.set(hashOf(seal), model);
    if (this.#modelByBlock.size <= MAX_BLOCKS) return;
    const oldest = this.#oldest.next();
    if (oldest !== undefined) this.#modelByBlock.delete(oldest);
  }

  /** Takes note of a whole answer. Where the API fell back, each part is by the model that its `fallback` block names. */
  noteAnswer(message: Readonly<Record<string, unknown>>, nameOf: NameOf): void {
    const content: unknown = message["content"];
    if (!Array.isArray(content) || !content.some((block) => sealOf(block) !== null)) return;
    let model = namedIn(content.find(isFallback), "from") ?? textOf(message["model"]);
    for (const block of content as unknown[]) {
      const seal = sealOf(block);
      if (isFallback(block)) model = namedIn(block, "to") ?? model;
      else if (seal !== null && model !== null) this.note(seal, nameOf(model));
    }
  }

  /** The name of the model that wrote the block; undefined when nobody saw it. */
  of(block: unknown): string | undefined {
    const seal = sealOf(block);
    return seal === null ? undefined : this.#modelByBlock.get(hashOf(seal));
  }
}

/** Takes note of the thinking blocks of one stream, from its events as they pass by. */
export class StreamWriters {
  readonly #writers: Writers;
  readonly #nameOf: NameOf;
  #start = "";
  #model: string | null = null;

  constructor(writers: Writers, nameOf: NameOf) {
    this.#writers = writers;
    this.#nameOf = nameOf;
  }

  /** Takes one event. Only those are parsed that tell of a thinking block. */
  take(name: string, data: string): void {
    if (name === "content_block_delta") {
      if (data.includes(SIGNATURE)) this.#sealed(inside(data, "delta")?.["signature"]);
    } else if (name === "content_block_start") {
      if (MARKS.test(data)) this.#block(inside(data, "content_block"));
    } else if (name === "message_start") this.#start = data;
  }

  #block(block: Record<string, unknown> | null): void {
    if (isFallback(block)) this.#model = namedIn(block, "to");
    else this.#sealed(block?.["data"]);
  }

  #sealed(seal: unknown): void {
    this.#model ??= textOf(inside(this.#start, "message")?.["model"]);
    if (typeof seal === "string" && seal !== "" && this.#model !== null) {
      this.#writers.note(seal, this.#nameOf(this.#model));
    }
  }
}

function inside(data: string, field: string): Record<string, unknown> | null {
  const value = parseObject(data)?.[field];
  return isObject(value) ? value : null;
}

function textOf(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

/** What tells one thinking block from all others; null for every other block. */
function sealOf(block: unknown): string | null {
  if (!isObject(block)) return null;
  const seal = block["type"] === "thinking" ? block["signature"] : isRedacted(block) ? block["data"] : null;
  return typeof seal === "string" && seal !== "" ? seal : null;
}

function isRedacted(block: Record<string, unknown>): boolean {
  return block["type"] === "redacted_thinking";
}

/** A content block that marks where the API went on with another model. */
function isFallback(block: unknown): block is Record<string, unknown> {
  return isObject(block) && block["type"] === "fallback";
}

/** The model of one side of a `fallback` block. */
function namedIn(block: unknown, side: "from" | "to"): string | null {
  const named = isObject(block) ? block[side] : null;
  return isObject(named) && typeof named["model"] === "string" ? named["model"] : null;
}

/** 53 bits: among 20,000 blocks two share one once in 45 million processes. */
function hashOf(text: string): number {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    high = Math.imul(high ^ code, 2_654_435_761);
    low = Math.imul(low ^ code, 1_597_334_677);
  }
  high = Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909);
  low = Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909);
  return 4_294_967_296 * (2_097_151 & low) + (high >>> 0);
}
