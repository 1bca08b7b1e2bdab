/**
 * The Messages API of `overshoot.*`, in a process of its own. Invariant: its bill has every call, at its own prices, as soon
 * as it has ended; one whose client has gone is billed what was written by then.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { sse } from "../../src/demo/claude-endpoint/shapes.ts";
import { wallMs } from "../../src/demo/story/wait.ts";
import { listen } from "../support/listen.ts";
import { send } from "../support/worker.ts";
import { BILL_PATH, type Bill, billTaskSchema, type Call, callSchema, HEADER_CALL, MODEL } from "./protocol.ts";

/** Nano-USD per token. */
const RATES = { input: 4_000, cacheRead: 200, output: 20_000 };
const COUNT_PATH = "/v1/messages/count_tokens";
/** The input is told after this share of a call's time. */
const START_SHARE = 0.2;

let limitNanoUsd = Number.POSITIVE_INFINITY;
let bill: Bill = newBill();

const server = createServer((request, response) => {
  workOf(request, response).catch((error: unknown) => {
    process.stderr.write(`${String(error)}\n`);
    response.destroy();
  });
});
server.keepAliveTimeout = 60_000;
send({ url: await listen(server) });

function newBill(): Bill {
  return { nanoUsd: 0, calls: 0, running: 0, passedAtMs: null, lastArrivalAtMs: null, lateMs: [] };
}

function workOf(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.url === BILL_PATH) return account(request, response);
  return request.url === COUNT_PATH ? countTokens(request, response) : answer(request, response);
}

/** As the API does: free, and at once. */
async function countTokens(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const call = callSchema.parse(JSON.parse(String(request.headers[HEADER_CALL])));
  await textOf(request);
  const counted = { input_tokens: call.input + call.cacheRead };
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(counted));
}

/** `POST`: a new bill under a limit; `GET`: the bill so far. */
async function account(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === "POST") {
    limitNanoUsd = billTaskSchema.parse(JSON.parse(await textOf(request))).limitNanoUsd;
    bill = newBill();
  }
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(bill));
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  // A late call of a run before this one is no part of this bill.
  const own = bill;
  own.calls += 1;
  own.running += 1;
  own.lastArrivalAtMs = wallMs();
  if (own.passedAtMs !== null) own.lateMs.push(own.lastArrivalAtMs - own.passedAtMs);
  const call = callSchema.parse(JSON.parse(String(request.headers[HEADER_CALL])));
  const startedMs = performance.now();
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  const isStream = (await textOf(request)).includes('"stream":true');
  const isWhole = await serve(response, call, isStream, gone.signal);
  const share = isWhole ? 1 : Math.min(1, (performance.now() - startedMs) / call.tookMs);
  own.running -= 1;
  charge(own, call, share);
  if (isWhole) end(response, call, isStream);
}

/** False when the client has gone meanwhile. */
async function serve(response: ServerResponse, call: Call, isStream: boolean, gone: AbortSignal): Promise<boolean> {
  try {
    await delay(call.tookMs * START_SHARE, undefined, { signal: gone });
    if (isStream) {
      response.writeHead(200, { "Content-Type": "text/event-stream", "request-id": "req_bench" });
      response.write(sse({ type: "message_start", message: message(call, 1, []) }));
    }
    await delay(call.tookMs * (1 - START_SHARE), undefined, { signal: gone });
    return true;
  } catch (error) {
    if (gone.aborted) return false;
    throw error;
  }
}

function end(response: ServerResponse, call: Call, isStream: boolean): void {
  const text = { type: "text", text: "Done." };
  if (!isStream) {
    response.writeHead(200, { "Content-Type": "application/json", "request-id": "req_bench" });
    response.end(JSON.stringify({ ...message(call, call.output, [text]), stop_reason: "end_turn" }));
    return;
  }
  response.write(
    sse({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }) +
      sse({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Done." } }) +
      sse({ type: "content_block_stop", index: 0 }),
  );
  const delta = { stop_reason: "end_turn", stop_sequence: null };
  response.write(sse({ type: "message_delta", delta, usage: { output_tokens: call.output } }));
  response.end(sse({ type: "message_stop" }));
}

function charge(own: Bill, call: Call, share: number): void {
  own.nanoUsd +=
    call.input * RATES.input + call.cacheRead * RATES.cacheRead + Math.ceil(call.output * share) * RATES.output;
  if (own.nanoUsd > limitNanoUsd) own.passedAtMs ??= wallMs();
}

function message(call: Call, output: number, content: object[]): object {
  return {
    id: "msg_bench",
    type: "message",
    role: "assistant",
    model: MODEL,
    content,
    stop_reason: null,
    stop_sequence: null,
    usage: {
      input_tokens: call.input,
      output_tokens: output,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: call.cacheRead,
      cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
      server_tool_use: null,
      service_tier: "standard",
      inference_geo: "global",
    },
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString("utf8");
}
