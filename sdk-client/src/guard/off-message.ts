/**
 * The flag's off message as an ordinary Message of the Claude API, for flags whose `offMode` is `message`: JSON, or the
 * same as an event stream. It carries the text, costs nothing, and names the model the caller asked for. No `citations`
 * of null, which the SDK's types allow: the API sends none, and `@ai-sdk/anthropic` 3 refuses such an answer.
 */
import type { Decision } from "../wire/protocol.ts";

export interface OffMessageInput {
  decision: Decision;
  /** The model the request named. */
  model: string;
  /** True when the caller asked for a stream. */
  stream: boolean;
}

/** The answer to give instead of a call; headers `andon-flag` and `andon-reason` tell it from the model's own. */
export function offMessage(input: OffMessageInput): Response {
  const id = `msg_andon_${crypto.randomUUID().replaceAll("-", "")}`;
  const headers = {
    "content-type": input.stream ? "text/event-stream; charset=utf-8" : "application/json",
    "andon-flag": encodeURIComponent(input.decision.flag),
    "andon-reason": input.decision.reason,
  };
  const body = input.stream ? eventStream(id, input) : JSON.stringify(wholeMessage(id, input));
  return new Response(body, { status: 200, headers });
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

function wholeMessage(id: string, input: OffMessageInput): Record<string, unknown> {
  return {
    id,
    type: "message",
    role: "assistant",
    model: input.model,
    content: [{ type: "text", text: input.decision.message }],
    stop_reason: "end_turn",
    stop_sequence: null,
    stop_details: null,
    usage: usage(),
  };
}

function eventStream(id: string, input: OffMessageInput): string {
  const text = input.decision.message;
  const events: Record<string, unknown>[] = [
    {
      type: "message_start",
      message: { ...wholeMessage(id, input), content: [], stop_reason: null },
    },
    {
      type: "content_block_start",
      index: 0,
      content_block: { type: "text", text: "" },
    },
    { type: "content_block_delta", index: 0, delta: { type: "text_delta", text } },
    { type: "content_block_stop", index: 0 },
    {
      type: "message_delta",
      delta: { stop_reason: "end_turn", stop_sequence: null, stop_details: null },
      usage: { output_tokens: 0 },
    },
    { type: "message_stop" },
  ];
  return events.map((event) => `event: ${String(event["type"])}\ndata: ${JSON.stringify(event)}\n\n`).join("");
}
