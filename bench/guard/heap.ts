/**
 * `heap.streams`: bytes that are kept per stream that its reader left by `break`, what a "Stop" button does. The same is
 * done with the bare SDK, whose own remainder is the floor. The network is a stub whose streams never end by themselves.
 */
import Anthropic from "@anthropic-ai/sdk";
import { Andon } from "andon-client";
import { guard, guardStats } from "andon-client/anthropic";
import { by, type Effort } from "../support/effort.ts";
import type { Figure } from "../support/figure.ts";
import { heapBytes } from "../support/memory.ts";
import { SILENT } from "../support/silent-logger.ts";

const FLAG = "support-chat";
const AT_ONCE = 30;

const EVENTS = [
  {
    type: "message_start",
    message: { id: "m", type: "message", role: "assistant", model: "claude-opus-5-5", content: [], usage: {} },
  },
  { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
  { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Every" } },
];
const BEGINNING = new TextEncoder().encode(
  EVENTS.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(""),
);

/** A stream that has begun and goes on until it is cancelled. */
const stubFetch = (): Promise<Response> => {
  const body = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(BEGINNING) });
  return Promise.resolve(new Response(body, { headers: { "content-type": "text/event-stream" } }));
};

/** How a reader leaves its stream. */
export type Leaving = "break" | "drop" | "never read";

/** Bytes kept per stream, of the bare SDK or of a guarded one. */
export async function bytesPerStream(leaving: Leaving, streams: number, isGuarded: boolean): Promise<number> {
  const andon = new Andon({ logger: SILENT });
  const middleware = isGuarded ? [guard(andon, { flag: FLAG })] : [];
  const client = new Anthropic({ apiKey: "local", baseURL: "http://127.0.0.1", fetch: stubFetch, middleware });
  try {
    await leave(client, leaving, streams);
    const beforeBytes = await heapBytes();
    await leave(client, leaving, streams);
    const afterBytes = await heapBytes();
    const running = guardStats(andon).running[FLAG] ?? 0;
    if (running > 0) throw new Error(`${running} streams that were left are still among the running calls`);
    return Math.max(0, afterBytes - beforeBytes) / streams;
  } finally {
    await andon.close();
  }
}

export async function benchHeapStreams(effort: Effort): Promise<Figure> {
  const streams = by(effort, 3_000, 300);
  const floor = await bytesPerStream("break", streams, false);
  const ours = await bytesPerStream("break", streams, true);
  return {
    name: "heap.streams",
    unit: "bytes",
    ours,
    floor,
    note: `per stream of ${streams} left by break, after as many before; floor: the bare SDK`,
  };
}

async function leave(client: Anthropic, leaving: Leaving, streams: number): Promise<void> {
  for (let begun = 0; begun < streams; begun += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, () => leaveOne(client, leaving)));
  }
}

async function leaveOne(client: Anthropic, leaving: Leaving): Promise<void> {
  const stream = await client.messages.create({
    model: "claude-opus-5-5",
    max_tokens: 100,
    messages: [{ role: "user", content: "Who may pull the cord?" }],
    stream: true,
  });
  if (leaving === "never read") return;
  const events = stream[Symbol.asyncIterator]();
  const first = await events.next();
  if (first.done === true) throw new Error("the stub's stream did not begin");
  if (leaving === "break") await events.return?.();
}
