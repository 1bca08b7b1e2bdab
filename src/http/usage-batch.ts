/**
 * Reads a usage batch. A faulty envelope refuses the batch; a faulty record is rejected alone, by its index and path,
 * so that one bad record never loses the money of the others.
 */
import { MAX_RECORDS_PER_BATCH, type UsageRecord } from "../../sdk-client/src/usage-protocol.ts";
import { AppError, type Fault } from "../errors.ts";
import type { Submission } from "../services/ledger.ts";
import { idFault, isUsageRecord } from "./usage-record.ts";

/** The batch with its valid records and what was rejected of it. INVALID when the envelope itself is faulty. */
export function parseUsageBatch(body: unknown): Submission {
  const { batchId, instance, items } = envelopeOf(body);
  const records: UsageRecord[] = [];
  const rejected: Submission["rejected"] = [];
  const seen = new Set<string>();
  for (const [index, item] of items.entries()) {
    if (!isUsageRecord(item, (fault) => rejected.push({ index, ...fault }))) continue;
    // The same record twice in one batch is one record.
    if (seen.has(item.id)) continue;
    seen.add(item.id);
    records.push(Number.isInteger(item.at) ? item : { ...item, at: Math.round(item.at) });
  }
  return { batchId, instance, records, rejected };
}

function envelopeOf(body: unknown): { batchId: string; instance: string; items: readonly unknown[] } {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw refused([{ path: "", message: "must be an object with batchId, instance and records" }]);
  }
  const { batchId, instance, records }: Readonly<Record<string, unknown>> = { ...body };
  const faults = [idFault(batchId, "batchId"), idFault(instance, "instance"), itemsFault(records)].filter(
    (fault) => fault !== null,
  );
  if (faults.length > 0 || typeof batchId !== "string" || typeof instance !== "string" || !Array.isArray(records)) {
    throw refused(faults);
  }
  return { batchId, instance, items: records };
}

function itemsFault(value: unknown): Fault | null {
  if (!Array.isArray(value)) return { path: "records", message: "must be a list" };
  if (value.length <= MAX_RECORDS_PER_BATCH) return null;
  return { path: "records", message: `may hold at most ${MAX_RECORDS_PER_BATCH} records` };
}

function refused(faults: readonly Fault[]): AppError {
  return new AppError("INVALID", faults.map(({ path, message }) => `${path}: ${message}`).join("; "), { faults });
}
