/**
 * Usage that waits to be sent. Invariants: bounded in records and in bytes; on overflow the oldest records are summed,
 * never dropped, as long as there is room for their sums.
 */
import { type PromptThresholds, UsageSums } from "./sums.ts";
import {
  isStorable,
  MAX_RECORDS_PER_BATCH,
  MAX_USAGE_BODY_BYTES,
  RECORD_FIELDS,
  recordFields,
  storable,
  type UsageRecord,
} from "../wire/usage-protocol.ts";

export const MAX_BUFFERED_RECORDS = 10_000;
export const MAX_BUFFERED_BYTES = 8 * 1024 * 1024;
/** Sums kept beside the records. */
export const MAX_SUMS = 5_000;
/** Of a batch's body: what is left for its frame and its checks. */
const FRAME_BYTES = 262_144;
/** Sums in one batch: they fit into a body also when all their texts are as long as they may be. */
const MAX_SUMS_PER_BATCH = 100;
/** A record without its texts, as an object in memory or as JSON. */
const RECORD_BYTES = 400;

const TEXTS = recordFields("text").map((field) => ({ field, max: RECORD_FIELDS[field].max }));
const NUMBERS = [...recordFields("number"), ...recordFields("whole")].map((field) => ({
  field,
  min: RECORD_FIELDS[field].min,
  max: RECORD_FIELDS[field].max,
}));

export interface Bounds {
  maxRecords: number;
  maxBytes: number;
  maxSums: number;
}

const DEFAULT_BOUNDS: Bounds = {
  maxRecords: MAX_BUFFERED_RECORDS,
  maxBytes: MAX_BUFFERED_BYTES,
  maxSums: MAX_SUMS,
};

export class UsageBuffer {
  readonly #bounds: Bounds;
  readonly #sums: UsageSums;
  readonly #encoder = new TextEncoder();
  #records: UsageRecord[] = [];
  #bytes = 0;
  /** Attempts that were summed so far. */
  summed = 0;
  /** Attempts that were lost because even their sums found no room. */
  dropped = 0;

  constructor(thresholds: PromptThresholds, bounds: Bounds = DEFAULT_BOUNDS) {
    this.#bounds = bounds;
    this.#sums = new UsageSums(bounds.maxSums, thresholds);
  }

  /** Records and sums that wait. */
  get size(): number {
    return this.#records.length + this.#sums.size;
  }

  /** True when a whole batch can be filled. */
  get holdsBatch(): boolean {
    return this.size >= MAX_RECORDS_PER_BATCH;
  }

  /** Adds a record; what is beyond the bounds of a record is cut. */
  add(record: UsageRecord): void {
    this.#bytes += fit(record);
    this.#records.push(record);
    if (this.#records.length > this.#bounds.maxRecords || this.#bytes > this.#bounds.maxBytes) this.#sumUp();
  }

  /** Takes out as many records as fit into one batch, each as JSON, sums first. */
  takeBatch(): string[] {
    const taken: string[] = [];
    const bodyBytes = MAX_USAGE_BODY_BYTES - FRAME_BYTES;
    let bytes = 0;
    for (const sum of this.#sums.take(MAX_SUMS_PER_BATCH)) {
      const json = JSON.stringify(sum);
      bytes += this.#encoder.encode(json).byteLength + 1;
      taken.push(json);
    }
    let from = 0;
    for (const record of this.#records) {
      if (taken.length >= MAX_RECORDS_PER_BATCH) break;
      const json = JSON.stringify(record);
      const size = this.#encoder.encode(json).byteLength + 1;
      if (bytes + size > bodyBytes && taken.length > 0) break;
      bytes += size;
      taken.push(json);
      from += 1;
    }
    this.#records = this.#records.slice(from);
    this.#bytes = this.#records.length === 0 ? 0 : Math.max(0, this.#bytes - bytes);
    return taken;
  }

  /** Puts back, in front, what was taken and surely not counted, each as JSON. */
  putBack(taken: readonly string[]): void {
    const records = taken.map((json): UsageRecord => JSON.parse(json));
    this.#records.unshift(...records);
    this.#bytes += records.reduce((sum, record) => sum + fit(record), 0);
    while (this.#records.length > this.#bounds.maxRecords || this.#bytes > this.#bounds.maxBytes) this.#sumUp();
  }

  /** The older half becomes sums: what happened last is what on-call looks at. */
  #sumUp(): void {
    const old = this.#records.splice(0, Math.ceil(this.#records.length / 2));
    for (const record of old) {
      const attempts = record.count ?? 1;
      if (this.#sums.add(record)) this.summed += attempts;
      else this.dropped += attempts;
    }
    this.#bytes = this.#records.reduce((sum, record) => sum + fit(record), 0);
  }
}

/** Cuts what is beyond the bounds of a record, as the server rejects such; gives its size in bytes, about. */
function fit(record: UsageRecord): number {
  let bytes = RECORD_BYTES;
  for (const { field, max } of TEXTS) {
    const text = record[field];
    if (text === undefined) continue;
    if (text.length > max || !isStorable(text)) record[field] = storable(text, max);
    bytes += Math.min(text.length, max);
  }
  for (const { field, min, max } of NUMBERS) {
    const value = record[field];
    if (value === undefined) continue;
    if (!(value >= min && value <= max)) record[field] = value > max ? max : min;
  }
  return bytes;
}
