/**
 * An upper bound of what a request's prompt costs, for attempts whose input the API did not tell. Invariant: never below
 * the tokens of what is sent inline; a token is at least one byte. What is only named counts a bound that is given.
 */
import type { Body } from "./request.ts";
import { isObject } from "../wire/json.ts";
import { MAX_PDF_PAGES, pdfPages } from "./pdf-pages.ts";
import type { Before } from "./threads.ts";
import { NO_USAGE, type TokenUsage } from "../wire/usage-protocol.ts";

/** The largest context window there is, in tokens. */
export const MAX_PROMPT_TOKENS = 1_000_000;
/** More than any image costs, in tokens; its encoded bytes say nothing about that. */
const MAX_IMAGE_TOKENS = 5_000;
/** A page is read as an image and as text, of 1,500 to 3,000 tokens: https://platform.claude.com/docs/en/build-with-claude/pdf-support */
const MAX_PAGE_TOKENS = MAX_IMAGE_TOKENS + 3_000;
/** What the API adds to a prompt when tools are given. */
const TOOLS_OVERHEAD_TOKENS = 1_000;
/** Definition of a tool that the API itself knows, of which the body has but the name. */
const MAX_KNOWN_TOOL_TOKENS = 4_000;
/** Definitions of the tools of one MCP server, or of one skill. */
const MAX_REMOTE_TOOLS_TOKENS = 25_000;
/** Nesting of content that is looked into: a tool result holds blocks, deeper there is none. */
const MAX_DEPTH = 3;

/** What the body does not tell. */
export interface PromptContext {
  /** Bound of one document that is named by file id or URL, in tokens. Default: the largest window. */
  documentTokens?: number | undefined;
  /** What the thread had before this turn; null for a turn that carries all it has. */
  before: Before | null;
  /** Most tokens that the prompt has, where the API was asked; null where nobody has. */
  counted: number | null;
}

/** The bound as usage, in the dearest class the request asks for. `encoded` is the body as it was sent. */
export function promptBound(body: Body, encoded: string, context: PromptContext): TokenUsage {
  const { before, counted } = context;
  if (counted !== null) return { ...NO_USAGE, [promptClass(encoded, before)]: counted + (before?.tokens ?? 0) };
  const media: Media = { tokens: 0, bytes: 0 };
  addMedia(media, body["messages"], context.documentTokens ?? MAX_PROMPT_TOKENS, 0);
  const bytes = new TextEncoder().encode(encoded).byteLength - media.bytes;
  const tokens = Math.min(bytes + media.tokens + toolTokens(body) + (before?.tokens ?? 0), MAX_PROMPT_TOKENS);
  return { ...NO_USAGE, [promptClass(encoded, before)]: tokens };
}

/** It may have been written to the cache, which costs more than plain input. */
function promptClass(encoded: string, before: Before | null): Before["as"] {
  const own = encoded.includes('"cache_control"');
  if ((own && /"ttl"\s*:\s*"1h"/.test(encoded)) || before?.as === "cacheWrite1h") return "cacheWrite1h";
  return own ? "cacheWrite5m" : (before?.as ?? "input");
}

/** True when the body names a document that is not in it: its bytes bound nothing. */
export function namesDocuments(content: unknown, depth = 0): boolean {
  return (
    depth <= MAX_DEPTH &&
    listOf(content).some((block) => {
      const source = isObject(block["source"]) ? block["source"] : null;
      const isNamed = source !== null && (source["type"] === "url" || source["type"] === "file");
      if (block["type"] === "container_upload") return true;
      return (
        (isNamed && block["type"] === "document") || namesDocuments(source?.["content"] ?? block["content"], depth + 1)
      );
    })
  );
}

function toolTokens(body: Body): number {
  let tokens = 0;
  const tools = listOf(body["tools"]);
  if (body["tools"] !== undefined) tokens += TOOLS_OVERHEAD_TOKENS;
  for (const tool of tools) {
    const type = tool["type"];
    if (typeof type === "string" && type !== "custom") tokens += MAX_KNOWN_TOOL_TOKENS;
  }
  const container = body["container"];
  const skills = isObject(container) ? listOf(container["skills"]).length : 0;
  return tokens + (listOf(body["mcp_servers"]).length + skills) * MAX_REMOTE_TOOLS_TOKENS;
}

/** Images and documents: what they can cost, and the bytes of the body that say nothing about it. */
interface Media {
  tokens: number;
  bytes: number;
}

function addMedia(sum: Media, content: unknown, documentTokens: number, depth: number): void {
  if (depth > MAX_DEPTH) return;
  for (const block of listOf(content)) {
    const source = isObject(block["source"]) ? block["source"] : null;
    const data = typeof source?.["data"] === "string" ? source["data"] : null;
    if (block["type"] === "image") {
      sum.tokens += MAX_IMAGE_TOKENS;
      sum.bytes += data?.length ?? 0;
    } else if (block["type"] === "document" && source !== null) {
      addDocument(sum, source, data, documentTokens);
      addMedia(sum, source["content"], documentTokens, depth + 1);
    } else {
      addMedia(sum, block["content"], documentTokens, depth + 1);
    }
  }
}

function addDocument(sum: Media, source: Body, data: string | null, documentTokens: number): void {
  if (source["type"] === "base64" && data !== null) {
    sum.tokens += pdfPages(data) * MAX_PAGE_TOKENS;
    sum.bytes += data.length;
  } else if (source["type"] === "url" || source["type"] === "file") {
    sum.tokens += Math.min(documentTokens, MAX_PDF_PAGES * MAX_PAGE_TOKENS);
  }
}

function listOf(value: unknown): Body[] {
  return Array.isArray(value) ? (value as unknown[]).filter(isObject) : [];
}
