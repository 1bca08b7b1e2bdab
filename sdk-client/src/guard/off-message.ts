/**
 * Answers that no model gave, as ordinary Messages of the Claude API: JSON, or the same as an event stream. They cost
 * nothing, and name the model the caller asked for. No `citations` of null, which the SDK's types allow: the API sends none,
 * and `@ai-sdk/anthropic` 3 refuses such an answer.
 */
import type { Decision } from "../wire/protocol.ts";
import { isObject } from "../wire/json.ts";

export interface OffMessageInput {
  decision: Decision;
  /** The model the request named. */
  model: string;
  /** True when the caller asked for a stream. */
  stream: boolean;
}

/** The flag's off message, for flags whose `offMode` is `message`. */
export function offMessage({ decision, model, stream }: OffMessageInput): Response {
  const content = [{ type: "text", text: decision.message }];
  return messageResponse({ model, content }, { flag: decision.flag, reason: decision.reason, stream });
}

/** A message of these parts; headers `andon-flag` and `andon-reason` tell it from the model's own. */
export function messageResponse(
  parts: Record<string, unknown>,
  { flag, reason, stream }: { flag: string; reason: string; stream: boolean },
): Response {
  const headers = {
    "content-type": stream ? "text/event-stream; charset=utf-8" : "application/json",
    "andon-flag": encodeURIComponent(flag),
    "andon-reason": reason,
  };
  const message = wholeMessage(parts);
  return new Response(stream ? eventStream(message) : JSON.stringify(message), { status: 200, headers });
}

function usage(): Record<string, unknown> {
  return {
    input_tokens: 0,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
    output_tokens: 0,
    server_tool_use: null,
    service_tier: "standard",
  };
}

function wholeMessage(parts: Record<string, unknown>): Record<string, unknown> {
  return {
    type: "message",
    role: "assistant",
    stop_reason: "end_turn",
    stop_sequence: null,
    stop_details: null,
    ...parts,
    id: `msg_andon_${crypto.randomUUID().replaceAll("-", "")}`,
    usage: usage(),
  };
}

function eventStream(message: Record<string, unknown>): string {
  const { content, stop_reason, stop_sequence, stop_details } = message;
  const blocks: readonly unknown[] = Array.isArray(content) ? content : [];
  const events: Record<string, unknown>[] = [
    { type: "message_start", message: { ...message, content: [], stop_reason: null } },
    ...blocks.flatMap((block, index) => blockEvents(block, index)),
    { type: "message_delta", delta: { stop_reason, stop_sequence, stop_details }, usage: { output_tokens: 0 } },
    { type: "message_stop" },
  ];
  return events.map((event) => `event: ${String(event["type"])}\ndata: ${JSON.stringify(event)}\n\n`).join("");
}

/** What comes in deltas begins empty; every other block is there from its start. */
function blockEvents(block: unknown, index: number): Record<string, unknown>[] {
  const stop = { type: "content_block_stop", index };
  if (!isObject(block)) return [{ type: "content_block_start", index, content_block: block }, stop];
  const [empty, delta] = opened(block);
  return [
    { type: "content_block_start", index, content_block: empty },
    ...(delta === null ? [] : [{ type: "content_block_delta", index, delta }]),
    stop,
  ];
}

function opened(block: Record<string, unknown>): [Record<string, unknown>, Record<string, unknown> | null] {
  switch (block["type"]) {
    case "text":
      return [
        { ...block, text: "" },
        { type: "text_delta", text: block["text"] },
      ];
    case "tool_use":
      return [
        { ...block, input: {} },
        { type: "input_json_delta", partial_json: JSON.stringify(block["input"]) },
      ];
    default:
      return [block, null];
  }
}
