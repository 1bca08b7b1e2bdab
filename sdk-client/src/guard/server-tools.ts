/**
 * Tools that the API runs by itself within one call, each time with another reading of the whole prompt. Bounds what they
 * can have used in a call that broke off.
 */
import type { Body } from "./request.ts";
import { isObject } from "../wire/json.ts";

const SERVER_TOOL = /^(?:web_search|web_fetch|code_execution|tool_search_tool|advisor|mcp_toolset)/;
/** Turns that the API takes before it pauses, unless a tool says less. */
const MAX_TURNS = 10;
/** No turn is done sooner. */
const MIN_TURN_MS = 500;
/** What one result adds to the prompt where the tool states no bound (`max_content_tokens`). */
const RESULT_TOKENS = 25_000;

/** What an advice adds to the prompt: all that its model wrote, as another model counts it, and its frame. */
const ADVICE = { factor: 2, frameTokens: 200 };

/** An advisor tool: another model that the answering one asks. */
export interface Advisor {
  model: string;
  /** Of one answer of it; null without a limit. */
  maxTokens: number | null;
}

export interface ServerTools {
  /** Uses in one call at most; 0 without any such tool. */
  maxUses: number;
  hasWebSearch: boolean;
  resultTokens: number;
  advisors: readonly Advisor[];
  /** The type of one that does not state how often it may be used; null when all do. */
  unstated: string | null;
}

/** Those of a body. `otherwise`: the most uses of one that states none. */
export function serverToolsOf(body: Body, otherwise = MAX_TURNS): ServerTools {
  let maxUses = 0;
  let unstated: string | null = null;
  let hasWebSearch = false;
  let resultTokens = 0;
  const advisors: Advisor[] = [];
  const tools: unknown = body["tools"];
  for (const tool of Array.isArray(tools) ? (tools as unknown[]) : []) {
    const type = isObject(tool) ? tool["type"] : undefined;
    if (!isObject(tool) || typeof type !== "string" || !SERVER_TOOL.test(type)) continue;
    const uses = numberOf(tool["max_uses"]);
    if (uses === null) unstated ??= type;
    maxUses += uses ?? otherwise;
    hasWebSearch ||= type.startsWith("web_search");
    const model = tool["model"];
    const maxTokens = numberOf(tool["max_tokens"]);
    if (typeof model === "string") advisors.push({ model, maxTokens });
    const advice =
      typeof model === "string" && maxTokens !== null ? maxTokens * ADVICE.factor + ADVICE.frameTokens : RESULT_TOKENS;
    resultTokens = Math.max(resultTokens, numberOf(tool["max_content_tokens"]) ?? advice);
  }
  return { maxUses, hasWebSearch, resultTokens, advisors, unstated };
}

/** Uses that there can have been in this time. */
export function usesIn(tools: ServerTools, elapsedMs: number): number {
  return Math.min(tools.maxUses, Math.ceil(elapsedMs / MIN_TURN_MS));
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" && value >= 0 ? value : null;
}
