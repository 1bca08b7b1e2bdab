/**
 * Records summed when there are too many to keep one by one. Invariant: money survives, detail goes: only records that
 * are priced alike and fall into the same budget window are summed, and no token is lost.
 */
import { addUsage, promptTokens } from "../pricing/usage.ts";
import {
  MAX_TOKENS_PER_CLASS,
  MAX_WEB_SEARCHES,
  RECORD_FIELDS,
  type TokenUsage,
  type UsageRecord,
} from "../wire/usage-protocol.ts";

/** Every time zone's day begins at a quarter of an hour, so a sum never spans two windows of a budget. */
const QUARTER_HOUR_MS = 900_000;
const DAY_MS = 86_400_000;
/** Lengths of time within which records are summed: the next longer one when the one before is not enough. */
const SPANS_MS = [QUARTER_HOUR_MS, DAY_MS, Number.POSITIVE_INFINITY] as const;

/** Prompt sizes above which some price goes up, in tokens, ascending. */
export type PromptThresholds = () => readonly number[];

interface Sum {
  record: UsageRecord;
  /** Attempts times their latency, in milliseconds. */
  totalLatencyMs: number;
  attempts: number;
}

export class UsageSums {
  readonly #maxSums: number;
  readonly #thresholds: PromptThresholds;
  #span = 0;
  #open = new Map<string, Sum>();
  /** Sums that reached a bound; nothing is added to them. */
  #closed: Sum[] = [];

  /** `maxSums` bounds how many sums are kept; records on either side of a threshold are not summed. */
  constructor(maxSums: number, thresholds: PromptThresholds) {
    this.#maxSums = maxSums;
    this.#thresholds = thresholds;
  }

  get size(): number {
    return this.#open.size + this.#closed.length;
  }

  /** Adds a record. False when there is no room for another sum: the record is not counted. */
  add(record: UsageRecord): boolean {
    while (!this.#isKnown(record) && this.size >= this.#maxSums) {
      if (!this.#widen()) return false;
    }
    const attempts = record.count ?? 1;
    this.#put({ record, totalLatencyMs: record.latencyMs * attempts, attempts });
    return true;
  }

  /** Takes up to `limit` sums out, as records. */
  take(limit: number): UsageRecord[] {
    const taken = this.#closed.splice(0, limit);
    for (const [key, sum] of this.#open) {
      if (taken.length >= limit) break;
      taken.push(sum);
      this.#open.delete(key);
    }
    if (this.size === 0) this.#span = 0;
    return taken.map(toRecord);
  }

  #put(added: Sum): void {
    const key = this.#keyOf(added.record);
    const known = this.#open.get(key);
    if (known === undefined) {
      this.#open.set(key, added);
      return;
    }
    const sum = merged(known, added);
    if (sum !== null) {
      this.#open.set(key, sum);
    } else {
      this.#closed.push(known);
      this.#open.set(key, added);
    }
  }

  #isKnown(record: UsageRecord): boolean {
    return this.#open.has(this.#keyOf(record));
  }

  /** Sums over longer spans of time; false when they are as long as can be. */
  #widen(): boolean {
    if (this.#span >= SPANS_MS.length - 1) return false;
    this.#span += 1;
    const sums = Array.from(this.#open.values());
    this.#open = new Map();
    for (const sum of sums) this.#put(sum);
    return true;
  }

  #keyOf(record: UsageRecord): string {
    const span = SPANS_MS[this.#span] ?? Number.POSITIVE_INFINITY;
    const prompt = record.promptTokens ?? promptTokens(record.usage);
    // The threshold itself, not how many: prices may change while sums are kept.
    const above = this.#thresholds().findLast((threshold) => prompt > threshold) ?? 0;
    return JSON.stringify([
      Math.floor(record.at / span),
      record.flag,
      record.requestedModel,
      record.model,
      record.outcome,
      record.exact,
      record.batch === true,
      record.fast === true,
      record.geo ?? null,
      record.part ?? null,
      record.attempt === 1,
      above,
      // The first detail to go when there is no room.
      this.#span === 0 ? (record.revision ?? null) : null,
      // So is that it counts once: a sum of it has no id of its own.
      this.#span === 0 && record.once === true ? record.id : null,
    ]);
  }
}

/** Both together; null when a bound would be passed. */
function merged(a: Sum, b: Sum): Sum | null {
  const usage = addUsage(a.record.usage, b.record.usage);
  const attempts = a.attempts + b.attempts;
  if (attempts > RECORD_FIELDS.count.max || !isWithinBounds(usage)) return null;
  const totalLatencyMs = a.totalLatencyMs + b.totalLatencyMs;
  const largest = Math.min(Math.max(promptOf(a.record), promptOf(b.record)), RECORD_FIELDS.promptTokens.max);
  const record: UsageRecord = {
    id: a.record.id,
    at: Math.max(a.record.at, b.record.at),
    flag: a.record.flag,
    model: a.record.model,
    requestedModel: a.record.requestedModel,
    outcome: a.record.outcome,
    exact: a.record.exact,
    usage,
    attempt: a.record.attempt,
    latencyMs: a.record.latencyMs,
    promptTokens: largest,
  };
  const { batch, fast, geo, part, revision } = a.record;
  if (batch !== undefined) record.batch = batch;
  if (fast !== undefined) record.fast = fast;
  if (geo !== undefined) record.geo = geo;
  if (part !== undefined) record.part = part;
  // Of calls that were decided by different ones it is unknown.
  if (revision !== undefined && revision === b.record.revision) record.revision = revision;
  return { record, totalLatencyMs, attempts };
}

function toRecord({ record, totalLatencyMs, attempts }: Sum): UsageRecord {
  if (attempts === 1) return record;
  return { ...record, count: attempts, latencyMs: Math.round(totalLatencyMs / attempts) };
}

function promptOf(record: UsageRecord): number {
  return record.promptTokens ?? promptTokens(record.usage);
}

function isWithinBounds({ webSearches, ...tokens }: TokenUsage): boolean {
  return webSearches <= MAX_WEB_SEARCHES && Object.values(tokens).every((count) => count <= MAX_TOKENS_PER_CLASS);
}
