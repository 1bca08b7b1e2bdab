/**
 * One batch of usage, frozen: what is sent again is the same bytes under the same id, so that a repeat counts nothing
 * twice.
 */
import type { Checks } from "./evaluations.ts";

export interface Batch {
  readonly id: string;
  /** Each as JSON. */
  readonly records: readonly string[];
  readonly checks: Readonly<Record<string, Checks>>;
  /** What somebody else tells with it, see `ReportPart`; `""` for nothing. */
  readonly part: string;
  /** The body as sent. */
  readonly body: string;
}

/** Makes a batch with an id of its own. */
export function makeBatch(
  instance: string,
  records: readonly string[],
  checks: Readonly<Record<string, Checks>>,
  part = "",
): Batch {
  const id = crypto.randomUUID();
  const frame = `"batchId":${JSON.stringify(id)},"instance":${JSON.stringify(instance)}`;
  const counted = Object.keys(checks).length === 0 ? "" : `,"checks":${JSON.stringify(checks)}`;
  return { id, records, checks, part, body: `{${frame},"records":[${records.join(",")}]${counted}${part}}` };
}

/** Two batches in place of one that the server refused; null when it cannot be made smaller. */
export function splitBatch(instance: string, batch: Batch): [Batch, Batch] | null {
  const hasChecks = Object.keys(batch.checks).length > 0;
  // Nor is the part needed: it is told as it stands then with a later batch.
  // The fault may be in the checks, which can be done without.
  if (hasChecks && batch.records.length > 0)
    return [makeBatch(instance, batch.records, {}), makeBatch(instance, [], batch.checks)];
  if (batch.records.length < 2) return null;
  const half = Math.ceil(batch.records.length / 2);
  return [makeBatch(instance, batch.records.slice(0, half), {}), makeBatch(instance, batch.records.slice(half), {})];
}
