/**
 * The models that a body names besides its `model`. Invariant: a body that is sent names none that `model` could not
 * name now. What the API can do without is left out; for the rest the call is refused with what to change.
 */
import type { Body } from "./request.ts";
import { isObject } from "../wire/json.ts";

/** What a flag lets a body name now. */
export interface Naming {
  /** True when `model` could name it and would be sent as asked. */
  mayName(model: string): boolean;
  /** True for what surely is the name of a model. */
  isModel(text: string): boolean;
}

/** A name that may not be sent and that nothing but the caller can change. */
export interface RefusedName {
  model: string;
  /** Where it stands, for example `agent.model`. */
  path: string;
}

/** Text of people and of models, and what a tool's own fields are called: a model's name in there names nothing. */
const CONTENT: ReadonlySet<string> = new Set([
  "messages",
  "system",
  "metadata",
  "prompt",
  "content",
  "text",
  "name",
  "title",
  "description",
  "instructions",
  "input_schema",
  "input_examples",
  "resources",
]);
const MAX_DEPTH = 8;

/** Of a Messages body: fields beside these that name a model are the caller's to change. */
const LEFT_OUT: ReadonlySet<string> = new Set(["model", "fallbacks", "tools"]);

/** The first name of a Messages body that can neither stay nor be left out; null when there is none. */
export function refusedInMessage(body: Body, naming: Naming): RefusedName | null {
  for (const [field, value] of Object.entries(body)) {
    if (LEFT_OUT.has(field)) continue;
    const found = refusedIn(value, field, field, naming, 1);
    if (found !== null) return found;
  }
  return refusedInTools(body["tools"], naming) ?? refusedInMessages(body["messages"], naming);
}

/** The first name anywhere in a body of another shape that may not be sent; null when there is none. */
export function refusedAnywhere(body: Body, naming: Naming): RefusedName | null {
  return refusedIn(body, "", "", naming, 0);
}

function refusedIn(value: unknown, key: string, path: string, naming: Naming, depth: number): RefusedName | null {
  if (CONTENT.has(key) || depth > MAX_DEPTH) return null;
  if (typeof value === "string") return isRefused(value, key, naming) ? { model: value, path } : null;
  if (typeof value !== "object" || value === null) return null;
  for (const [inner, each] of Object.entries(value)) {
    const name = Array.isArray(value) || (key === "model" && inner === "id") ? key : inner;
    const at = Array.isArray(value) ? `${path}[${inner}]` : path === "" ? inner : `${path}.${inner}`;
    const found = refusedIn(each, name, at, naming, depth + 1);
    if (found !== null) return found;
  }
  return null;
}

/** In a field called `model` a name that cannot be read is refused too, as it is in `model` itself. */
function isRefused(text: string, key: string, naming: Naming): boolean {
  return (key === "model" || naming.isModel(text)) && !naming.mayName(text);
}

function refusedInTools(tools: unknown, naming: Naming): RefusedName | null {
  if (!Array.isArray(tools)) return null;
  for (const [index, tool] of (tools as unknown[]).entries()) {
    const found = isAdvisor(tool) ? null : refusedIn(tool, "", `tools[${index}]`, naming, 1);
    if (found !== null) return found;
  }
  return null;
}

/** Tools can be added within the conversation, by blocks of its system messages. */
function refusedInMessages(messages: unknown, naming: Naming): RefusedName | null {
  if (!Array.isArray(messages)) return null;
  for (const [index, message] of (messages as unknown[]).entries()) {
    if (!isObject(message) || message["role"] !== "system" || !Array.isArray(message["content"])) continue;
    for (const block of message["content"] as unknown[]) {
      if (!isObject(block) || block["type"] !== "tool_addition") continue;
      const found = refusedIn(block["tool"], "", `messages[${index}].tool_addition`, naming, 1);
      if (found !== null) return found;
    }
  }
  return null;
}

/** The Messages body without the fallbacks and advisors that may not be named; null when it stands. */
export function withoutNames(body: Body, naming: Naming): Record<string, unknown> | null {
  const fallbacks = allowedFallbacks(body["fallbacks"], naming);
  const tools = allowedTools(body["tools"], naming);
  if (fallbacks === body["fallbacks"] && tools === null) return null;
  const changed: Record<string, unknown> = { ...body };
  setOrLeaveOut(changed, "fallbacks", fallbacks);
  if (tools === null) return changed;
  setOrLeaveOut(changed, "tools", tools.length > 0 ? tools : undefined);
  if (tools.length === 0 || choosesAdvisor(body["tool_choice"])) delete changed["tool_choice"];
  // Without the tool the API refuses what an advisor has said.
  changed["messages"] = withoutBlocks(body["messages"], isAdvisorBlock);
  return changed;
}

/** The tools without the advisors that may not be named; null when all may stay. */
function allowedTools(tools: unknown, naming: Naming): unknown[] | null {
  if (!Array.isArray(tools)) return null;
  const kept = (tools as unknown[]).filter((tool) => !isAdvisor(tool) || refusedIn(tool, "", "", naming, 1) === null);
  return kept.length === tools.length ? null : kept;
}

/** What may stay of `fallbacks`; undefined for nothing. Of `"default"` nobody knows which models the API takes. */
function allowedFallbacks(fallbacks: unknown, naming: Naming): unknown {
  if (fallbacks === undefined || fallbacks === null) return fallbacks;
  if (!Array.isArray(fallbacks)) return undefined;
  const kept = (fallbacks as unknown[]).filter((entry) => refusedIn(entry, "model", "", naming, 0) === null);
  if (kept.length === fallbacks.length) return fallbacks;
  return kept.length > 0 ? kept : undefined;
}

function setOrLeaveOut(body: Record<string, unknown>, field: string, value: unknown): void {
  if (value === undefined) delete body[field];
  else body[field] = value;
}

/** `advisor_20260301` and whatever comes after it. */
function isAdvisor(tool: unknown): tool is Record<string, unknown> {
  return isObject(tool) && typeof tool["type"] === "string" && tool["type"].startsWith("advisor");
}

function choosesAdvisor(choice: unknown): boolean {
  return isObject(choice) && choice["name"] === "advisor";
}

function isAdvisorBlock(block: Record<string, unknown>): boolean {
  if (block["type"] === "advisor_tool_result") return true;
  return block["type"] === "server_tool_use" && block["name"] === "advisor";
}

/** The messages without such blocks; a message that has no other goes with them. The same array when nothing goes. */
export function withoutBlocks(messages: unknown, isOut: (block: Record<string, unknown>) => boolean): unknown {
  if (!Array.isArray(messages)) return messages;
  let isChanged = false;
  const kept: unknown[] = [];
  for (const message of messages as unknown[]) {
    const content: unknown = isObject(message) ? message["content"] : undefined;
    if (!isObject(message) || !Array.isArray(content) || !content.some((block) => isObject(block) && isOut(block))) {
      kept.push(message);
      continue;
    }
    isChanged = true;
    const rest = (content as unknown[]).filter((block) => !isObject(block) || !isOut(block));
    if (rest.length > 0) kept.push({ ...message, content: rest });
  }
  return isChanged ? kept : messages;
}
