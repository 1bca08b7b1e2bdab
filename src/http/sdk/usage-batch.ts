/**
 * Reads a usage batch. A faulty envelope (the counts of checks are part of it) refuses the batch; a faulty record is rejected alone, by its index and path,
 * so that one bad record never loses the money of the others.
 */
import type { EvaluationCount, Submission } from "../../deps.ts";
import { isObject } from "../../../sdk-client/src/wire/json.ts";
import {
  BATCH_STATES,
  type BatchNews,
  CANCEL_OUTCOMES,
  MAX_BATCHES_PER_REPORT,
  MAX_CHECKED_FLAGS,
  MAX_RECORDS_PER_BATCH,
  RECORD_FIELDS,
  storable,
  type UsageRecord,
} from "../../../sdk-client/src/wire/usage-protocol.ts";
import { FLAG_KEY_PATTERN } from "../../domain/limits.ts";
import { AppError, type Fault } from "../../errors.ts";
import { idFault, isUsageRecord, wholeFault } from "./usage-record.ts";

/** Evaluations of one flag in one batch. */
const MAX_CHECKS = 1_000_000_000_000;

/** More than the provider takes in one message batch. */
const MAX_REQUESTS = 10_000_000;

/** More than any process can run. */
const MAX_RUNNING_NANO_USD = 1e15;

/** Who sent a batch, and by which clock. */
export interface Sender {
  tokenId: string;
  /** How far the clock is ahead by which the records tell their time; negative: behind. */
  clockAheadMs: number;
  /** The process behind the instance's name, when it says so. */
  boot?: string | undefined;
}

/**
 * The batch with its valid records, at their time by the server's clock, and what was rejected of it. INVALID when the
 * envelope itself is faulty.
 */
export function parseUsageBatch(body: unknown, { tokenId, clockAheadMs, boot }: Sender): Submission {
  const { batchId, instance, items, checks, running, unanswered, messageBatches } = envelopeOf(body);
  const records: UsageRecord[] = [];
  const indexes: number[] = [];
  const rejected: Submission["rejected"] = [];
  const seen = new Set<string>();
  for (const [index, item] of items.entries()) {
    if (!isUsageRecord(item, (fault) => rejected.push({ index, ...fault }))) continue;
    // The same record twice in one batch is one record.
    if (seen.has(item.id)) continue;
    seen.add(item.id);
    indexes.push(index);
    const at = Math.round(item.at - clockAheadMs);
    records.push(at === item.at ? item : { ...item, at });
  }
  const submission: Submission = { batchId, instance, tokenId, records, indexes, rejected, checks };
  if (boot !== undefined) submission.boot = boot;
  if (running !== null) submission.running = running;
  if (messageBatches !== null) {
    submission.messageBatches = messageBatches.map((news) =>
      news.at === undefined ? news : { ...news, at: Math.round(news.at - clockAheadMs) },
    );
  }
  if (unanswered !== null && unanswered.size > 0) submission.unanswered = [...unanswered.keys()];
  return submission;
}

interface Envelope {
  batchId: string;
  instance: string;
  items: readonly unknown[];
  checks: Checks;
  /** Null for a client that does not tell. */
  running: ReadonlyMap<string, number> | null;
  unanswered: ReadonlyMap<string, number> | null;
  /** Null for a client that cannot cancel any. */
  messageBatches: BatchNews[] | null;
}

function envelopeOf(body: unknown): Envelope {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw refused([{ path: "", message: "must be an object with batchId, instance and records" }]);
  }
  const fields: Readonly<Record<string, unknown>> = { ...body };
  const { batchId, instance, records, checks, runningNanoUsd, unansweredNanoUsd } = fields;
  const counted = checksOf(checks);
  const running = sumsOf(runningNanoUsd, "runningNanoUsd");
  const unanswered = sumsOf(unansweredNanoUsd, "unansweredNanoUsd");
  const faults = [
    idFault(batchId, "batchId"),
    idFault(instance, "instance"),
    itemsFault(records),
    counted.fault,
    running.fault,
    unanswered.fault,
  ].filter((fault) => fault !== null);
  if (faults.length > 0 || typeof batchId !== "string" || typeof instance !== "string" || !Array.isArray(records)) {
    throw refused(faults);
  }
  const messageBatches = batchNewsOf(fields["messageBatches"]);
  const sums = { running: running.sums, unanswered: unanswered.sums, messageBatches };
  return { batchId, instance, items: records, checks: counted.checks, ...sums };
}

