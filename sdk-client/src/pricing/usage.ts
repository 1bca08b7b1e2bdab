/**
 * What one call used, read from a Messages API `usage` object. The one place that knows its fields, for JSON answers
 * and for streams.
 * Invariant: nothing that was used is lost. A field that cannot be read, or that had to be split by assumption, makes
 * the part `exact: false`; it never throws.
 */
import { isObject } from "../wire/json.ts";
import {
  byTokenClass,
  MAX_TOKENS_PER_CALL,
  MAX_WEB_SEARCHES,
  NO_USAGE,
  type TokenUsage,
} from "../wire/usage-protocol.ts";

/** What one model used within one call. Most calls have one part; compaction, advisors and fallbacks add more. */
export interface UsagePart {
  kind: "message" | "compaction" | "advisor" | "declined";
  model: string;
  usage: TokenUsage;
  /** Served by the Batches API. */
  batch: boolean;
  fast: boolean;
  /** Where inference ran, as the API says it (`us`, `global`); null when it does not. */
  geo: string | null;
  /** False when something had to be assumed: count the cost as estimated. */
  exact: boolean;
}

/** Parts made from one `usage`; the tokens of further iterations are added to the last part. */
export const MAX_USAGE_PARTS = 32;

/** `output_tokens` where nothing was put out: 0, or 1 where a placeholder is told. */
export const MAX_PLACEHOLDER_TOKENS = 1;

const PROMPT_FIELDS: readonly string[] = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];

type Fields = Readonly<Record<string, unknown>>;

/**
 * The usage of a stream so far: `message_delta.usage` is cumulative but lacks some fields of `message_start.usage`, so
 * its non-null fields go over the earlier ones. Neither argument is changed; anything but an object counts as empty.
 */
export function mergeStreamUsage(earlier: unknown, delta: unknown): Fields {
  const later = fields(delta);
  // A delta that knows of no prompt at all does not take back the one that was told.
  const hasPrompt = PROMPT_FIELDS.some((name) => later[name] !== 0 && (later[name] ?? null) !== null);
  const present = Object.entries(later).filter(
    ([name, value]) => value !== null && value !== undefined && (hasPrompt || !PROMPT_FIELDS.includes(name)),
  );
  return { ...fields(earlier), ...Object.fromEntries(present) };
}

/**
 * The parts of one call, never empty, the answering model's own first.
 * @param usage `usage` of a message, or what `mergeStreamUsage` made of a stream
 * @param models `answered`: the `model` of the response; `requested`: the model that was sent
 */
export function readUsage(usage: unknown, models: { answered: string; requested: string }): UsagePart[] {
  const top = fields(usage);
  const shared = {
    batch: top["service_tier"] === "batch",
    fast: top["speed"] === "fast",
    geo: typeof top["inference_geo"] === "string" && top["inference_geo"] !== "" ? top["inference_geo"] : null,
  };
  const total = readTokens(top);
  // Spelled out, and no list made where there is none: this is on the path of every call.
  const main: UsagePart = {
    kind: "message",
    model: models.answered,
    usage: total.usage,
    batch: shared.batch,
    fast: shared.fast,
    geo: shared.geo,
    exact: total.exact,
  };
  const parts = [main];
  if (top["iterations"] === undefined) return parts;
  const iterations = Array.isArray(top["iterations"]) ? top["iterations"].map(fields) : [];
  const turns = iterations.filter((entry) => entry["type"] === "message" || entry["type"] === "fallback_message");
  if (turns.some((entry) => entry["type"] === "fallback_message")) splitByModel(parts, turns, models);
  for (const entry of iterations) {
    // Neither is contained in the top-level sums.
    if (entry["type"] === "compaction") {
      // It names no model: the one asked for summarizes, unless another one answered in its place.
      const read = readTokens(entry);
      const { model, known } = modelOf(entry, parts[0] === main ? models.answered : models.requested);
      const exact = read.exact && (known || parts[0] === main);
      add(parts, { kind: "compaction", model, ...shared, usage: read.usage, exact });
    } else if (entry["type"] === "advisor_message") {
      const { model, known } = modelOf(entry, models.answered);
      const read = readTokens(entry);
      add(parts, { kind: "advisor", model, ...shared, fast: false, usage: read.usage, exact: read.exact && known });
    }
  }
  return parts;
}

/** The prompt that price thresholds look at, in tokens: input, cache writes and cache reads. */
export function promptTokens(usage: TokenUsage): number {
  return usage.input + usage.cacheWrite5m + usage.cacheWrite1h + usage.cacheRead;
}

/** The sum of two usages, class by class. */
export function addUsage(a: TokenUsage, b: TokenUsage): TokenUsage {
  return { ...byTokenClass((name) => a[name] + b[name]), webSearches: a.webSearches + b.webSearches };
}

