/**
 * A short hash of a system prompt, to tell prompts apart without ever sending one. Invariant: the text does not leave
 * the process; sixteen hexadecimal digits of its SHA-256 do.
 */
import { isObject } from "../wire/json.ts";
import { builtin } from "../builtin.ts";

const HASH_CHARS = 16;
/** Prompts are mostly constants of the application: a few are remembered, so that a call costs one lookup. */
const MAX_REMEMBERED = 32;
const MAX_REMEMBERED_CHARS = 262_144;
const remembered = new Map<string, string>();

/** The hash of `system` of a request; undefined without a prompt, or where there is no `node:crypto`. */
export function systemHash(system: unknown): string | undefined {
  const text = textOf(system);
  if (text === "") return undefined;
  const known = remembered.get(text);
  if (known !== undefined) return known;
  const hash = builtin("node:crypto")?.createHash("sha256").update(text).digest("hex").slice(0, HASH_CHARS);
  if (hash === undefined || text.length > MAX_REMEMBERED_CHARS) return hash;
  if (remembered.size >= MAX_REMEMBERED) remembered.clear();
  remembered.set(text, hash);
  return hash;
}

function textOf(system: unknown): string {
  if (typeof system === "string") return system;
  if (!Array.isArray(system)) return "";
  return system
    .map((block: unknown) => (isObject(block) && typeof block["text"] === "string" ? block["text"] : ""))
    .join("\n");
}
