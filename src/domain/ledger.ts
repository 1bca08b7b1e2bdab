/**
 * Sums of usage per minute, flag and model. Pure. Adding is commutative, so any order and batching of the same records
 * gives the same ledger.
 */
import { BATCH_PART, type UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";

/** Upper bounds of the latency buckets in milliseconds; a last bucket takes what is longer. */
export const LATENCY_BUCKETS_MS = [
  50, 100, 200, 300, 500, 750, 1_000, 1_500, 2_000, 3_000, 4_000, 5_000, 7_500, 10_000, 15_000, 20_000, 30_000, 45_000,
  60_000, 90_000, 120_000, 180_000, 300_000,
] as const;

export const MINUTE_MS = 60_000;
/** How late a record may come and still count as of its own time. */
export const MAX_LATE_MS = 24 * 3_600_000;

/** How far ahead of the server's clock a record may be and still count as of its own time. */
export const MAX_EARLY_MS = 60_000;

/** A record with what the server made of it. */
export interface PricedRecord {
  record: UsageRecord;
  /** The instance that reported it. */
  instance: string;
  /** Whose report it is. */
  tokenId: string;
  /** The time it counts as, Unix time in milliseconds: its own, unless its clock is far off. */
  atMs: number;
  costNanoUsd: number;
  /** False when the model has no price: counted at the dearest rate. */
  priced: boolean;
}

export interface MinuteSums {
  minuteMs: number;
  flag: string;
  model: string;
  calls: number;
  attempts: number;
  errors: number;
  aborted: number;
  refused: number;
  input: number;
  output: number;
  cacheWrite5m: number;
  cacheWrite1h: number;
  cacheRead: number;
  webSearches: number;
  /** Any number of records have any sum: beyond what a number holds. */
  exactNanoUsd: bigint;
  estimatedNanoUsd: bigint;
  unpriced: number;
  /** Answers whose stop reason is known, and those of them that `max_tokens` cut. */
  ended: number;
  cut: number;
  /** The most tokens that one attempt is known to have used. */
  largestTokens: number;
  /** Attempts per latency bucket, `LATENCY_BUCKETS_MS.length + 1` numbers. */
  latency: number[];
}

/** The sums of these records, in the order of their keys, so that all servers lock rows in one order. */
export function tally(records: readonly PricedRecord[]): MinuteSums[] {
  const sums: MinuteSums[] = [];
  // Maps in maps: joining a key of each record would cost more than all the adding.
  const minutes = new Map<number, Map<string, Map<string, MinuteSums>>>();
  for (const priced of records) {
    const { flag, model } = priced.record;
    const minuteMs = Math.floor(priced.atMs / MINUTE_MS) * MINUTE_MS;
    const models = innerMap(innerMap(minutes, minuteMs), flag);
    let sum = models.get(model);
    if (sum === undefined) {
      sum = emptySums(minuteMs, flag, model);
      models.set(model, sum);
      sums.push(sum);
    }
    add(sum, priced);
  }
  return sums.toSorted((a, b) => a.minuteMs - b.minuteMs || compare(a.flag, b.flag) || compare(a.model, b.model));
}

function innerMap<K, L, V>(outer: Map<K, Map<L, V>>, key: K): Map<L, V> {
  const known = outer.get(key);
  if (known !== undefined) return known;
  const made = new Map<L, V>();
  outer.set(key, made);
  return made;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The upper bound in milliseconds of the bucket that holds the quantile; null without any attempt. */
export function latencyQuantileMs(latency: readonly number[], share: number): number | null {
  const total = latency.reduce((sum, n) => sum + n, 0);
  if (total === 0) return null;
  const rank = Math.max(1, Math.ceil(share * total));
  let seen = 0;
  for (const [bucket, n] of latency.entries()) {
    seen += n;
    if (seen >= rank) return LATENCY_BUCKETS_MS[bucket] ?? LATENCY_BUCKETS_MS.at(-1) ?? null;
  }
  return null;
}

function add(sum: MinuteSums, { record, costNanoUsd, priced }: PricedRecord): void {
  if (record.part === BATCH_PART) {
    // Its results tell the rest: until then it is money alone.
    sum.estimatedNanoUsd += BigInt(costNanoUsd);
    return;
  }
  const summed = record.count ?? 1;
  // What an attempt used beside its answer is tokens and money, not another attempt.
  const count = record.part === undefined ? summed : 0;
  sum.attempts += count;
  if (record.attempt === 1) sum.calls += count;
  if (record.outcome === "error") sum.errors += count;
  if (record.outcome === "aborted") sum.aborted += count;
  if (record.outcome === "refused") sum.refused += count;
  sum.input += record.usage.input;
  sum.output += record.usage.output;
  sum.cacheWrite5m += record.usage.cacheWrite5m;
  sum.cacheWrite1h += record.usage.cacheWrite1h;
  sum.cacheRead += record.usage.cacheRead;
  sum.webSearches += record.usage.webSearches;
  if (record.exact) sum.exactNanoUsd += BigInt(costNanoUsd);
  else sum.estimatedNanoUsd += BigInt(costNanoUsd);
  if (!priced) sum.unpriced += summed;
  if (record.outcome === "ok" && record.stopReason !== undefined) {
    sum.ended += count;
    if (record.stopReason === "max_tokens") sum.cut += count;
  }
  sum.largestTokens = Math.max(sum.largestTokens, largestOf(record));
  const bucket = bucketOf(record.latencyMs);
  sum.latency[bucket] = (sum.latency[bucket] ?? 0) + count;
}

/** Of a sum of attempts the least that its largest can have used. */
function largestOf({ usage, count = 1, promptTokens = 0 }: UsageRecord): number {
  const { input, output, cacheWrite5m, cacheWrite1h, cacheRead } = usage;
  return Math.max(promptTokens, Math.ceil((input + output + cacheWrite5m + cacheWrite1h + cacheRead) / count));
}

function bucketOf(latencyMs: number): number {
  let index = 0;
  while (index < LATENCY_BUCKETS_MS.length && latencyMs > (LATENCY_BUCKETS_MS[index] ?? 0)) index += 1;
  return index;
}

function emptySums(minuteMs: number, flag: string, model: string): MinuteSums {
  return {
    minuteMs,
    flag,
    model,
    calls: 0,
    attempts: 0,
    errors: 0,
    aborted: 0,
    refused: 0,
    input: 0,
    output: 0,
    cacheWrite5m: 0,
    cacheWrite1h: 0,
    cacheRead: 0,
    webSearches: 0,
    exactNanoUsd: 0n,
    estimatedNanoUsd: 0n,
    unpriced: 0,
    ended: 0,
    cut: 0,
    largestTokens: 0,
    latency: Array.from({ length: LATENCY_BUCKETS_MS.length + 1 }, () => 0),
  };
}
