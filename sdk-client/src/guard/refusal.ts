/**
 * Which refusals cost nothing. The one table of it; it holds on the Claude API, Bedrock, Vertex and Foundry alike.
 * Invariant: what the table does not know is counted, as an estimate.
 */
import { canonicalModel } from "../pricing/model-id.ts";
import { MAX_PLACEHOLDER_TOKENS, type UsagePart } from "../pricing/usage.ts";
import { isObject } from "../wire/json.ts";
import { NO_USAGE } from "../wire/usage-protocol.ts";

/**
 * Whether a refusal before any output is billed, by `stop_details.category`. "The billed categories may change."
 * @see https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback#how-refusals-are-billed (September 2026)
 */
const BILLED_BEFORE_OUTPUT: ReadonlyMap<unknown, boolean> = new Map<string | null, boolean>([
  ["cyber", false],
  ["general_harms", false],
  [null, false],
  ["bio", true],
  ["frontier_llm", true],
  ["reasoning_extraction", true],
]);

/** Where one model's output gives way to the next: a `fallback` block of the content. */
export interface Handover {
  from: string;
  to: string | null;
  /** Undefined when the API does not say. */
  category: unknown;
  /** The declining model's output is among the content before it. */
  hasOutput: boolean;
}

/** What an answer says of who declined, and after what. */
export interface Refusals {
  /** Null for an answer that is no refusal. */
  stopReason: string | null;
  stopDetails: unknown;
  /** The model that ended the answer has put out something. */
  hasOutput: boolean;
  handovers: readonly Handover[];
}

/** What a content block says of a handover; null for any other block. */
export function readHandover(block: Readonly<Record<string, unknown>>, hasOutput: boolean): Handover | null {
  if (block["type"] !== "fallback") return null;
  const trigger = block["trigger"];
  const from = modelOf(block["from"]);
  const category = isObject(trigger) ? trigger["category"] : undefined;
  return { from: from ?? "", to: modelOf(block["to"]), category, hasOutput };
}

/** A text block that has only been opened holds nothing. */
export function isEmptyText(block: Readonly<Record<string, unknown>>): boolean {
  return block["type"] === "text" && block["text"] === "";
}

/** The refusals of a whole answer's content. It leaves out the output of models that declined. */
export function readRefusals(message: Readonly<Record<string, unknown>>): Refusals {
  const handovers: Handover[] = [];
  let hasOutput = false;
  const content: unknown = message["content"];
  for (const block of Array.isArray(content) ? (content as unknown[]) : []) {
    if (!isObject(block) || isEmptyText(block)) continue;
    const handover: Handover | null = readHandover(block, hasOutput);
    if (handover !== null) handovers.push(handover);
    hasOutput = handover === null;
  }
  const stopReason = message["stop_reason"];
  return {
    stopReason: typeof stopReason === "string" ? stopReason : null,
    stopDetails: message["stop_details"],
    hasOutput,
    handovers,
  };
}

/** The parts of an answer with what is not billed at nothing. */
export function withoutWaived(parts: readonly UsagePart[], refusals: Refusals): UsagePart[] {
  return parts.map((part) => {
    if (part.usage.output > MAX_PLACEHOLDER_TOKENS) return part;
    if (part.kind === "declined") return byCategory(part, categoryOfDecline(part, refusals.handovers));
    const isRefusal = part.kind === "message" && refusals.stopReason === "refusal" && !refusals.hasOutput;
    if (!isRefusal) return part;
    const { stopDetails } = refusals;
    return byCategory(part, isObject(stopDetails) ? stopDetails["category"] : undefined);
  });
}

function byCategory(part: UsagePart, category: unknown): UsagePart {
  const isBilled = BILLED_BEFORE_OUTPUT.get(category);
  if (isBilled === true) return part;
  if (isBilled === false) return { ...part, usage: NO_USAGE, exact: true };
  return { ...part, exact: false };
}

/** Undefined when it is not told, or when the model had put out something before it declined. */
function categoryOfDecline(part: UsagePart, handovers: readonly Handover[]): unknown {
  const own = handovers.find(({ from }) => canonicalModel(from) === canonicalModel(part.model));
  return own === undefined || own.hasOutput ? undefined : own.category;
}

function modelOf(info: unknown): string | null {
  const model = isObject(info) ? info["model"] : undefined;
  return typeof model === "string" ? model : null;
}
