/**
 * The request body for one model choice: the step's patch, and what models do not share. Invariant: `null` (send the
 * body as the SDK encoded it) unless something really changes.
 */
import type { Body } from "./request.ts";
import { isObject } from "../wire/json.ts";
import type { ModelChoice } from "../evaluate/chain-plan.ts";
import type { ChainStep } from "../wire/protocol.ts";

/** Fields a step cannot patch: the chain names the model, and the caller is waiting for the kind of answer it asked. */
const PROTECTED_FIELDS: ReadonlySet<string> = new Set(["model", "stream"]);

/** The changed body, encoded; null when the body stands. Never changes `body` itself. */
export function bodyFor(body: Body, choice: ModelChoice): string | null {
  const changes = choice.step === null ? null : stepChanges(body, choice.step);
  if (!choice.replaced && changes === null) return null;
  const patched: Record<string, unknown> = { ...body, ...changes?.set };
  for (const field of changes?.unset ?? []) delete patched[field];
  if (choice.replaced) {
    patched["model"] = choice.model;
    patched["messages"] = withoutThinking(patched["messages"]);
  }
  return JSON.stringify(patched);
}

function stepChanges(body: Body, step: ChainStep): { set: Record<string, unknown>; unset: string[] } | null {
  const set: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(step.set ?? {})) {
    if (!PROTECTED_FIELDS.has(field) && !sameJson(body[field], value)) set[field] = value;
  }
  const unset = (step.unset ?? []).filter((field) => !PROTECTED_FIELDS.has(field) && (field in body || field in set));
  const asked = set["max_tokens"] ?? body["max_tokens"];
  if (step.maxTokens !== undefined && typeof asked === "number" && asked > step.maxTokens) {
    set["max_tokens"] = step.maxTokens;
  }
  return Object.keys(set).length === 0 && unset.length === 0 ? null : { set, unset };
}

/** Thinking blocks are bound to the model that wrote them: another model refuses them. */
function withoutThinking(messages: unknown): unknown {
  if (!Array.isArray(messages)) return messages;
  const kept: unknown[] = [];
  for (const message of messages as unknown[]) {
    if (!isObject(message) || !Array.isArray(message["content"])) {
      kept.push(message);
      continue;
    }
    const blocks = message["content"] as unknown[];
    const content = blocks.filter((block) => !isThinking(block));
    if (content.length === blocks.length) kept.push(message);
    else if (content.length > 0) kept.push({ ...message, content });
  }
  return kept;
}

function isThinking(block: unknown): boolean {
  return isObject(block) && (block["type"] === "thinking" || block["type"] === "redacted_thinking");
}

function sameJson(left: unknown, right: unknown): boolean {
  return left === right || JSON.stringify(left) === JSON.stringify(right);
}
