/**
 * Calls of the last minutes by the revision they were decided by, what shows which calls a state in force has let begin.
 * Pure. What the revision is unknown of counts as older than any (`n` 0): nothing is claimed to have begun that may not have.
 */
import { parseRevision } from "../../sdk-client/src/wire/revision.ts";
import { MINUTE_MS, type PricedRecord } from "./ledger.ts";
import { OTHER, UNDEFINED } from "./other.ts";

/** The span in which calls are told apart by revision. */
export const CALLS_SPAN_MS = 15 * MINUTE_MS;
/** Different revisions and models of one flag in one minute that are told apart. */
export const MAX_KEYS_PER_FLAG = 40;

export interface CallSums {
  minuteMs: number;
  flag: string;
  /** `""` and 0 for calls decided before anything that is known. */
  lineage: string;
  n: number;
  /** The model that was sent, and the one that was asked for. */
  model: string;
  requestedModel: string;
  attempts: number;
  /** Any number of records have any sum: beyond what a number holds. */
  nanoUsd: bigint;
  /** Unix time in milliseconds at which the newest of them began, and the instance it ran in. */
  newestStartMs: number;
  newestInstance: string;
}

/** What an instance has applied, and since when; Unix time in milliseconds. */
export interface Applied {
  lineage: string;
  n: number;
  sinceMs: number;
}

/**
 * Bounds how many rows a flag's minute may have, over all transactions of a server: whoever writes records chooses their
 * models and revisions.
 */
export class CallKeys {
  readonly #minutes = new Map<number, Map<string, Set<string>>>();

  /** True when this key has its own row. Idempotent. */
  admits(minuteMs: number, flag: string, key: string): boolean {
    const flags = this.#minutes.get(minuteMs) ?? new Map<string, Set<string>>();
    this.#minutes.set(minuteMs, flags);
    const keys = flags.get(flag) ?? new Set<string>();
    flags.set(flag, keys);
    if (!keys.has(key) && keys.size >= MAX_KEYS_PER_FLAG) return false;
    keys.add(key);
    return true;
  }

  forgetBefore(sinceMs: number): void {
    for (const minuteMs of this.#minutes.keys()) if (minuteMs < sinceMs) this.#minutes.delete(minuteMs);
  }
}

export interface CallsContext {
  nowMs: number;
  /** The lineage in force: a revision of another one is older than any of this. */
  lineage: string;
  /** Calls of all other names are told together, as `UNDEFINED`: the master switch turns off these too. */
  isFlag: (key: string) => boolean;
  /** By instance, for records that do not say what decided them. */
  applied: ReadonlyMap<string, Applied>;
  keys: CallKeys;
}

/** The sums of the records of the last minutes, in the order of their keys, so that all servers lock rows in one order. */
export function tallyCalls(records: readonly PricedRecord[], context: CallsContext): CallSums[] {
  const sinceMs = context.nowMs - CALLS_SPAN_MS;
  context.keys.forgetBefore(sinceMs - MINUTE_MS);
  const sums = new Map<string, CallSums>();
  for (const priced of records) {
    if (priced.atMs < sinceMs) continue;
    const row = rowOf(priced, context);
    const key = `${row.minuteMs}\n${row.flag}\n${row.lineage}\n${row.n}\n${row.model}\n${row.requestedModel}`;
    const known = sums.get(key);
    if (known === undefined) sums.set(key, row);
    else add(known, row);
  }
  return [...sums.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, sum]) => sum);
}

function rowOf(priced: PricedRecord, context: CallsContext): CallSums {
  const { record, atMs, costNanoUsd, instance } = priced;
  const { model, requestedModel } = record;
  const flag = context.isFlag(record.flag) ? record.flag : UNDEFINED;
  const minuteMs = Math.floor(atMs / MINUTE_MS) * MINUTE_MS;
  const startMs = Math.floor(atMs - record.latencyMs);
  const n = decidedBy(priced, startMs, context);
  const admitted = context.keys.admits(minuteMs, flag, `${n}\n${model}\n${requestedModel}`);
  return {
    minuteMs,
    flag,
    lineage: admitted && n > 0 ? context.lineage : "",
    n: admitted ? n : 0,
    model: admitted ? model : OTHER,
    requestedModel: admitted ? requestedModel : OTHER,
    attempts: record.part === undefined ? (record.count ?? 1) : 0,
    nanoUsd: BigInt(costNanoUsd),
    newestStartMs: startMs,
    newestInstance: instance,
  };
}

/** The revision within the lineage in force; 0 for an older one, or when it cannot be told. */
export function decidedBy(
  { record, instance }: PricedRecord,
  startMs: number,
  { lineage, applied }: Pick<CallsContext, "lineage" | "applied">,
): number {
  if (record.revision !== undefined) {
    const said = parseRevision(record.revision);
    return said !== null && said.lineage === lineage ? said.n : 0;
  }
  const own = applied.get(instance);
  return own !== undefined && own.lineage === lineage && startMs >= own.sinceMs ? own.n : 0;
}

function add(sum: CallSums, more: CallSums): void {
  sum.attempts += more.attempts;
  sum.nanoUsd += more.nanoUsd;
  if (more.newestStartMs < sum.newestStartMs) return;
  sum.newestStartMs = more.newestStartMs;
  sum.newestInstance = more.newestInstance;
}
