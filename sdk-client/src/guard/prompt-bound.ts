/**
 * An upper bound of what a request's prompt costs, for attempts that broke off before the API told. Invariant: never
 * below the tokens of inline text; a token is at least one byte.
 */
import type { Body } from "./request.ts";
import { isObject } from "../wire/json.ts";
import { NO_USAGE, type TokenUsage } from "../wire/usage-protocol.ts";

/** The largest context window there is, in tokens. */
const MAX_PROMPT_TOKENS = 1_000_000;
/** More than any image costs, in tokens; its encoded bytes say nothing about that. */
const MAX_IMAGE_TOKENS = 5_000;
/** What the API adds to a prompt when tools are given. */
const TOOLS_OVERHEAD_TOKENS = 1_000;
/** Nesting of content that is looked into: a tool result holds blocks, deeper there is none. */
const MAX_DEPTH = 3;

/** The bound as usage, in the dearest class the request asks for. `encoded` is the body as it was sent. */
export function promptBound(body: Body, encoded: string): TokenUsage {
  const images = imagesOf(body["messages"], 0);
  const bytes = new TextEncoder().encode(encoded).byteLength - images.bytes;
  const tools = body["tools"] === undefined ? 0 : TOOLS_OVERHEAD_TOKENS;
  const tokens = Math.min(bytes + images.count * MAX_IMAGE_TOKENS + tools, MAX_PROMPT_TOKENS);
  if (!encoded.includes('"cache_control"')) return { ...NO_USAGE, input: tokens };
  // It may have been written to the cache, which costs more than plain input.
  return /"ttl"\s*:\s*"1h"/.test(encoded)
    ? { ...NO_USAGE, cacheWrite1h: tokens }
    : { ...NO_USAGE, cacheWrite5m: tokens };
}

interface Images {
  count: number;
  /** Of their inline data. */
  bytes: number;
}

function imagesOf(content: unknown, depth: number): Images {
  const sum: Images = { count: 0, bytes: 0 };
  if (!Array.isArray(content) || depth > MAX_DEPTH) return sum;
  for (const block of content as unknown[]) {
    if (!isObject(block)) continue;
    if (block["type"] === "image") {
      const source = block["source"];
      sum.count += 1;
      if (isObject(source) && typeof source["data"] === "string") sum.bytes += source["data"].length;
    } else {
      const inner = imagesOf(block["content"], depth + 1);
      sum.count += inner.count;
      sum.bytes += inner.bytes;
    }
  }
  return sum;
}
