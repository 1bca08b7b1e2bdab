/**
 * A local HTTP server that speaks the Claude Messages API, for the demo, the bench and tests. It behaves as scripted and
 * notes of every call whether it was finished or broken off. Invariant: its memory of calls is bounded; its counters
 * are not reset by that.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { LocalBatches } from "./batches.ts";
import { type Behaviour, type CallEnd, type EndpointCall, Script } from "./behaviour.ts";
import { type Reply, reply, sendError, sendJson, type Sleep } from "./reply.ts";
import { type ApiError, estimateTokens, faultOf } from "./shapes.ts";

export { type Behaviour, type EndpointCall, OVERLOADED } from "./behaviour.ts";

const MAX_BODY_BYTES = 33_554_432;
const MAX_CALLS_KEPT = 1_000;

export interface ClaudeEndpointOptions {
  /** 0 (the default) takes a free port. */
  port?: number;
  /** Ids it knows; others are answered 404. Default: it knows every model. */
  models?: readonly string[];
  sleep?: Sleep;
  /** Told of every call as it arrives. */
  onCall?: (call: EndpointCall) => void;
}

/** Counts of calls by how they ended, since the start. */
export type EndpointCounts = Record<CallEnd, number>;

export interface ClaudeEndpoint {
  /** For the SDK's `baseURL`. */
  readonly url: string;
  /** The newest calls, oldest first. */
  readonly calls: readonly EndpointCall[];
  /** The message batches that it has taken. */
  readonly batches: LocalBatches;
  /** How a model (`*`: every model) behaves from now on. */
  behave(model: string, behaviour: Behaviour): void;
  /** How a model's next calls behave, in turn; then as before. */
  behaveNext(model: string, ...behaviours: Behaviour[]): void;
  /** Counts of all calls of a model, or of all models. */
  counts(model?: string): EndpointCounts;
  /** Forgets calls, counts and script. */
  reset(): void;
  close(): Promise<void>;
}

/** Starts the endpoint on 127.0.0.1. Rejects when the port is taken. */
export async function startClaudeEndpoint(options: ClaudeEndpointOptions = {}): Promise<ClaudeEndpoint> {
  const endpoint = new Endpoint(options);
  await endpoint.listen(options.port ?? 0);
  return endpoint;
}

class Endpoint implements ClaudeEndpoint {
  readonly #server: Server;
  readonly #script = new Script();
  readonly batches = new LocalBatches();
  readonly #models: ReadonlySet<string> | null;
  readonly #sleep: Sleep;
  readonly #onCall: ((call: EndpointCall) => void) | undefined;
  readonly #counts = new Map<string, EndpointCounts>();
  #calls: EndpointCall[] = [];
  #serial = 0;

