/**
 * What one attempt used, by model and kind of work, from whatever was seen of it. Invariants: what is not billed is
 * nothing; what the API did not tell is bounded from above, and never exact.
 */
import type { ModelChoice } from "../evaluate/chain-plan.ts";
import { addUsage, clamp, promptTokens, readUsage, type UsagePart } from "../pricing/usage.ts";
import { isObject } from "../wire/json.ts";
import { NO_USAGE, type TokenUsage } from "../wire/usage-protocol.ts";
import type { Memory } from "./memory.ts";
import { MAX_PROMPT_TOKENS, promptBound } from "./prompt-bound.ts";
import { readRefusals, withoutWaived } from "./refusal.ts";
import type { Body } from "./request.ts";
import { serverToolsOf, type ServerTools, usesIn } from "./server-tools.ts";
import { isPlaceholder, type StreamUsage, tokensOf } from "./stream-usage.ts";

/** What was sent, as far as it decides what is billed. */
export interface Asked {
  choice: ModelChoice;
  /** The body as the caller gave it; null when the request was not seen. */
  body: Body | null;
  /** The body as it was sent. */
  encoded: () => string;
  /** Where the request went, as a record's `geo` tells it; null for a global endpoint. */
  place: string | null;
  memory: Memory;
  /** Bound of a document that is named by file id or URL, in tokens; the largest window when undefined. */
  documentTokens: number | undefined;
  /** Most uses of a tool that the API runs and that states none; the API's own limit when undefined. */
  toolUses: number | undefined;
  /** Most tokens that the prompt has, where the API was asked; null where nobody has. */
  counted: number | null;
}

export interface Seen {
  /** Nothing was billed: it was not sent, or was refused with an error status. */
  isUnbilled: boolean;
  /** The answer came to its end. */
  isWhole: boolean;
  /** `message` is null when the answer is no JSON object. */
  answer: { message: Body | null; text: string } | null;
  stream: StreamUsage | null;
  /** From sending to the end, and of it to the first content, in milliseconds. */
  elapsedMs: number;
  firstTokenMs: number | null;
}

/** The parts of one attempt, never empty, the answering model's own first. */
export function usedParts(asked: Asked, seen: Seen): UsagePart[] {
  if (seen.isUnbilled) return [part(asked, NO_USAGE, true)];
  const parts = seen.answer === null ? ofStream(asked, seen) : ofAnswer(asked, seen, seen.answer);
  return placed(asked, parts);
}

/**
 * All that a request may use, by model and kind of work, before it is sent. Its output must be bounded by `max_tokens`, that
 * of its advisors too.
 */
export function mostParts(asked: Asked): UsagePart[] {
  const { body } = asked;
  const limit = fieldOf(asked.choice, body, "max_tokens");
  const output = typeof limit === "number" ? Math.ceil(limit) : 0;
  // What was written is read again at each use of a tool.
  const shown = serverToolsOf(body ?? {}, asked.toolUses).maxUses > 0 ? output : 0;
  const parts = unfinished(asked, NOTHING_SEEN, [part(asked, bound(asked), false)], shown);
  const ofFallbacks = Math.max(output, mostOfFallbacks(fieldOf(asked.choice, body, "fallbacks")));
  const whole = parts.map((each) =>
    each.kind === "declined" ? { ...each, usage: { ...each.usage, output: ofFallbacks } } : each,
  );
  return placed(asked, whole);
}

/** A fallback may have a limit of its own. */
function mostOfFallbacks(fallbacks: unknown): number {
  let most = 0;
  for (const each of Array.isArray(fallbacks) ? (fallbacks as unknown[]) : []) {
    const limit = isObject(each) ? each["max_tokens"] : undefined;
    if (typeof limit === "number") most = Math.max(most, Math.ceil(limit));
  }
  return most;
}

/** All may still come. */
const NOTHING_SEEN: Seen = {
  isUnbilled: false,
  isWhole: false,
  answer: null,
  stream: null,
  elapsedMs: Number.POSITIVE_INFINITY,
  firstTokenMs: null,
};

function placed(asked: Asked, parts: UsagePart[]): UsagePart[] {
  return asked.place === null ? parts : parts.map((each) => (each.geo === null ? { ...each, geo: asked.place } : each));
}

