/** The Message that a whole answer is: of JSON, or put together from the events of a stream. Pure. */
import { isObject, parseObject } from "../wire/json.ts";

/** Null for what is no message. `text` is the body of an answer, whole. */
export function messageIn(text: string, isStream: boolean): Record<string, unknown> | null {
  return isStream ? fromEvents(text) : parseObject(text);
}

function fromEvents(text: string): Record<string, unknown> | null {
  let message: Record<string, unknown> | null = null;
  const content: Record<string, unknown>[] = [];
  /** The text of inputs of tools, by their block. */
  const inputs: string[] = [];
  for (const line of text.split(/\r?\n/)) {
    const event = line.startsWith("data:") ? parseObject(line.slice(5)) : null;
    if (event === null) continue;
    const index = typeof event["index"] === "number" ? event["index"] : 0;
    const { delta } = event;
    switch (event["type"]) {
      case "message_start":
        message = isObject(event["message"]) ? { ...event["message"] } : null;
        break;
      case "content_block_start":
        content[index] = isObject(event["content_block"]) ? { ...event["content_block"] } : {};
        break;
      case "content_block_delta": {
        const block = content[index];
        if (block === undefined || !isObject(delta)) break;
        if (delta["type"] === "input_json_delta") inputs[index] = (inputs[index] ?? "") + String(delta["partial_json"]);
        else append(block, delta);
        break;
      }
      case "message_delta":
        if (message === null || !isObject(delta)) break;
        Object.assign(message, delta);
        if (isObject(event["usage"])) message["usage"] = { ...asObject(message["usage"]), ...event["usage"] };
        break;
    }
  }
  if (message === null) return null;
  for (const [index, input] of inputs.entries()) {
    const block = content[index];
    if (block !== undefined && input !== undefined) block["input"] = parseObject(input === "" ? "{}" : input) ?? input;
  }
  return { ...message, content };
}

/** A delta has the text to append by the name of its field; a citation is one more of a list. */
function append(block: Record<string, unknown>, delta: Record<string, unknown>): void {
  for (const field of ["text", "thinking", "signature"]) {
    const more = delta[field];
    if (typeof more === "string") block[field] = `${typeof block[field] === "string" ? block[field] : ""}${more}`;
  }
  const { citation } = delta;
  if (citation !== undefined) {
    const known: unknown = block["citations"];
    block["citations"] = [...(Array.isArray(known) ? (known as unknown[]) : []), citation];
  }
}

function asObject(value: unknown): Record<string, unknown> {
  return isObject(value) ? value : {};
}
