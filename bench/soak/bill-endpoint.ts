/**
 * A Messages endpoint that keeps a bill: every way an answer can end, from a seed, and message batches. Invariant: it bills
 * what it has written by then, at its own prices, in whole nano-USD; what the provider does not bill it does not.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { isObject } from "../../sdk-client/src/wire/json.ts";
import { sse } from "../../src/demo/claude-endpoint/shapes.ts";
import { billOf, hasFast, INPUT, isRegional, type Part, type Prompt, READ, WRITE_1H, WRITE_5M } from "./bill-prices.ts";

/** How fast its models write. */
const TOKENS_PER_SECOND = 100;
const MAX_TOKENS = 20;
export const HEADER_CALL = "x-soak-call";
export const HEADER_FLAG = "x-soak-flag";
/** Of all requests, those that end in no special way. */
const ANSWERED = 0.4;
/** Of prompts that may be cached, those that are. */
const CACHE_HIT = 0.3;
const BATCH_REFUSED = 0.1;
const KEEP_ALIVE_MS = 60_000;
const FALLBACK = "claude-haiku-4-5";
const IMAGE_TOKENS = 1_500;
const PAGE_TOKENS = 2_500;
/** Of a document by URL; the guard's `documentTokens` is above it. */
export const DOCUMENT_TOKENS = 40_000;
/** Of a thread that this endpoint does not know. */
const THREAD_TOKENS = 200_000;
/** What tools add to a prompt, and what each result of a search adds to the next reading of it. */
const TOOLS_TOKENS = 400;
const RESULT_TOKENS = 60;
/** Between two searches; no turn of the API is done sooner. */
const SEARCH_MS = 500;
const ADVICE_TOKENS = 5;
const USED = [{ type: "tool_use", id: "toolu_1", name: "look_up", input: { what: "any" } }];
const RESULT_TEXT = "found ".repeat(40);
const BATCH_PATH = "/v1/messages/batches";
const COUNT_PATH = "/v1/messages/count_tokens";

/** One request: what it was billed, and how it was answered. */
export interface Billed {
  call: string;
  /** Of the flag, as the caller says. */
  flag: string;
  kind: string;
  nanoUsd: number;
}

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

