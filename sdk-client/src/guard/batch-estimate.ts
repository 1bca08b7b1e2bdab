/**
 * What a message batch may cost, told when it is submitted: its results come hours later, or never. Invariant: the estimate
 * is never below what its requests can cost at batch prices.
 */
import type { UsageDraft } from "../guard-host.ts";
import { addUsage, promptTokens, type UsagePart } from "../pricing/usage.ts";
import {
  BATCH_PART,
  MAX_TOKENS_PER_CLASS,
  MAX_WEB_SEARCHES,
  RECORD_FIELDS,
  TOKEN_CLASSES,
  type TokenUsage,
} from "../wire/usage-protocol.ts";
import { type Asked, mostParts } from "./attempt-usage.ts";

/** Of whom it is. */
export type BatchSubject = Pick<UsageDraft, "flag" | "user" | "session">;

interface Sum {
  part: UsagePart;
  usage: TokenUsage;
  count: number;
  largestPrompt: number;
}

/** The records of all that its requests may use, summed where they are priced alike. `thresholds`: prompts above which prices go up. */
export function batchEstimate(
  requests: readonly Asked[],
  of: BatchSubject,
  thresholds: readonly number[],
): UsageDraft[] {
  const sums = new Map<string, Sum>();
  const full: Sum[] = [];
  for (const asked of requests) {
    for (const part of mostParts(asked)) {
      const prompt = promptTokens(part.usage);
      const above = thresholds.findLast((threshold) => prompt > threshold) ?? 0;
      const key = JSON.stringify([part.model, part.fast, part.geo, above]);
      const known = sums.get(key);
      const sum = known === undefined ? null : added(known, part, prompt);
      if (known !== undefined && sum === null) full.push(known);
      sums.set(key, sum ?? { part, usage: part.usage, count: 1, largestPrompt: prompt });
    }
  }
  return [...full, ...sums.values()].map(({ part, usage, count, largestPrompt }) => ({
    ...of,
    model: part.model,
    requestedModel: part.model,
    outcome: "ok",
    exact: false,
    usage,
    batch: true,
    part: BATCH_PART,
    count,
    promptTokens: largestPrompt,
    attempt: 1,
    latencyMs: 0,
    ...(part.fast ? { fast: true } : {}),
    ...(part.geo === null ? {} : { geo: part.geo }),
  }));
}

/** The estimate as that of this batch: counted once, however often it is told. */
export function ofBatch(estimate: readonly UsageDraft[], batchId: string): UsageDraft[] {
  return estimate.map((draft, index) => ({
    ...draft,
    id: `${batchId}:submitted:${index}`,
    once: true,
    messageBatch: batchId,
  }));
}

/** Null when one record cannot hold it. */
function added(sum: Sum, part: UsagePart, prompt: number): Sum | null {
  const usage = addUsage(sum.usage, part.usage);
  const isWithin = TOKEN_CLASSES.every((name) => usage[name] <= MAX_TOKENS_PER_CLASS);
  if (!isWithin || usage.webSearches > MAX_WEB_SEARCHES || sum.count >= RECORD_FIELDS.count.max) return null;
  return { part: sum.part, usage, count: sum.count + 1, largestPrompt: Math.max(sum.largestPrompt, prompt) };
}
