/** How the calls of each model went, by instance: what breakers look at. Pure. */
import type { NameOf } from "../../sdk-client/src/evaluate/model-names.ts";
import { counted, WINDOW_MS } from "./breaker.ts";
import { type CallsContext, decidedBy } from "./calls.ts";
import type { PricedRecord } from "./ledger.ts";
import { OTHER } from "./other.ts";

/** Calls are told apart by such spans of time. */
export const FLEET_BUCKET_MS = 5_000;

export interface FleetSums {
  /** The name that models are compared by. */
  model: string;
  /** Unix time in milliseconds at which the span begins. */
  atMs: number;
  /** What they were decided by; 0 where that is not known. */
  n: number;
  answered: number;
  failed: number;
  /** First attempts of calls that asked for it, whatever was sent. */
  wanted: number;
  byInstance: Map<string, { answered: number; failed: number }>;
}

/** The sums of the records that are young enough to matter. */
export function tallyFleet(
  records: readonly PricedRecord[],
  context: Pick<CallsContext, "nowMs" | "lineage" | "applied"> & { nameOf: NameOf },
): FleetSums[] {
  const sums = new Map<string, FleetSums>();
  const names = new Map<string, string>();
  const nameOf = (id: string): string => {
    const name = names.get(id) ?? context.nameOf(id);
    names.set(id, name);
    return name;
  };
  for (const priced of records) {
    const { record, atMs, instance } = priced;
    // Of a sum nobody knows any more how its attempts failed; what an attempt used beside its answer is no attempt.
    if (atMs < context.nowMs - WINDOW_MS || record.count !== undefined || record.part !== undefined) continue;
    const of = (model: string): FleetSums => {
      const n = decidedBy(priced, Math.floor(atMs - record.latencyMs), context);
      const spanMs = Math.floor(Math.min(atMs, context.nowMs) / FLEET_BUCKET_MS) * FLEET_BUCKET_MS;
      const key = `${spanMs}\n${n}\n${model}`;
      const known = sums.get(key);
      if (known !== undefined) return known;
      const made = { model, atMs: spanMs, n, answered: 0, failed: 0, wanted: 0, byInstance: new Map() };
      sums.set(key, made);
      return made;
    };
    if (record.attempt === 1 && record.requestedModel !== OTHER) of(nameOf(record.requestedModel)).wanted += 1;
    const kind = counted(record);
    if (kind === null || record.model === OTHER) continue;
    const sum = of(nameOf(record.model));
    const own = sum.byInstance.get(instance) ?? { answered: 0, failed: 0 };
    sum.byInstance.set(instance, own);
    own[kind] += 1;
    sum[kind] += 1;
  }
  return [...sums.values()];
}