/** What is understood of it: news of a kind that only newer clients know must not lose the money beside them. */
function batchNewsOf(value: unknown): BatchNews[] | null {
  if (!Array.isArray(value)) return null;
  return (value as unknown[]).slice(0, MAX_BATCHES_PER_REPORT).flatMap((news) => {
    const { id, flag, state, at, requests, cancel }: Readonly<Record<string, unknown>> = isObject(news) ? news : {};
    const known = BATCH_STATES.find((each) => each === state);
    if (typeof id !== "string" || idFault(id, "id") !== null || known === undefined) return [];
    const told: BatchNews = { id, state: known };
    if (typeof flag === "string" && FLAG_KEY_PATTERN.test(flag)) told.flag = flag;
    if (typeof at === "number" && wholeFault(at, "at", 0, RECORD_FIELDS.at.max) === null) told.at = at;
    if (typeof requests === "number" && wholeFault(requests, "", 0, MAX_REQUESTS) === null) told.requests = requests;
    const { outcome, detail }: Readonly<Record<string, unknown>> = isObject(cancel) ? cancel : {};
    const came = CANCEL_OUTCOMES.find((each) => each === outcome);
    if (came !== undefined && typeof detail === "string") {
      told.cancel = { outcome: came, detail: storable(detail, RECORD_FIELDS.errorType.max) };
    }
    return [told];
  });
}

/** Nano-USD by flag, or the first fault. A name that is no flag key is left out: no budget is about it. */
function sumsOf(value: unknown, name: string): { sums: ReadonlyMap<string, number> | null; fault: Fault | null } {
  const refuse = (message: string) => ({ sums: null, fault: { path: name, message } });
  if (value === undefined) return { sums: null, fault: null };
  if (!isObject(value)) return refuse("must be an object of flags");
  const entries = Object.entries(value);
  if (entries.length > MAX_CHECKED_FLAGS) return refuse(`may hold at most ${MAX_CHECKED_FLAGS} flags`);
  const sums = new Map<string, number>();
  for (const [flag, nanoUsd] of entries) {
    const fault = wholeFault(nanoUsd, `${name}.${flag}`, 0, MAX_RUNNING_NANO_USD);
    if (fault !== null) return { sums: null, fault };
    if (typeof nanoUsd === "number" && FLAG_KEY_PATTERN.test(flag)) sums.set(flag, nanoUsd);
  }
  return { sums, fault: null };
}

type Checks = NonNullable<Submission["checks"]>;

/** `1.14.0`, `1.0.0-alpha.1`: what else a client may call its SDK is not kept. */
const SDK_VERSION = /^[\w.+-]{1,32}$/;

/** Evaluations by flag, or the first fault. A name that is no flag key is left out: there is nothing to keep it with. */
function checksOf(value: unknown): { checks: Checks; fault: Fault | null } {
  const checks = new Map<string, EvaluationCount>();
  const refuse = (path: string, message: string) => ({ checks, fault: { path, message } });
  if (value === undefined) return { checks, fault: null };
  if (!isObject(value)) return refuse("checks", "must be an object of flags");
  const entries = Object.entries(value);
  if (entries.length > MAX_CHECKED_FLAGS) return refuse("checks", `may hold at most ${MAX_CHECKED_FLAGS} flags`);
  for (const [flag, counts] of entries) {
    if (!FLAG_KEY_PATTERN.test(flag)) continue;
    const { on, off, sdk, limited }: Readonly<Record<string, unknown>> = isObject(counts) ? counts : {};
    const path = `checks.${flag}`;
    const fault =
      wholeFault(on, `${path}.on`, 0, MAX_CHECKS) ??
      wholeFault(off, `${path}.off`, 0, MAX_CHECKS) ??
      (limited === undefined ? null : wholeFault(limited, `${path}.limited`, 0, MAX_CHECKS));
    if (fault !== null) return { checks, fault };
    if (typeof on !== "number" || typeof off !== "number") continue;
    const counted: EvaluationCount = { on, off };
    if (typeof sdk === "string") counted.sdk = SDK_VERSION.test(sdk) ? sdk : "";
    if (typeof limited === "number" && limited > 0) counted.limited = limited;
    if (on + off + (counted.limited ?? 0) > 0) checks.set(flag, counted);
  }
  return { checks, fault: null };
}

function itemsFault(value: unknown): Fault | null {
  if (!Array.isArray(value)) return { path: "records", message: "must be a list" };
  if (value.length <= MAX_RECORDS_PER_BATCH) return null;
  return { path: "records", message: `may hold at most ${MAX_RECORDS_PER_BATCH} records` };
}

function refused(faults: readonly Fault[]): AppError {
  return new AppError("INVALID", faults.map(({ path, message }) => `${path}: ${message}`).join("; "), { faults });
}