function ofAnswer(asked: Asked, seen: Seen, { message, text }: { message: Body | null; text: string }): UsagePart[] {
  // Nobody knows what became of the answer that this stands for.
  if (message === null) return unfinished(asked, seen, [part(asked, bound(asked), false)], Math.ceil(tokensOf(text)));
  // An error in place of an answer, under a status that says otherwise.
  if (message["type"] === "error") return [part(asked, NO_USAGE, true)];
  const shown = readContent(message["content"]);
  const usage = isObject(message["usage"]) ? message["usage"] : {};
  const output = usage["output_tokens"];
  const parts = withPrompt(asked, usage, read(asked, usage, textOf(message["model"])), shown.toolUses);
  if (typeof output !== "number" || isPlaceholder(output, shown.tokens)) {
    parts[0] = atLeast(asked, parts[0], Math.ceil(shown.tokens), shown.hasThinking ? seen.elapsedMs : null);
  } else learn(asked, seen, parts[0], message["id"]);
  return withoutWaived(parts, readRefusals(message));
}

function ofStream(asked: Asked, seen: Seen): UsagePart[] {
  const { stream } = seen;
  if (stream === null) return unfinished(asked, seen, [part(asked, bound(asked), false)], 0);
  // An error event in place of an answer: nothing was begun.
  const wasRefused = stream.usage === null && stream.errorType !== null && stream.seenTokens === 0;
  if (wasRefused) return [part(asked, NO_USAGE, true)];
  const usage = stream.usage ?? {};
  const parts = withPrompt(asked, usage, read(asked, usage, stream.model), seen.isWhole ? stream.toolUses : 0);
  if (!seen.isWhole) return withoutWaived(unfinished(asked, seen, parts, stream.seenTokens), stream.refusals);
  if (stream.isFinal) learn(asked, seen, parts[0], stream.id);
  else parts[0] = atLeast(asked, parts[0], stream.seenTokens, stream.hasThinking ? hiddenMsOf(seen, stream) : null);
  return withoutWaived(parts, stream.refusals);
}

function read({ choice, body }: Asked, usage: Body, answered: string | null): UsagePart[] {
  const parts = readUsage(usage, { answered: answered ?? choice.model, requested: choice.model });
  // Not every API tells the speed it served at.
  if (usage["speed"] !== undefined || fieldOf(choice, body, "speed") !== "fast") return parts;
  return parts.map((each) => (each.kind === "advisor" ? each : { ...each, fast: true }));
}

/**
 * A prompt that was not told is estimated: no call is without one, unless all it did is among its other parts. Each use
 * of the API's own tools has read it again.
 */
function withPrompt(asked: Asked, usage: Body, parts: UsagePart[], toolUses: number): UsagePart[] {
  const main = parts[0];
  if (main === undefined) return parts;
  const told = promptTokens(main.usage);
  const isTold = typeof usage["input_tokens"] === "number" && (told > 0 || parts.length > 1);
  if (isTold) return parts;
  const others = parts.slice(1);
  const most = bound(asked);
  // What the caches gave is part of the prompt.
  const missing = Math.max(0, promptTokens(most) * (1 + toolUses) - told);
  return [{ ...main, usage: clamp(addUsage(main.usage, scaled(most, missing))), exact: false }, ...others];
}

/** The same class of prompt tokens, of another number. */
function scaled(usage: TokenUsage, tokens: number): TokenUsage {
  if (usage.cacheWrite1h > 0) return { ...NO_USAGE, cacheWrite1h: tokens };
  return usage.cacheWrite5m > 0 ? { ...NO_USAGE, cacheWrite5m: tokens } : { ...NO_USAGE, input: tokens };
}

/** Of a call whose end was not seen: all that it may have used by then. */
function unfinished(asked: Asked, seen: Seen, parts: UsagePart[], shown: number): UsagePart[] {
  const [main, ...others] = parts;
  if (main === undefined) return parts;
  const tools = serverToolsOf(asked.body ?? {}, asked.toolUses);
  const { stream } = seen;
  const hasBegun = stream !== null && stream.usage !== null;
  const uses = hasBegun ? stream.toolUses : usesIn(tools, seen.elapsedMs);
  const result = hasBegun ? stream.resultTokens : uses * tools.resultTokens;
  const prompt = promptTokens(main.usage);
  // Each use of a tool reads the whole prompt again, with what came of those before.
  const again = scaled(main.usage, uses * (prompt + result + shown));
  const searches = hasBegun ? stream.webSearches : tools.hasWebSearch ? uses : 0;
  const output = atLeast(asked, main, shown, stream === null ? seen.elapsedMs : hiddenMsOf(seen, stream));
  const usage = clamp(addUsage(output.usage, { ...again, webSearches: searches }));
  return [
    { ...output, usage },
    ...others.map((each) => ({ ...each, exact: false })),
    ...unseenModels(asked, seen, prompt, uses, tools),
  ];
}

/**
 * The part with the output that was shown, and with what may have been written unseen in so much time, within
 * `max_tokens`. All was shown when the time is null.
 */
