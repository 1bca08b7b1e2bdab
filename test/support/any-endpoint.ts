/** An endpoint that answers every request as if it were the Claude API, whatever its path, and keeps what it was sent. */
import { createServer } from "node:http";

export interface Sent {
  method: string;
  path: string;
  body: string;
}

export interface AnyEndpoint {
  url: string;
  sent: Sent[];
  /** What to answer to a body: a message, or `{ status, error }`; an ordinary message when undefined. */
  answer: ((body: Record<string, unknown>) => unknown) | undefined;
  close(): Promise<void>;
}

export async function startAnyEndpoint(): Promise<AnyEndpoint> {
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on("data", (chunk: Buffer) => chunks.push(chunk));
    req.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      endpoint.sent.push({ method: req.method ?? "", path: req.url ?? "", body });
      const parsed = parsedObject(body);
      const answer: unknown = endpoint.answer?.(parsed) ?? messageOf(parsed["model"]);
      const status = isObject(answer) && isObject(answer["error"]) ? Number(answer["status"] ?? 400) : 200;
      const isStream = status === 200 && parsed["stream"] === true && isObject(answer);
      res.writeHead(status, { "content-type": isStream ? "text/event-stream" : "application/json" });
      res.end(isStream ? eventsOf(answer) : JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening");
  const endpoint: AnyEndpoint = {
    url: `http://127.0.0.1:${address.port}`,
    sent: [],
    answer: undefined,
    close: async () => {
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
  return endpoint;
}

/** An ordinary answer, with what a test changes of it. */
export function messageOf(model: unknown, changes: object = {}): object {
  const usage = { input_tokens: 10, output_tokens: 1, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 };
  const content = [{ type: "text", text: "ok" }];
  const base = { id: "msg_1", type: "message", role: "assistant", model, content, stop_sequence: null };
  return { ...base, stop_reason: "end_turn", usage, ...changes };
}

/** An answer as the API streams it: what is long comes in deltas, the rest with the start of its block. */
function eventsOf(message: Record<string, unknown>): string {
  const blocks: unknown = message["content"];
  const events: object[] = [{ type: "message_start", message: { ...message, content: [], stop_reason: null } }];
  for (const [index, block] of (Array.isArray(blocks) ? blocks : []).entries()) {
    const { start, deltas } = partsOf(isObject(block) ? block : {});
    events.push({ type: "content_block_start", index, content_block: start });
    for (const delta of deltas) events.push({ type: "content_block_delta", index, delta });
    events.push({ type: "content_block_stop", index });
  }
  const delta = { stop_reason: message["stop_reason"], stop_details: message["stop_details"], stop_sequence: null };
  events.push({ type: "message_delta", delta, usage: message["usage"] }, { type: "message_stop" });
  return events.map((event) => `event: ${Reflect.get(event, "type")}\ndata: ${JSON.stringify(event)}\n\n`).join("");
}

function partsOf(block: Record<string, unknown>): { start: object; deltas: object[] } {
  const { type, text, thinking, signature, input } = block;
  if (type === "text") return { start: { type, text: "" }, deltas: [{ type: "text_delta", text }] };
  if (type === "tool_use") {
    const delta = { type: "input_json_delta", partial_json: JSON.stringify(input) };
    return { start: { ...block, input: {} }, deltas: [delta] };
  }
  if (type !== "thinking") return { start: block, deltas: [] };
  const deltas = [
    { type: "thinking_delta", thinking },
    { type: "signature_delta", signature },
  ];
  return { start: { type, thinking: "", signature: "" }, deltas };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parsedObject(text: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    // An upload, or no body at all.
    parsed = null;
  }
  return isObject(parsed) ? parsed : {};
}