/**
 * A turn that a fallback model served: each attempt is charged to its own model. One that declined before any output is
 * inexact, because the provider may waive it.
 */
function splitByModel(
  parts: UsagePart[],
  turns: readonly Fields[],
  models: { answered: string; requested: string },
): void {
  const main = parts[0];
  if (main === undefined) return;
  let served = NO_USAGE;
  let all = NO_USAGE;
  let exact = main.exact;
  // A stream whose first model declined after output has named that one as the answering model.
  const serving = turns.find((entry) => entry["type"] === "fallback_message") ?? {};
  const server = modelOf(serving, models.answered).model;
  for (const entry of turns) {
    const serves = entry["type"] === "fallback_message";
    const { model, known } = modelOf(entry, serves ? server : models.requested);
    const read = readTokens(entry);
    all = addUsage(all, read.usage);
    if (serves || model === server) {
      served = addUsage(served, read.usage);
      exact &&= read.exact && known;
      continue;
    }
    const isSure = read.exact && known && read.usage.output > MAX_PLACEHOLDER_TOKENS;
    add(parts, { ...main, kind: "declined", model, usage: read.usage, exact: isSure });
  }
  // Should the sums at the top hold more than all attempts together, the rest belongs to the model that answered.
  const usage = addUsage(served, beyond(main.usage, all));
  parts[0] = { ...main, model: server, usage: clamp(usage), exact };
}

function beyond(total: TokenUsage, counted: TokenUsage): TokenUsage {
  return {
    ...byTokenClass((name) => Math.max(0, total[name] - counted[name])),
    webSearches: Math.max(0, total.webSearches - counted.webSearches),
  };
}

function add(parts: UsagePart[], part: UsagePart): void {
  const last = parts.at(-1);
  if (parts.length < MAX_USAGE_PARTS || last === undefined) parts.push(part);
  else parts[parts.length - 1] = { ...last, usage: clamp(addUsage(last.usage, part.usage)), exact: false };
}

/** Within what a record can hold. */
export function clamp(usage: TokenUsage): TokenUsage {
  return {
    ...byTokenClass((name) => Math.min(usage[name], MAX_TOKENS_PER_CALL)),
    webSearches: Math.min(usage.webSearches, MAX_WEB_SEARCHES),
  };
}

function readTokens(entry: Fields): { usage: TokenUsage; exact: boolean } {
  const input = count(entry["input_tokens"]);
  const output = count(entry["output_tokens"]);
  const cacheRead = count(entry["cache_read_input_tokens"] ?? 0);
  const searches = count(fields(entry["server_tool_use"])["web_search_requests"] ?? 0, MAX_WEB_SEARCHES);
  const writes = readCacheWrites(entry);
  return {
    usage: {
      input: input.value,
      output: output.value,
      cacheWrite5m: writes.cacheWrite5m,
      cacheWrite1h: writes.cacheWrite1h,
      cacheRead: cacheRead.value,
      webSearches: searches.value,
    },
    exact: input.exact && output.exact && cacheRead.exact && searches.exact && writes.exact,
  };
}

/**
 * Cache writes by lifetime. The total may exceed the breakdown (a delta has no breakdown) or come without one: the rest
 * goes to 1 h, the dearer, when this call is known to have written for 1 h, else to 5 m, the API's default.
 */
function readCacheWrites(entry: Fields): { cacheWrite5m: number; cacheWrite1h: number; exact: boolean } {
  const breakdown = fields(entry["cache_creation"]);
  const short = count(breakdown["ephemeral_5m_input_tokens"] ?? 0);
  const long = count(breakdown["ephemeral_1h_input_tokens"] ?? 0);
  const split = short.value + long.value;
  const total = count(entry["cache_creation_input_tokens"] ?? split);
  const rest = Math.max(0, total.value - split);
  const exact = short.exact && long.exact && total.exact && total.value === split;
  return long.value > 0
    ? { cacheWrite5m: short.value, cacheWrite1h: Math.min(long.value + rest, MAX_TOKENS_PER_CALL), exact }
    : { cacheWrite5m: Math.min(short.value + rest, MAX_TOKENS_PER_CALL), cacheWrite1h: 0, exact };
}

function count(value: unknown, max = MAX_TOKENS_PER_CALL): { value: number; exact: boolean } {
  if (typeof value !== "number" || !(value >= 0)) return { value: 0, exact: false };
  const whole = Math.min(Math.ceil(value), max);
  return { value: whole, exact: whole === value };
}

function modelOf(entry: Fields, otherwise: string): { model: string; known: boolean } {
  const model = entry["model"];
  return typeof model === "string" && model !== "" ? { model, known: true } : { model: otherwise, known: false };
}

function fields(value: unknown): Fields {
  return isObject(value) ? value : {};
}
