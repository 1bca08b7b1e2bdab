/**
 * What of a conversation fits the model it is sent to. Thinking blocks are bound to the model that wrote them: its own
 * stay, all others go. Invariant: a conversation that fits is not touched.
 */
import type { ModelNames } from "../evaluate/model-names.ts";
import { withoutBlocks } from "./names.ts";
import type { Body } from "./request.ts";
import { isObject } from "../wire/json.ts";
import type { Writers } from "./writers.ts";

export interface HistoryFor {
  /** The model that is sent. */
  model: string;
  /** The model that the caller asked for: blocks that nobody saw being written are taken for its own. */
  requested: string;
  models: ModelNames;
  writers: Writers;
}

/** The body as it fits the model; null when it stands. */
export function fittingHistory(body: Body, target: HistoryFor): Record<string, unknown> | null {
  const messages = fittingMessages(body["messages"], target);
  const isTurnedOff = mustNotThink(body["thinking"], messages);
  if (messages === body["messages"] && !isTurnedOff) return null;
  const changed: Record<string, unknown> = { ...body, messages };
  if (isTurnedOff) thinkNot(changed);
  return changed;
}

function fittingMessages(messages: unknown, { model, requested, models, writers }: HistoryFor): unknown {
  const name = models.nameOf(model);
  const isAsAsked = models.nameOf(requested) === name;
  if (isAsAsked && !writers.hasOthersThan(name)) return messages;
  return withoutBlocks(messages, (block) => {
    if (!isThinking(block)) return false;
    const writer = writers.of(block);
    return writer === undefined ? !isAsAsked : models.nameOf(writer) !== name;
  });
}

/**
 * With manual thinking the API wants the last assistant message of an open tool turn to begin with thinking ("Expected
 * `thinking` or `redacted_thinking`"). One that lost its own, or was written without, can only go on without thinking.
 */
function mustNotThink(thinking: unknown, messages: unknown): boolean {
  if (!isObject(thinking) || thinking["type"] !== "enabled" || !Array.isArray(messages)) return false;
  const last: unknown = messages.at(-1);
  const answered: unknown = isObject(last) ? last["content"] : null;
  if (!Array.isArray(answered) || !answered.some((block) => hasType(block, "tool_result"))) return false;
  const before: unknown = messages.findLast((message) => isObject(message) && message["role"] === "assistant");
  const content: unknown = isObject(before) ? before["content"] : null;
  return Array.isArray(content) && !isThinking(content[0]);
}

/** Changes the body, a copy, to ask for no thinking, and for nothing that needs it. */
export function thinkNot(body: Record<string, unknown>): void {
  body["thinking"] = { type: "disabled" };
  const management = body["context_management"];
  const edits = isObject(management) ? management["edits"] : null;
  if (!isObject(management) || !Array.isArray(edits)) return;
  const kept = (edits as unknown[]).filter((edit) => !isThinkingEdit(edit));
  if (kept.length < edits.length) body["context_management"] = { ...management, edits: kept };
}

/** `clear_thinking_20251015`: the API refuses it without thinking. */
function isThinkingEdit(edit: unknown): boolean {
  return isObject(edit) && typeof edit["type"] === "string" && edit["type"].startsWith("clear_thinking");
}

function isThinking(block: unknown): boolean {
  return hasType(block, "thinking") || hasType(block, "redacted_thinking");
}

function hasType(block: unknown, type: string): boolean {
  return isObject(block) && block["type"] === type;
}
