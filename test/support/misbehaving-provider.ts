/**
 * A Messages endpoint that misbehaves as a test says, model by model, and keeps its own bill: what an answer that it sent
 * to the end used.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

export const BILLED = { input_tokens: 100, output_tokens: 10 };
const STARTED = { input_tokens: 100, output_tokens: 1 };

export interface ProviderCall {
  model: string;
  stream: boolean;
  /** Monotonic, in milliseconds. */
  atMs: number;
  /** The other side closed the connection before the answer was whole. */
  isLeft: boolean;
}

/** What the provider does with one call. */
export type Act = (res: ServerResponse, call: ProviderCall, provider: MisbehavingProvider) => void;

export class MisbehavingProvider {
  readonly calls: ProviderCall[] = [];
  /** Tokens by model, as billed. */
  readonly billed = new Map<string, number>();
  readonly #acts = new Map<string, Act[]>();
  readonly #server = createServer((req, res) => void this.#serve(req, res));

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => void this.#server.listen(0, "127.0.0.1", resolve));
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    return `http://127.0.0.1:${address.port}`;
  }

  /** What comes of the model's next calls, in turn; the last one stays. Other models answer. */
  script(acts: Record<string, Act | Act[]>): void {
    this.calls.length = 0;
    this.billed.clear();
    this.#acts.clear();
    for (const [model, act] of Object.entries(acts)) this.#acts.set(model, Array.isArray(act) ? [...act] : [act]);
  }

  bill(model: string): void {
    const tokens = BILLED.input_tokens + BILLED.output_tokens;
    this.billed.set(model, (this.billed.get(model) ?? 0) + tokens);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(Buffer.from(chunk));
    const body: { model: string; stream?: boolean } = JSON.parse(Buffer.concat(chunks).toString());
    const call = { model: body.model, stream: body.stream === true, atMs: performance.now(), isLeft: false };
    this.calls.push(call);
    res.on("close", () => (call.isLeft = !res.writableFinished));
    const acts = this.#acts.get(body.model) ?? [];
    const [act = answer(), ...later] = acts;
    if (later.length > 0) this.#acts.set(body.model, later);
    act(res, call, this);
  }
}

/** An answer, whole or streamed as asked. */
export function answer(stopReason = "end_turn"): Act {
  return (res, call, provider) => {
    provider.bill(call.model);
    if (!call.stream) {
      json(res, 200, message(call.model, BILLED, stopReason));
      return;
    }
    begin(res, call);
    content(res, stopReason === "refusal" ? 0 : 2);
    event(res, "message_delta", { delta: { stop_reason: stopReason }, usage: { output_tokens: BILLED.output_tokens } });
    event(res, "message_stop", {});
    res.end();
  };
}

export interface ErrorMore {
  message?: string;
  code?: string;
  headers?: Record<string, string>;
}

export function fails(status: number, type: string, { message: text = type, code, headers }: ErrorMore = {}): Act {
  const error = { type, message: text, ...(code === undefined ? {} : { details: { error_code: code } }) };
  return (res) => json(res, status, { type: "error", error, request_id: "req_1" }, headers);
}

/** A body of any kind, with status 200 unless said otherwise. */
export function says(type: string, body: string, status = 200): Act {
  return (res) => void res.writeHead(status, { "content-type": type }).end(body);
}

/** Half of a whole answer in good order. */
export const halfAnAnswer: Act = (res, call) => {
  const text = JSON.stringify(message(call.model, BILLED, "end_turn"));
  res.writeHead(200, { "content-type": "application/json" }).end(text.slice(0, text.length / 2));
};

export const resets: Act = (res) => void res.socket?.resetAndDestroy();
export const hangs: Act = () => undefined;
/** Headers, and then silence. */
export const hangsInBody: Act = (res, call) => {
  if (call.stream) begin(res, call);
  else res.writeHead(200, { "content-type": "application/json" }).write(" ");
};
/** The headers of an error, and then silence. */
export const hangsInError: Act = (res) => {
  res.writeHead(529, { "content-type": "application/json" }).write("{");
};

/** A stream that begins, shows `deltas` pieces of text, and then comes to this end. */
export function streams(deltas: number, end: "ends" | "resets" | "hangs" | { error: string }): Act {
  return (res, call) => {
    begin(res, call);
    content(res, deltas);
    if (end === "ends") res.end();
    // What is under way would be lost with the connection.
    else if (end === "resets") setTimeout(() => res.socket?.resetAndDestroy(), 20);
    else if (end !== "hangs") {
      event(res, "error", { error: { type: end.error, message: end.error } });
      res.end();
    }
  };
}

function message(model: string, usage: object, stopReason: string | null): object {
  const blocks = stopReason === null ? [] : [{ type: "text", text: "one two" }];
  return { id: "msg_1", type: "message", role: "assistant", model, content: blocks, stop_reason: stopReason, usage };
}

function json(res: ServerResponse, status: number, body: object, headers: Record<string, string> = {}): void {
  res.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

function begin(res: ServerResponse, call: ProviderCall): void {
  res.writeHead(200, { "content-type": "text/event-stream" });
  event(res, "message_start", { message: message(call.model, STARTED, null) });
}

function content(res: ServerResponse, deltas: number): void {
  if (deltas === 0) return;
  event(res, "content_block_start", { index: 0, content_block: { type: "text", text: "" } });
  for (let n = 0; n < deltas; n += 1) {
    event(res, "content_block_delta", { index: 0, delta: { type: "text_delta", text: "one " } });
  }
}

function event(res: ServerResponse, type: string, data: object): void {
  res.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
}
