/**
 * Bodies in the shapes of the Claude Messages API: messages, events, errors, and the checks it makes of a request.
 * Source of the shapes: the published API reference and the types of `@anthropic-ai/sdk`.
 */
import type { Answer, InputUsage } from "./behaviour.ts";

const DEFAULT_TEXT = "Every worker may pull the cord and the line stops until the station is safe again.";
const CHARS_PER_TOKEN = 4;

export interface ApiError {
  status: number;
  type: string;
  message: string;
}

export function errorBody(
  error: { type: string; message: string; details?: Record<string, unknown> | undefined },
  requestId: string,
): string {
  return JSON.stringify({ type: "error", error, request_id: requestId });
}

/** The first fault the API would name of a request to create a message; null when there is none. */
export function faultOf(body: Record<string, unknown>, models: ReadonlySet<string> | null): ApiError | null {
  const { model, max_tokens: maxTokens, messages } = body;
  if (model === undefined) return invalid("model: Field required");
  if (typeof model !== "string") return invalid("model: Input should be a valid string");
  if (messages === undefined) return invalid("messages: Field required");
  if (!Array.isArray(messages)) return invalid("messages: Input should be a valid array");
  if (messages.length === 0) return invalid("messages: at least one message is required");
  if (maxTokens === undefined) return invalid("max_tokens: Field required");
  if (!Number.isInteger(maxTokens)) return invalid("max_tokens: Input should be a valid integer");
  if (Number(maxTokens) < 1) return invalid("max_tokens: must be greater than or equal to 1");
  if (models !== null && !models.has(model)) {
    return { status: 404, type: "not_found_error", message: `model: ${model}` };
  }
  return null;
}

function invalid(message: string): ApiError {
  return { status: 400, type: "invalid_request_error", message };
}

/** An answer with its numbers worked out: what is sent, whole or as events. */
export interface Draft {
  id: string;
  model: string;
  thinking: string | null;
  /** One entry per token. */
  tokens: string[];
  toolUse: { id: string; name: string; input: Record<string, unknown> } | null;
  stopReason: string;
  category: string | null;
  usage: InputUsage;
}

export function draft(id: string, body: Record<string, unknown>, answer: Answer): Draft {
  const text = answer.stopReason === "refusal" ? "" : (answer.text ?? DEFAULT_TEXT);
  const words = text === "" ? [] : text.split(/(?<= )/);
  const maxTokens = Number(body["max_tokens"]);
  const isCut = words.length > maxTokens;
  return {
    id,
    model: String(body["model"]),
    thinking: answer.thinking ?? null,
    tokens: isCut ? words.slice(0, maxTokens) : words,
    toolUse: answer.toolUse === undefined ? null : { id: id.replace("msg_", "toolu_"), ...answer.toolUse },
    stopReason: answer.stopReason ?? (isCut ? "max_tokens" : answer.toolUse === undefined ? "end_turn" : "tool_use"),
    category: answer.category ?? null,
    usage: {
      input: estimateTokens(body),
      cacheWrite5m: 0,
      cacheWrite1h: 0,
      cacheRead: 0,
      webSearches: 0,
      ...answer.usage,
    },
  };
}

export function estimateTokens(body: Record<string, unknown>): number {
  const prompt = JSON.stringify([body["system"] ?? "", body["messages"] ?? [], body["tools"] ?? []]);
  return Math.max(1, Math.ceil(prompt.length / CHARS_PER_TOKEN));
}

function usageBody(usage: InputUsage, outputTokens: number): Record<string, unknown> {
  return {
    input_tokens: usage.input,
    cache_creation_input_tokens: usage.cacheWrite5m + usage.cacheWrite1h,
    cache_read_input_tokens: usage.cacheRead,
    cache_creation: {
      ephemeral_5m_input_tokens: usage.cacheWrite5m,
      ephemeral_1h_input_tokens: usage.cacheWrite1h,
    },
    output_tokens: outputTokens,
    server_tool_use: usage.webSearches === 0 ? null : { web_search_requests: usage.webSearches },
    service_tier: "standard",
  };
}

export function wholeMessage(answer: Draft): Record<string, unknown> {
  const content: unknown[] = [];
  if (answer.thinking !== null) content.push(thinkingBlock(answer.thinking));
  if (answer.tokens.length > 0) content.push({ type: "text", text: answer.tokens.join("") });
  if (answer.toolUse !== null) content.push({ type: "tool_use", ...answer.toolUse });
  return {
    ...emptyMessage(answer),
    content,
    stop_reason: answer.stopReason,
    stop_details: stopDetails(answer),
    usage: usageBody(answer.usage, answer.tokens.length),
  };
}

function emptyMessage(answer: Draft): Record<string, unknown> {
  return {
    id: answer.id,
    type: "message",
    role: "assistant",
    model: answer.model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    stop_details: null,
    usage: usageBody(answer.usage, 1),
  };
}

function stopDetails(answer: Draft): Record<string, unknown> | null {
  return answer.stopReason === "refusal" ? { type: "refusal", category: answer.category, explanation: null } : null;
}

function thinkingBlock(thinking: string): Record<string, unknown> {
  return { type: "thinking", thinking, signature: "c2lnbmF0dXJl" };
}

/** One server-sent event. */
export function sse(event: Record<string, unknown>): string {
  return `event: ${String(event["type"])}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** The events of a stream around its text tokens. */
export interface StreamEvents {
  /** Before any content. */
  start: string;
  /** The thinking block, if any, and the opening of the text block. */
  open: string;
  token(text: string): string;
  /** From the end of the text block, with a tool call, to `message_stop`; usage is cumulative. */
  finish: string;
}

export function streamEvents(answer: Draft): StreamEvents {
  const index = answer.thinking === null ? 0 : 1;
  const delta = { stop_reason: answer.stopReason, stop_sequence: null, stop_details: stopDetails(answer) };
  return {
    start: sse({ type: "message_start", message: emptyMessage(answer) }) + sse({ type: "ping" }),
    open:
      (answer.thinking === null ? "" : thinkingEvents(answer.thinking)) +
      sse({ type: "content_block_start", index, content_block: { type: "text", text: "" } }),
    token: (text) => sse({ type: "content_block_delta", index, delta: { type: "text_delta", text } }),
    finish:
      sse({ type: "content_block_stop", index }) +
      (answer.toolUse === null ? "" : toolEvents(index + 1, answer.toolUse)) +
      sse({ type: "message_delta", delta, usage: usageBody(answer.usage, answer.tokens.length) }) +
      sse({ type: "message_stop" }),
  };
}

function toolEvents(index: number, { input, ...block }: NonNullable<Draft["toolUse"]>): string {
  const delta = { type: "input_json_delta", partial_json: JSON.stringify(input) };
  return (
    sse({ type: "content_block_start", index, content_block: { type: "tool_use", ...block, input: {} } }) +
    sse({ type: "content_block_delta", index, delta }) +
    sse({ type: "content_block_stop", index })
  );
}

function thinkingEvents(thinking: string): string {
  const block = { type: "thinking", thinking: "", signature: "" };
  const signature = { type: "signature_delta", signature: "c2lnbmF0dXJl" };
  return (
    sse({ type: "content_block_start", index: 0, content_block: block }) +
    sse({ type: "content_block_delta", index: 0, delta: { type: "thinking_delta", thinking } }) +
    sse({ type: "content_block_delta", index: 0, delta: signature }) +
    sse({ type: "content_block_stop", index: 0 })
  );
}