function atLeast(asked: Asked, main: UsagePart | undefined, shown: number, hiddenMs: number | null): UsagePart {
  const known = main ?? part(asked, NO_USAGE, false);
  const most = shown + (hiddenMs === null ? 0 : asked.memory.pace.mostIn(known, hiddenMs));
  const limit = fieldOf(asked.choice, asked.body, "max_tokens");
  const output = typeof limit === "number" ? Math.min(most, Math.ceil(limit)) : most;
  return { ...known, usage: { ...known.usage, output: Math.max(1, known.usage.output, output) }, exact: false };
}

/** The wait for the headers hides as well what may have been written. */
function hiddenMsOf(seen: Seen, stream: StreamUsage): number {
  return stream.hiddenMs + Math.max(0, seen.elapsedMs - stream.ageMs);
}

/** Models that the body names beside its own, and that may have been asked. */
function unseenModels(asked: Asked, seen: Seen, prompt: number, uses: number, { advisors }: ServerTools): UsagePart[] {
  const parts: UsagePart[] = [];
  const { stream } = seen;
  const most = bound(asked);
  const add = (kind: UsagePart["kind"], model: string, usage: TokenUsage): void => {
    parts.push({ ...part(asked, clamp(usage), false), kind, model });
  };
  const hasBegun = stream !== null && stream.usage !== null;
  const declined = hasBegun ? stream.refusals.handovers.map(({ from }) => from) : fallbacksOf(asked);
  for (const model of declined) add("declined", model, most);
  for (const { model, maxTokens } of uses > 0 ? advisors : []) {
    const written = asked.memory.pace.mostIn({ model, fast: false }, seen.elapsedMs);
    const output = maxTokens === null ? written : Math.min(written, uses * maxTokens);
    add("advisor", model, { ...NO_USAGE, input: uses * Math.max(prompt, promptTokens(most)), output });
  }
  return parts;
}

/** The fallback models of the body; where the API picks one, it counts as the model itself. */
function fallbacksOf({ choice, body }: Asked): string[] {
  const fallbacks = fieldOf(choice, body, "fallbacks");
  if (!Array.isArray(fallbacks)) return fallbacks === "default" ? [choice.model] : [];
  return (fallbacks as unknown[]).flatMap((each) => (isObject(each) ? (textOf(each["model"]) ?? []) : []));
}

/** What an exact answer teaches of its model and of its thread. */
function learn({ memory, body }: Asked, seen: Seen, main: UsagePart | undefined, id: unknown): void {
  if (main === undefined) return;
  memory.pace.saw(main, main.usage.output, seen.elapsedMs - (seen.firstTokenMs ?? 0));
  if (body?.["thread"] !== undefined) memory.threads.answered(body["thread"], id, main.usage);
}

/** Nothing is known of the prompt but what was sent. */
function bound({ body, encoded, documentTokens, memory, counted }: Asked): TokenUsage {
  if (body === null) return { ...NO_USAGE, input: MAX_PROMPT_TOKENS };
  const before = body["thread"] === undefined ? null : memory.threads.before(body["thread"]);
  return promptBound(body, encoded(), { documentTokens, before, counted });
}

function part({ choice, body }: Asked, usage: TokenUsage, exact: boolean): UsagePart {
  const geo = textOf(fieldOf(choice, body, "inference_geo"));
  const fast = fieldOf(choice, body, "speed") === "fast";
  return { kind: "message", model: choice.model, usage, batch: false, fast, geo, exact };
}

/** A field of the body as sent: the step's patch goes over the caller's. */
function fieldOf({ step }: ModelChoice, body: Body | null, field: string): unknown {
  if (step?.unset?.includes(field) === true) return undefined;
  return step?.set?.[field] ?? body?.[field];
}

interface Shown {
  /** Estimated upwards. */
  tokens: number;
  hasThinking: boolean;
  /** Of the API's own tools. */
  toolUses: number;
}

/** What an answer's content shows. Thinking is billed in full and shown in part, or not at all. */
function readContent(content: unknown): Shown {
  const shown: Shown = { tokens: 0, hasThinking: false, toolUses: 0 };
  for (const block of Array.isArray(content) ? (content as unknown[]) : []) {
    if (!isObject(block)) continue;
    const type = block["type"];
    if (type === "thinking" || type === "redacted_thinking") shown.hasThinking = true;
    if (type === "server_tool_use" || type === "mcp_tool_use") shown.toolUses += 1;
    const text = block["text"] ?? block["thinking"] ?? block["input"];
    if (text !== undefined) shown.tokens += tokensOf(typeof text === "string" ? text : JSON.stringify(text));
  }
  return shown;
}

function textOf(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}
