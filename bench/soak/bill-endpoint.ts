/**
 * A Messages endpoint that keeps a bill: every way an answer can end, from a seed. Invariant: it bills what it has written by
 * then, at its own prices, in whole nano-USD; what the provider does not bill it does not.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { sse } from "../../src/demo/claude-endpoint/shapes.ts";

/** How fast its models write. */
const TOKENS_PER_SECOND = 100;
const MAX_TOKENS = 20;
const HEADER_CALL = "x-soak-call";
const REGIONAL = "us.anthropic.";
const FALLBACK = "claude-haiku-4-5";
const IMAGE_TOKENS = 1_500;
const PAGE_TOKENS = 2_500;
/** Of a document by URL; the guard's `documentTokens` is above it. */
export const DOCUMENT_TOKENS = 40_000;
/** Of a thread that this endpoint does not know. */
const THREAD_TOKENS = 200_000;

/** Nano-USD per token: input, output, cache writes for 5 minutes and for an hour. */
const PRICES: Readonly<Record<string, readonly [number, number, number, number]>> = {
  "claude-opus-5-5": [4_000, 20_000, 5_000, 8_000],
  "claude-sonnet-5-5": [2_000, 10_000, 2_500, 4_000],
  "claude-haiku-4-5": [1_000, 5_000, 1_250, 2_000],
  "claude-fable-5-2": [8_000, 40_000, 10_000, 16_000],
};

/** A random number from 0 to 1, the next of a seed. */
export type Random = () => number;

export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

type Body = Readonly<Record<string, unknown>>;

/** A prompt's tokens, and the field of `usage` they are told in. */
interface Prompt {
  tokens: number;
  as: 0 | 2 | 3;
}

class Exchange {
  readonly body: Body;
  readonly res: ServerResponse;
  readonly model: string;
  readonly prompt: Prompt;
  readonly isStream: boolean;
  /** What the answer would come to. */
  readonly output: number;
  readonly id: string;
  readonly random: Random;
  readonly #bill: (model: string, prompt: Prompt, output: number) => void;
  readonly #startedMs = performance.now();
  #gone = new AbortController();