  constructor(options: ClaudeEndpointOptions) {
    this.#models = options.models === undefined ? null : new Set(options.models);
    this.#sleep = options.sleep ?? ((ms, signal) => delay(ms, undefined, { signal }));
    this.#onCall = options.onCall;
    this.#server = createServer((req, res) => {
      // A client that leaves while it is still sending: there is nobody left to answer.
      this.#serve(req, res).catch(() => res.destroy());
    });
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the endpoint is closed");
    return `http://127.0.0.1:${address.port}`;
  }

  get calls(): readonly EndpointCall[] {
    return this.#calls;
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", resolve);
    });
  }

  behave(model: string, behaviour: Behaviour): void {
    this.#script.always(model, behaviour);
  }

  behaveNext(model: string, ...behaviours: Behaviour[]): void {
    this.#script.next(model, behaviours);
  }

  counts(model?: string): EndpointCounts {
    const sum: EndpointCounts = { open: 0, finished: 0, brokenOff: 0, failed: 0 };
    for (const [name, counts] of this.#counts) {
      if (model !== undefined && name !== model) continue;
      sum.open += counts.open;
      sum.finished += counts.finished;
      sum.brokenOff += counts.brokenOff;
      sum.failed += counts.failed;
    }
    return sum;
  }

  reset(): void {
    this.#calls = [];
    this.#counts.clear();
    this.#script.clear();
    this.batches.clear();
  }

  close(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.close((error) => (error === undefined ? resolve() : reject(error)));
      this.#server.closeAllConnections();
    });
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const text = await readText(req);
    const path = (req.url ?? "/").split("?", 1)[0] ?? "/";
    const parsed = text === null ? null : parse(text);
    const to = this.#open(req, res, path, parsed ?? {});
    const ofBatch = this.batches.answer(req.method ?? "GET", path, this.url);
    if (ofBatch !== null) {
      if (ofBatch.kind === "json") sendJson(to, 200, JSON.stringify(ofBatch.body));
      else if (ofBatch.kind === "error") sendError(to, { kind: "error", ...ofBatch.error });
      else {
        to.call.status = 200;
        res.writeHead(200, { "content-type": "application/x-jsonl" }).end(ofBatch.text);
      }
      return;
    }
    const fault = faultOfRequest(req, path, text, parsed, this.#models);
    if (fault !== null) {
      sendError(to, { kind: "error", ...fault });
      return;
    }
    if (path.endsWith("/count_tokens")) {
      sendJson(to, 200, JSON.stringify({ input_tokens: estimateTokens(to.call.body) }));
    } else if (path.endsWith("/batches")) {
      sendJson(to, 200, JSON.stringify(this.batches.create(to.call)));
    } else {
      await this.#play(to);
    }
  }

  async #play(to: Reply): Promise<void> {
    try {
      await reply(to, this.#script.take(to.call.model));
    } catch (error) {
      // The client went away in the middle: noted in `call.end`. Anything else is a fault of this endpoint.
      if (!to.gone.aborted) to.res.destroy(error instanceof Error ? error : undefined);
    }
  }

  #open(req: IncomingMessage, res: ServerResponse, path: string, body: Record<string, unknown>): Reply {
    this.#serial += 1;
    const serial = String(this.#serial).padStart(12, "0");
    const gone = new AbortController();
    let isFailed = false;
    const ended = new Promise<void>((resolve) => void res.once("close", () => resolve()));
    const call: EndpointCall = {
      id: `msg_local_${serial}`,
      path,
      model: typeof body["model"] === "string" ? body["model"] : "",
      stream: body["stream"] === true,
      headers: headersOf(req),
      body,
      status: null,
      tokensSent: 0,
      usage: null,
      end: "open",
      ended,
    };
    this.#keep(call);
    this.#onCall?.(call);
    const counts = this.#countsOf(call.model);
    res.once("close", () => {
      call.end = isFailed ? "failed" : res.writableFinished ? "finished" : "brokenOff";
      counts.open -= 1;
      counts[call.end] += 1;
      gone.abort();
    });
    const fail = (): void => {
      isFailed = true;
    };
    return { call, res, requestId: `req_local_${serial}`, gone: gone.signal, sleep: this.#sleep, fail };
  }

  #keep(call: EndpointCall): void {
    this.#calls.push(call);
    if (this.#calls.length > MAX_CALLS_KEPT) this.#calls.shift();
    this.#countsOf(call.model).open += 1;
  }

  #countsOf(model: string): EndpointCounts {
    const known = this.#counts.get(model);
    if (known !== undefined) return known;
    const made: EndpointCounts = { open: 0, finished: 0, brokenOff: 0, failed: 0 };
    this.#counts.set(model, made);
    return made;
  }
}

function faultOfRequest(
  req: IncomingMessage,
  path: string,
  text: string | null,
  body: Record<string, unknown> | null,
  models: ReadonlySet<string> | null,
): ApiError | null {
  const known = /\/v1\/messages(?:\/count_tokens|\/batches)?$/.test(path);
  if (!known || req.method !== "POST") {
    return { status: 404, type: "not_found_error", message: "Not Found" };
  }
  if (req.headers["x-api-key"] === undefined && req.headers.authorization === undefined) {
    return { status: 401, type: "authentication_error", message: "x-api-key header is required" };
  }
  const invalid = { status: 400, type: "invalid_request_error" };
  if (req.headers["anthropic-version"] === undefined) {
    return { ...invalid, message: "anthropic-version: header is required" };
  }
  if (text === null) {
    return { status: 413, type: "request_too_large", message: "Request exceeds the maximum size" };
  }
  if (body === null) return { ...invalid, message: "The request body is not valid JSON" };
  if (path.endsWith("/batches")) {
    return Array.isArray(body["requests"]) ? null : { ...invalid, message: "requests: Field required" };
  }
  return faultOf(path.endsWith("/count_tokens") ? { max_tokens: 1, ...body } : body, models);
}

function headersOf(req: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(req.headers)) {
    // Credentials are no business of whoever reads the notes.
    if (name === "x-api-key" || name === "authorization" || value === undefined) continue;
    headers[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return headers;
}

function parse(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    const isBody = typeof value === "object" && value !== null && !Array.isArray(value);
    return isBody ? { ...value } : null;
  } catch {
    // Answered as the API does: 400.
    return null;
  }
}

/** The body as text; null when it is larger than the API takes. */
async function readText(req: IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of req) {
    const part = Buffer.from(chunk);
    bytes += part.byteLength;
    if (bytes <= MAX_BODY_BYTES) chunks.push(part);
  }
  return bytes > MAX_BODY_BYTES ? null : Buffer.concat(chunks).toString("utf8");
}
