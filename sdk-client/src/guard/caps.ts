/**
 * The flag's caps on one request: bytes of its body, and `max_tokens` wherever a body can ask for tokens. Invariant: what
 * is within its caps is sent as the SDK encoded it.
 */
import type { ModelChoice } from "../evaluate/chain-plan.ts";
import { asksTooMuch, type LimitRefusal, tooLarge } from "./limit-refusal.ts";
import type { Body } from "./request.ts";
import { isObject } from "../wire/json.ts";
import type { SnapshotFlag } from "../wire/protocol.ts";

/** Least `thinking.budget_tokens` that the API takes; it must also be below `max_tokens` (SDK 1.14.0, `ThinkingConfigEnabled`). */
const MIN_THINKING_TOKENS = 1_024;
/** A UTF-16 unit has at most so many bytes in UTF-8. */
const MAX_BYTES_PER_UNIT = 3;

export type Caps = Pick<SnapshotFlag, "maxInputBytes" | "maxOutputTokens" | "clampMaxTokens">;

/** A request as it may be sent: as it is, with another body, or not at all. */
export type Capped = { kind: "fits" } | { kind: "clamped"; body: Body } | { kind: "refused"; refusal: LimitRefusal };

export const FITS: Capped = { kind: "fits" };

/** Holds one message request to the caps. `encoded` is its body as it would be sent. */
export function capMessage(body: Body, encoded: unknown, caps: Caps): Capped {
  const bytes = overBytes(encoded, caps.maxInputBytes);
  if (bytes !== null) return { kind: "refused", refusal: tooLarge(bytes, caps.maxInputBytes ?? 0) };
  return capOutput(body, "", caps);
}

/** Holds each request of a message batch to the caps, as if it were sent alone. */
export function capBatch(batch: Body, encoded: unknown, caps: Caps): Capped {
  const requests: unknown = batch["requests"];
  // What is no batch is the API's to refuse.
  if (!Array.isArray(requests)) return FITS;
  const mayBeOver = overBytes(encoded, caps.maxInputBytes) !== null;
  let isChanged = false;
  const capped: unknown[] = [];
  for (const [index, request] of (requests as unknown[]).entries()) {
    const params = isObject(request) ? request["params"] : undefined;
    capped.push(request);
    if (!isObject(request) || !isObject(params)) continue;
    const bytes = mayBeOver ? overBytes(JSON.stringify(params), caps.maxInputBytes) : null;
    if (bytes !== null) return { kind: "refused", refusal: tooLarge(bytes, caps.maxInputBytes ?? 0) };
    const one = capOutput(params, `requests[${index}].params.`, caps);
    if (one.kind === "refused") return one;
    if (one.kind === "fits") continue;
    isChanged = true;
    capped[index] = { ...request, params: one.body };
  }
  return isChanged ? { kind: "clamped", body: { ...batch, requests: capped } } : FITS;
}

/** The choices with the cap on what their steps set: a step cannot ask for more than the flag allows. */
export function capChoices(choices: readonly ModelChoice[], caps: Caps | undefined): readonly ModelChoice[] {
  const cap = caps?.maxOutputTokens;
  if (cap === undefined) return choices;
  return choices.map((choice) => {
    const asked = choice.step?.set?.["max_tokens"];
    if (choice.step === null || typeof asked !== "number" || asked <= cap) return choice;
    return { ...choice, step: { ...choice.step, maxTokens: Math.min(cap, choice.step.maxTokens ?? cap) } };
  });
}

function capOutput(body: Body, path: string, { maxOutputTokens: cap, clampMaxTokens }: Caps): Capped {
  if (cap === undefined) return FITS;
  const over = firstOver(body, cap);
  if (over === null) return FITS;
  if (!clampMaxTokens) return { kind: "refused", refusal: asksTooMuch(over.asked, `${path}${over.path}`, cap) };
  const clamped = clampOne(body, cap);
  for (const field of LISTS) {
    const list = body[field];
    if (Array.isArray(list))
      clamped[field] = (list as unknown[]).map((one) => (isObject(one) ? clampOne(one, cap) : one));
  }
  return { kind: "clamped", body: clamped };
}

/** Beside the request itself each of its `fallbacks`, and an advisor among its `tools`, may ask for tokens of its own. */
const LISTS = ["fallbacks", "tools"] as const;

/** A text completion asks by another name. */
const FIELDS = ["max_tokens", "max_tokens_to_sample"] as const;

function firstOver(body: Body, cap: number): { asked: number; path: string } | null {
  for (const field of FIELDS) {
    const asked = body[field];
    if (typeof asked === "number" && asked > cap) return { asked, path: field };
  }
  for (const field of LISTS) {
    const list = body[field];
    if (!Array.isArray(list)) continue;
    for (const [index, one] of (list as unknown[]).entries()) {
      if (isOver(one, cap)) return { asked: one["max_tokens"], path: `${field}[${index}].max_tokens` };
    }
  }
  return null;
}

function isOver(value: unknown, cap: number): value is Body & { max_tokens: number } {
  return isObject(value) && typeof value["max_tokens"] === "number" && value["max_tokens"] > cap;
}

/** A copy with no more tokens than the cap, and thinking that fits below them. */
export function clampOne(asking: Body, cap: number): Record<string, unknown> {
  const clamped: Record<string, unknown> = { ...asking };
  for (const field of FIELDS) {
    const asked = asking[field];
    if (typeof asked === "number" && asked > cap) clamped[field] = cap;
  }
  const thinking = asking["thinking"];
  const budget = isObject(thinking) ? thinking["budget_tokens"] : undefined;
  if (!isObject(thinking) || typeof budget !== "number" || budget < cap) return clamped;
  clamped["thinking"] = cap > MIN_THINKING_TOKENS ? { ...thinking, budget_tokens: cap - 1 } : { type: "disabled" };
  return clamped;
}

/** How many bytes the body has, when they are more than the cap; else null. */
function overBytes(encoded: unknown, cap: number | undefined): number | null {
  if (cap === undefined) return null;
  if (typeof encoded !== "string") return null;
  if (encoded.length * MAX_BYTES_PER_UNIT <= cap) return null;
  const bytes = new TextEncoder().encode(encoded).byteLength;
  return bytes > cap ? bytes : null;
}