  constructor(input: {
    body: Body;
    res: ServerResponse;
    prompt: Prompt;
    id: string;
    random: Random;
    bill: (model: string, prompt: Prompt, output: number) => void;
  }) {
    this.body = input.body;
    this.res = input.res;
    this.prompt = input.prompt;
    this.id = input.id;
    this.random = input.random;
    this.#bill = input.bill;
    this.model = String(input.body["model"]);
    this.isStream = input.body["stream"] === true;
    this.output = Math.min(1 + Math.floor(input.random() * MAX_TOKENS), Number(input.body["max_tokens"]));
    this.res.on("close", () => this.#gone.abort());
  }

  /** Written so far. */
  get written(): number {
    const most = Math.min(Number(this.body["max_tokens"]), MAX_TOKENS * 10);
    return Math.min(most, Math.floor(((performance.now() - this.#startedMs) * TOKENS_PER_SECOND) / 1_000));
  }

  /** The clouds have no fallback on the server's side, and none goes to the model that declined. */
  get fallsBack(): boolean {
    const { model } = this;
    return this.body["fallbacks"] !== undefined && !model.startsWith(REGIONAL) && model !== FALLBACK;
  }

  bill(output: number, model = this.model): void {
    this.#bill(model, this.prompt, output);
  }

  /** Waits so long; false when the client has gone meanwhile. */
  async wait(ms: number): Promise<boolean> {
    if (this.#gone.signal.aborted) return false;
    try {
      await delay(ms, undefined, { signal: this.#gone.signal });
      return true;
    } catch {
      // The client has gone: what was written is billed by the caller.
      return false;
    }
  }

  /** Writes an answer of so many tokens. False, and billed as far as it came, when the client goes meanwhile. */
  async write(tokens: number): Promise<boolean> {
    if (await this.wait((tokens * 1_000) / TOKENS_PER_SECOND)) return true;
    this.bill(Math.min(tokens, this.written));
    return false;
  }

  json(value: unknown, status = 200): void {
    this.res.writeHead(status, { "content-type": "application/json", "retry-after-ms": "1" });
    this.res.end(typeof value === "string" ? value : JSON.stringify(value));
  }

  send(...events: Record<string, unknown>[]): void {
    if (!this.res.headersSent) this.res.writeHead(200, { "content-type": "text/event-stream" });
    this.res.write(events.map(sse).join(""));
  }

  usage(output: number, more: object = {}): Record<string, unknown> {
    const { tokens, as } = this.prompt;
    return {
      input_tokens: as === 0 ? tokens : 0,
      cache_creation_input_tokens: as === 0 ? 0 : tokens,
      cache_creation: {
        ephemeral_5m_input_tokens: as === 2 ? tokens : 0,
        ephemeral_1h_input_tokens: as === 3 ? tokens : 0,
      },
      cache_read_input_tokens: 0,
      output_tokens: output,
      ...more,
    };
  }

  message(changes: object): Record<string, unknown> {
    const { id, model } = this;
    return { id, type: "message", role: "assistant", model, stop_reason: "end_turn", stop_sequence: null, ...changes };
  }

  start(usage: unknown = this.usage(1), model = this.model): Record<string, unknown> {
    return { type: "message_start", message: this.message({ content: [], stop_reason: null, usage, model }) };
  }

  end(usage: unknown, delta: object = { stop_reason: "end_turn" }): void {
    this.send({ type: "message_delta", delta, usage }, { type: "message_stop" });
    this.res.end();
  }

  /** Text of so many tokens, each as soon as it is written. False when the client has gone; nothing is billed then. */
  async text(tokens: number, index = 0): Promise<number> {
    this.send({ type: "content_block_start", index, content_block: { type: "text", text: "" } });
    for (let sent = 0; sent < tokens; sent += 1) {
      if (!(await this.wait(1_000 / TOKENS_PER_SECOND))) return sent;
      this.send({ type: "content_block_delta", index, delta: { type: "text_delta", text: "word " } });
    }
    this.send({ type: "content_block_stop", index });
    return tokens;
  }
}

type Play = (to: Exchange) => Promise<void> | void;

const words = (tokens: number) => [{ type: "text", text: "word ".repeat(tokens) }];
const pick = <T>(random: Random, list: readonly T[]): T => {
  const [first] = list;
  const picked = list.slice(Math.floor(random() * list.length))[0] ?? first;
  if (picked === undefined) throw new Error("nothing to pick from");
  return picked;
};

/** Usage as proxies lose it. */
const lost = (random: Random): unknown =>
  pick<unknown>(random, [{}, null, { input_tokens: null, output_tokens: null }, { input_tokens: 0, output_tokens: 0 }]);

const refusal = (category: string | null) => ({ stop_reason: "refusal", stop_details: { type: "refusal", category } });
const WAIVED = ["cyber", "general_harms", null] as const;
const BILLED = ["bio", "frontier_llm", "reasoning_extraction"] as const;

const handover = (from: string, category: string | null) => ({
  type: "fallback",
  from: { model: from },
  to: { model: FALLBACK },
  trigger: { type: "refusal", category },
});

/** Those of one account that is out of money, or of a key that was revoked, trip the flag for good: 402 and 401 are left out. */
const STATUSES = [400, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529] as const;
const MAX_PINGS = 20;

async function hangs(to: Exchange, tokens: number): Promise<void> {
  await to.wait(10_000);
  to.bill(Math.max(tokens, to.written));
}

const WHOLE: Readonly<Record<string, Play>> = {
  async answered(to) {
    if (!(await to.write(to.output))) return;
    to.bill(to.output);
    to.json(to.message({ content: words(to.output), usage: to.usage(to.output) }));
  },
  async usageLost(to) {
    if (!(await to.write(to.output))) return;
    to.bill(to.output);
    to.json(to.message({ content: words(to.output), usage: lost(to.random) }));
  },
  waived(to) {
    to.json(to.message({ content: [], usage: to.usage(1), ...refusal(pick(to.random, WAIVED)) }));
  },
  refused(to) {
    to.bill(1);
    to.json(to.message({ content: [], usage: to.usage(1), ...refusal(pick(to.random, BILLED)) }));
  },
  async compacted(to) {
    if (!(await to.write(to.output))) return;
    to.bill(to.output);
    to.bill(7);
    const iterations = [
      { type: "compaction", ...to.usage(7) },
      { type: "message", ...to.usage(to.output) },
    ];
    to.json(to.message({ content: words(to.output), usage: to.usage(to.output, { iterations }) }));
  },
  async fellBack(to) {
    if (!to.fallsBack) return WHOLE["answered"]?.(to);
    if (!(await to.write(to.output))) return;
    const category = pick(to.random, [...WAIVED, ...BILLED]);
    if (BILLED.some((billed) => billed === category)) to.bill(0);
    to.bill(to.output, FALLBACK);
    const declined = { type: "message", model: to.model, ...to.usage(0) };
    const iterations = [declined, { type: "fallback_message", model: FALLBACK, ...to.usage(to.output) }];
    const content = [handover(to.model, category), ...words(to.output)];
    to.json(to.message({ model: FALLBACK, content, usage: to.usage(to.output, { iterations }) }));
  },
  failed(to) {
    to.json({ type: "error", error: { type: "any_error", message: "any" } }, pick(to.random, STATUSES));
  },
  failedByProxy(to) {
    to.json("<html>a page of a proxy</html>", pick(to.random, [403, 502, 504, 520, 530]));
  },
  limited(to) {
    const error = { type: "rate_limit_error", message: "any" };
    to.res.writeHead(429, { "content-type": "application/json", "retry-after": pick(to.random, ["0", "1", "600"]) });
    to.res.end(JSON.stringify({ type: "error", error }));
  },
  failedWith200(to) {
    to.json({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } });
  },
  async mangled(to) {
    if (!(await to.write(to.output))) return;
    to.bill(to.output);
    to.json("<html>a page of a proxy</html>");
  },
  async empty(to) {
    if (!(await to.write(to.output))) return;
    to.bill(to.output);
    to.res.writeHead(200, { "content-type": "application/json" });
    to.res.end();
  },
  async cutOff(to) {
    if (!(await to.write(to.output))) return;
    to.bill(to.output);
    const whole = JSON.stringify(to.message({ content: words(to.output), usage: to.usage(to.output) }));
    to.res.writeHead(200, { "content-type": "application/json", "content-length": whole.length });
    to.res.write(whole.slice(0, whole.length / 2), () => to.res.destroy());
  },
  async hangMidway(to) {
    const whole = JSON.stringify(to.message({ content: words(to.output), usage: to.usage(to.output) }));
    to.res.writeHead(200, { "content-type": "application/json" });
    to.res.write(whole.slice(0, whole.length / 2));
    await hangs(to, to.output);
  },
  async reset(to) {
    await to.wait(to.random() * 100);
    to.bill(to.written);
    to.res.socket?.resetAndDestroy();
  },
  hang: (to) => hangs(to, 0),
};

const STREAMED: Readonly<Record<string, Play>> = {
  async answered(to) {
    to.send(to.start());
    const sent = await to.text(to.output);
    to.bill(sent);
    if (sent === to.output) to.end(to.usage(to.output));
  },
  async thought(to) {
    to.send(to.start(), { type: "content_block_start", index: 0, content_block: { type: "thinking", thinking: "" } });
    const hidden = Math.floor(to.random() * to.output);
    if (!(await to.write(hidden))) return;
    to.send({ type: "content_block_stop", index: 0 });
    const sent = await to.text(to.output - hidden, 1);
    to.bill(hidden + sent);
    if (hidden + sent === to.output) to.end(to.usage(hidden + sent));
  },
  async usageLost(to) {
    const usage = lost(to.random);
    to.send(to.start(usage));
    const sent = await to.text(to.output);
    to.bill(sent);
    if (sent === to.output) to.end(usage);
  },
  waived(to) {
    to.send(to.start());
    to.end(to.usage(1), refusal(pick(to.random, WAIVED)));
  },
  refused(to) {
    to.bill(1);
    to.send(to.start());
    to.end(to.usage(1), refusal(pick(to.random, BILLED)));
  },
  async fellBackMidway(to) {
    if (!to.fallsBack) return STREAMED["answered"]?.(to);
    to.send(to.start());
    const before = await to.text(2);
    to.bill(before);
    if (before < 2) return;
    const content_block = handover(to.model, pick(to.random, WAIVED));
    to.send({ type: "content_block_start", index: 1, content_block }, { type: "content_block_stop", index: 1 });
    const after = await to.text(to.output, 2);
    to.bill(after, FALLBACK);
    const declined = { type: "message", model: to.model, ...to.usage(2) };
    const iterations = [declined, { type: "fallback_message", model: FALLBACK, ...to.usage(after) }];
    if (after === to.output) to.end(to.usage(after, { iterations }));
  },
  failed: (to) => WHOLE["failed"]?.(to),
  failedByProxy: (to) => WHOLE["failedByProxy"]?.(to),
  limited: (to) => WHOLE["limited"]?.(to),
  empty(to) {
    to.bill(1);
    to.res.writeHead(200, { "content-type": "text/event-stream" });
    to.res.end();
  },
  async garbled(to) {
    to.send(to.start());
    to.bill(await to.text(to.output));
    to.res.end('event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"te\n\n');
  },
  async pings(to) {
    to.send(to.start());
    for (let count = 0; count < MAX_PINGS && (await to.wait(100)); count += 1) to.send({ type: "ping" });
    to.bill(to.written);
    to.res.end();
  },
  errorFirst(to) {
    to.send({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } });
    to.res.end();
  },
  async errorLate(to) {
    to.send(to.start());
    to.bill(await to.text(to.output));
    to.send({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } });
    to.res.end();
  },
  async cutOff(to) {
    to.send(to.start());
    to.bill(await to.text(to.output));
    to.res.end();
  },
  async resetMidway(to) {
    to.send(to.start());
    to.bill(await to.text(to.output));
    to.res.socket?.resetAndDestroy();
  },
  hang: (to) => hangs(to, 0),
  async hangMidway(to) {
    to.send(to.start());
    await hangs(to, await to.text(3));
  },
  async hangThinking(to) {
    to.send(to.start(), { type: "content_block_start", index: 0, content_block: { type: "thinking", thinking: "" } });
    await hangs(to, 0);
  },
};

export class BillEndpoint {
  /** What each call is billed, in nano-USD, by its number; all its attempts together. */
  readonly bills = new Map<string, number>();
  /** How each call was answered, by its number; the words of a fault. */
  readonly answers = new Map<string, string[]>();
  /** How often each way to answer was played; each is some of all requests. */
  readonly played = new Map<string, number>();
  readonly #random: Random;
  readonly #threads = new Map<string, number>();
  readonly #server: Server;
  #serial = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#server = createServer((req, res) => {
      this.#serve(req, res).catch(() => res.destroy());
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => void this.#server.listen(0, "127.0.0.1", resolve));
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the endpoint has no port");
    return `http://127.0.0.1:${address.port}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(Buffer.from(chunk));
    const body: Body = JSON.parse(Buffer.concat(chunks).toString("utf8"));
    const call = String(req.headers[HEADER_CALL]);
    const prompt = this.#promptOf(body);
    this.#serial += 1;
    const id = `msg_${this.#serial}`;
    const bill = (model: string, of: Prompt, output: number): void => {
      this.bills.set(call, (this.bills.get(call) ?? 0) + priceOf(model, of, output));
    };
    const to = new Exchange({ body, res, prompt, id, random: this.#random, bill });
    this.#threads.set(id, prompt.tokens + to.output);
    const plays = Object.entries(to.isStream ? STREAMED : WHOLE);
    const [name, play] = this.#random() < 0.4 ? (plays[0] ?? pick(this.#random, plays)) : pick(this.#random, plays);
    const kind = `${to.isStream ? "stream" : "whole"} ${name}`;
    this.played.set(kind, (this.played.get(kind) ?? 0) + 1);
    this.answers.set(call, [...(this.answers.get(call) ?? []), `${to.model} ${kind}`]);
    await play(to);
  }

  #promptOf(body: Body): Prompt {
    const text = JSON.stringify([body["system"], body["messages"]]);
    const inline = (text.match(/"data":"[^"]*"/g) ?? []).reduce((sum, data) => sum + data.length, 0);
    const images = text.split('"type":"image"').length - 1;
    const pages = text.includes("application/pdf") ? 2 : 0;
    const documents = text.split('"type":"url"').length - 1;
    const media = images * IMAGE_TOKENS + pages * PAGE_TOKENS + documents * DOCUMENT_TOKENS;
    const thread = JSON.stringify(body["thread"] ?? {});
    const previous = /"previous_message_id":"(\w+)"/.exec(thread)?.[1];
    const before = previous === undefined ? 0 : (this.#threads.get(previous) ?? THREAD_TOKENS);
    const as = text.includes('"1h"') ? 3 : text.includes('"cache_control"') ? 2 : 0;
    return { tokens: Math.ceil((text.length - inline) / 4) + media + before, as };
  }
}

function priceOf(model: string, { tokens, as }: Prompt, output: number): number {
  const isRegional = model.startsWith(REGIONAL);
  const prices = PRICES[model.replace(REGIONAL, "").replace("-v1:0", "")];
  if (prices === undefined) throw new Error(`the endpoint has no price for ${model}`);
  const nanoUsd = tokens * prices[as] + output * prices[1];
  return isRegional ? (nanoUsd / 10) * 11 : nanoUsd;
}