function listOf(value: unknown): Body[] {
  return Array.isArray(value) ? (value as unknown[]).filter(isObject) : [];
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
  readonly #bill: (part: Part) => void;
  readonly #startedMs = performance.now();
  #gone = new AbortController();

  constructor(input: {
    body: Body;
    res: ServerResponse;
    prompt: Prompt;
    id: string;
    random: Random;
    bill: (part: Part) => void;
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
    return this.body["fallbacks"] !== undefined && !isRegional(model) && model !== FALLBACK;
  }

  get isFast(): boolean {
    return this.body["speed"] === "fast";
  }

  get isUs(): boolean {
    return this.body["inference_geo"] === "us";
  }

  /** The type of a tool of the API's own, as the body has it, with its model; null without one. */
  tool(name: string): Readonly<Record<string, unknown>> | null {
    return listOf(this.body["tools"]).find((tool) => tool["name"] === name) ?? null;
  }

  bill(output: number, { model = this.model, prompt = this.prompt, searches = 0, fast = this.isFast } = {}): void {
    this.#bill({ model, prompt, output, searches, fast, us: this.isUs, batch: false });
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

  usage(output: number, more: object = {}, prompt = this.prompt): Record<string, unknown> {
    const where = { ...(this.isFast && { speed: "fast" }), ...(this.isUs && { inference_geo: "us" }) };
    return { ...usageOf(prompt, output), ...where, ...more };
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

function usageOf({ tokens, as }: Prompt, output: number): Record<string, unknown> {
  return {
    input_tokens: as === INPUT ? tokens : 0,
    cache_creation_input_tokens: as === WRITE_5M || as === WRITE_1H ? tokens : 0,
    cache_creation: {
      ephemeral_5m_input_tokens: as === WRITE_5M ? tokens : 0,
      ephemeral_1h_input_tokens: as === WRITE_1H ? tokens : 0,
    },
    cache_read_input_tokens: as === READ ? tokens : 0,
    output_tokens: output,
  };
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

/** Searches as often as it likes, not at all without the tool; tells each. How often, when the client has stayed until then. */
async function search(to: Exchange, tell: (n: number) => void): Promise<number> {
  const most = Number(to.tool("web_search")?.["max_uses"] ?? 0);
  const wanted = Math.floor(to.random() * (most + 1));
  for (let n = 0; n < wanted; n += 1) {
    if (n > 0 && !(await to.wait(SEARCH_MS))) return n;
    tell(n);
  }
  return wanted;
}

/** The prompt is read again for each search, with all results before it. */
function readAgain({ tokens, as }: Prompt, searches: number): Prompt {
  return { tokens: tokens * (searches + 1) + (RESULT_TOKENS * searches * (searches + 1)) / 2, as };
}

const searchBlocks = (n: number): [object, object] => [
  { type: "server_tool_use", id: `srvtoolu_${n}`, name: "web_search", input: { query: "any" } },
  { type: "web_search_tool_result", tool_use_id: `srvtoolu_${n}`, content: [{ title: RESULT_TEXT }] },
];

/** What an advisor was asked; bills it, and is an iteration of the answer. Null without one. */
function advised(to: Exchange): object | null {
  const model = to.tool("advisor")?.["model"];
  // The clouds have none.
  if (typeof model !== "string" || isRegional(to.model)) return null;
  const prompt: Prompt = { tokens: to.prompt.tokens + RESULT_TOKENS, as: INPUT };
  to.bill(ADVICE_TOKENS, { model, prompt, fast: false });
  return { type: "advisor_message", model, ...usageOf(prompt, ADVICE_TOKENS) };
}

const WHOLE: Readonly<Record<string, Play>> = {
  async answered(to) {
    if (!(await to.write(to.output))) return;
    const found: object[] = [];
    const searches = await search(to, (n) => found.push(...searchBlocks(n)));
    const prompt = readAgain(to.prompt, searches);
    to.bill(to.output, { prompt, searches });
    const more = advised(to);
    const usage = to.usage(
      to.output,
      {
        ...(searches > 0 && { server_tool_use: { web_search_requests: searches } }),
        ...(more !== null && { iterations: [{ type: "message", ...to.usage(to.output) }, more] }),
      },
      prompt,
    );
    to.json(to.message({ content: [...found, ...(to.tool("look_up") === null ? words(to.output) : USED)], usage }));
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
    to.bill(to.output, { model: FALLBACK, fast: false });
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

async function showSearches(to: Exchange): Promise<{ prompt: Prompt; searches: number }> {
  const searches = await search(to, (n) => {
    for (const [at, content_block] of searchBlocks(n).entries()) {
      const index = 2 * n + at;
      to.send({ type: "content_block_start", index, content_block }, { type: "content_block_stop", index });
    }
  });
  return { prompt: readAgain(to.prompt, searches), searches };
}

const STREAMED: Readonly<Record<string, Play>> = {
  async answered(to) {
    to.send(to.start());
    const { prompt, searches } = await showSearches(to);
    const sent = await to.text(to.output, 2 * searches);
    to.bill(sent, { prompt, searches });
    if (sent < to.output) return;
    const more = advised(to);
    const told = {
      ...(searches > 0 && { server_tool_use: { web_search_requests: searches } }),
      ...(more !== null && { iterations: [{ type: "message", ...to.usage(sent) }, more] }),
    };
    to.end(to.usage(sent, told, prompt));
  },
  async searchedAndCut(to) {
    to.send(to.start());
    const { prompt, searches } = await showSearches(to);
    to.bill(await to.text(Math.ceil(to.output / 2), 2 * searches), { prompt, searches });
    to.res.end();
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
    to.bill(after, { model: FALLBACK, fast: false });
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
  /** What each request is billed, by its id; each result of a message batch as one of its own. */
  readonly bills = new Map<string, Billed>();
  /** How often each way to answer was played; each is some of all requests. */
  readonly played = new Map<string, number>();
  readonly #random: Random;
  readonly #threads = new Map<string, number>();
  readonly #batches = new Map<string, string>();
  readonly #server: Server;
  #url = "";
  #serial = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#server = createServer((req, res) => {
      this.#serve(req, res).catch(() => res.destroy());
    });
    this.#server.keepAliveTimeout = KEEP_ALIVE_MS;
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => void this.#server.listen(0, "127.0.0.1", resolve));
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the endpoint has no port");
    this.#url = `http://127.0.0.1:${address.port}`;
    return this.#url;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(Buffer.from(chunk));
    const text = Buffer.concat(chunks).toString("utf8");
    const { url = "" } = req;
    this.#serial += 1;
    if (url.startsWith(BATCH_PATH) && req.method === "GET") return this.#readBatch(url, res);
    const body: Body = JSON.parse(text);
    const of = { call: String(req.headers[HEADER_CALL]), flag: String(req.headers[HEADER_FLAG]) };
    if (url.startsWith(BATCH_PATH)) return this.#takeBatch(body, of, res);
    const prompt = this.#promptOf(body);
    // Counting is free; what a thread had before is not counted.
    if (url.startsWith(COUNT_PATH)) return answer(res, { input_tokens: prompt.tokens });
    const id = `req_${this.#serial}`;
    res.setHeader("request-id", id);
    const billed: Billed = { ...of, kind: "", nanoUsd: 0 };
    this.bills.set(id, billed);
    const bill = (part: Part): void => void (billed.nanoUsd += billOf(part));
    const to = new Exchange({ body, res, prompt, id: `msg_${this.#serial}`, random: this.#random, bill });
    this.#threads.set(to.id, prompt.tokens + to.output);
    const [name, play] = this.#play(to);
    billed.kind = `${to.isStream ? "stream" : "whole"} ${name}`;
    this.played.set(billed.kind, (this.played.get(billed.kind) ?? 0) + 1);
    await play(to);
  }

  #play(to: Exchange): [string, Play] {
    if (to.isFast && !hasFast(to.model)) return ["noFast", (of) => of.json(NO_FAST, 400)];
    const plays = Object.entries(to.isStream ? STREAMED : WHOLE);
    const [answered] = plays;
    return this.#random() < ANSWERED && answered !== undefined ? answered : pick(this.#random, plays);
  }

  /** It has ended at once; what was answered is billed, at half the price. */
  #takeBatch(body: Body, of: { call: string; flag: string }, res: ServerResponse): void {
    if (this.#random() < BATCH_REFUSED) return answer(res, { type: "error", error: { type: "overloaded_error" } }, 529);
    const batchId = `msgbatch_${this.#serial}`;
    const lines = listOf(body["requests"]).map(({ custom_id, params }) => {
      const result = this.#resultOf(isObject(params) ? params : {}, { ...of, id: `${batchId}:${String(custom_id)}` });
      return JSON.stringify({ custom_id, result });
    });
    this.#batches.set(batchId, lines.map((line) => `${line}\n`).join(""));
    answer(res, this.#batch(batchId));
  }

  #resultOf(params: Body, { id, ...of }: { call: string; flag: string; id: string }): object {
    const kind = pick(this.#random, ["succeeded", "succeeded", "succeeded", "errored", "expired"]);
    this.played.set(`batch ${kind}`, (this.played.get(`batch ${kind}`) ?? 0) + 1);
    if (kind !== "succeeded")
      return { type: kind, ...(kind === "errored" && { error: { type: "invalid_request_error" } }) };
    const model = String(params["model"]);
    const output = 1 + Math.floor(this.#random() * MAX_TOKENS);
    const prompt = this.#promptOf(params);
    const us = params["inference_geo"] === "us";
    const nanoUsd = billOf({ model, prompt, output, searches: 0, fast: false, us, batch: true });
    this.bills.set(id, { ...of, kind: "batch result", nanoUsd });
    const usage = { ...usageOf(prompt, output), service_tier: "batch", ...(us && { inference_geo: "us" }) };
    const message = { id: `msg_${id}`, type: "message", role: "assistant", model, content: words(output), usage };
    return { type: "succeeded", message: { ...message, stop_reason: "end_turn", stop_sequence: null } };
  }

  #readBatch(url: string, res: ServerResponse): void {
    const [, batchId = "", isResults] = /\/batches\/([^/?]+)(\/results)?/.exec(url) ?? [];
    const results = this.#batches.get(batchId);
    if (results === undefined) answer(res, { type: "error", error: { type: "not_found_error" } }, 404);
    else if (isResults === undefined) answer(res, this.#batch(batchId));
    else res.writeHead(200, { "content-type": "application/x-jsonl" }).end(results);
  }

  #batch(id: string): object {
    const results_url = `${this.#url}${BATCH_PATH}/${id}/results`;
    const request_counts = { processing: 0, succeeded: 1, errored: 0, canceled: 0, expired: 0 };
    return { id, type: "message_batch", processing_status: "ended", request_counts, results_url };
  }

  #promptOf(body: Body): Prompt {
    const text = JSON.stringify([body["system"], body["messages"]]);
    const inline = (text.match(/"data":"[^"]*"/g) ?? []).reduce((sum, data) => sum + data.length, 0);
    const images = text.split('"type":"image"').length - 1;
    const pages = text.includes("application/pdf") ? 2 : 0;
    const documents = text.split('"type":"url"').length - 1;
    const media = images * IMAGE_TOKENS + pages * PAGE_TOKENS + documents * DOCUMENT_TOKENS;
    const tools = JSON.stringify(body["tools"] ?? []).length;
    const ofTools = tools > 2 ? TOOLS_TOKENS + Math.ceil(tools / 4) : 0;
    const thread = JSON.stringify(body["thread"] ?? {});
    const previous = /"previous_message_id":"(\w+)"/.exec(thread)?.[1];
    const before = previous === undefined ? 0 : (this.#threads.get(previous) ?? THREAD_TOKENS);
    const isCached = text.includes('"cache_control"');
    const write = text.includes('"1h"') ? WRITE_1H : WRITE_5M;
    const as = isCached ? (this.#random() < CACHE_HIT ? READ : write) : INPUT;
    return { tokens: Math.ceil((text.length - inline) / 4) + media + ofTools + before, as };
  }
}

const NO_FAST = { type: "error", error: { type: "invalid_request_error", message: "speed: not for this model" } };

function answer(res: ServerResponse, value: object, status = 200): void {
  res.writeHead(status, { "content-type": "application/json", "retry-after-ms": "1" }).end(JSON.stringify(value));
}
