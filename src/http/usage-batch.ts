/**
 * Reads a usage batch. A faulty envelope refuses the batch; a faulty record is rejected alone, by its index and path,
 * so that one bad record never loses the money of the others. Unknown fields are ignored: clients may be newer.
 */
import { z } from "zod";
import { MAX_TOKENS_PER_CLASS, MAX_WEB_SEARCHES } from "../../sdk-client/src/usage.ts";
import { MAX_RECORDS_PER_BATCH, type UsageRecord } from "../../sdk-client/src/usage-protocol.ts";
import { AppError } from "../errors.ts";
import type { Submission } from "../services/ledger.ts";

const MAX_ID_CHARS = 128;
const MAX_LABEL_CHARS = 256;
const MAX_LATENCY_MS = 86_400_000;
const MAX_ATTEMPT = 1_000;
const MAX_COUNT = 1_000_000;
/** The years 1970 to 9999. */
const MAX_AT_MS = 253_402_300_799_999;
/** One line of text that PostgreSQL can hold: no control characters, no half of a surrogate pair. */
const STORABLE = /^[^\p{Cc}\p{Surrogate}]*$/u;

const label = (maxChars: number) => z.string().max(maxChars).regex(STORABLE, "has a character that cannot be stored");
const id = label(MAX_ID_CHARS).min(1);
const tokens = z.int().min(0).max(MAX_TOKENS_PER_CLASS);
const milliseconds = z.number().min(0).max(MAX_LATENCY_MS);

const record = z.object({
  id,
  at: z.number().min(0).max(MAX_AT_MS).transform(Math.round),
  // Not checked against the shape of keys: money of a misspelt flag or an odd model id is money of the environment.
  flag: id,
  model: id,
  requestedModel: id,
  outcome: z.enum(["ok", "error", "aborted", "refused"]),
  exact: z.boolean(),
  usage: z.object({
    input: tokens,
    output: tokens,
    cacheWrite5m: tokens,
    cacheWrite1h: tokens,
    cacheRead: tokens,
    webSearches: z.int().min(0).max(MAX_WEB_SEARCHES),
  }),
  batch: z.boolean().optional(),
  fast: z.boolean().optional(),
  geo: label(MAX_LABEL_CHARS).optional(),
  stopReason: label(MAX_LABEL_CHARS).optional(),
  errorType: label(MAX_LABEL_CHARS).optional(),
  status: z.int().min(0).max(999).optional(),
  attempt: z.int().min(1).max(MAX_ATTEMPT),
  latencyMs: milliseconds,
  firstTokenMs: milliseconds.optional(),
  requestId: label(MAX_LABEL_CHARS).optional(),
  user: label(MAX_LABEL_CHARS).optional(),
  session: label(MAX_LABEL_CHARS).optional(),
  correlationId: label(MAX_LABEL_CHARS).optional(),
  systemHash: label(MAX_LABEL_CHARS).optional(),
  count: z.int().min(1).max(MAX_COUNT).optional(),
  promptTokens: tokens.optional(),
  // Any text: a part that a newer client names is money all the same.
  part: label(MAX_LABEL_CHARS).optional(),
});

const batch = z.object({
  batchId: id,
  instance: id,
  records: z.array(z.unknown()).max(MAX_RECORDS_PER_BATCH, `may hold at most ${MAX_RECORDS_PER_BATCH} records`),
});

/** The batch with its valid records and what was rejected of it. INVALID when the envelope itself is faulty. */
export function parseUsageBatch(body: unknown): Submission {
  const envelope = batch.safeParse(body);
  if (!envelope.success) {
    const faults = envelope.error.issues.map(({ path, message }) => ({ path: path.join("."), message }));
    throw new AppError("INVALID", faults.map(({ path, message }) => `${path}: ${message}`).join("; "), { faults });
  }
  const { batchId, instance } = envelope.data;
  const records: UsageRecord[] = [];
  const rejected: Submission["rejected"] = [];
  const seen = new Set<string>();
  for (const [index, item] of envelope.data.records.entries()) {
    const parsed = record.safeParse(item);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      rejected.push({ index, path: issue?.path.join(".") ?? "", message: issue?.message ?? "is not a usage record" });
    } else if (!seen.has(parsed.data.id)) {
      // The same record twice in one batch is one record.
      seen.add(parsed.data.id);
      records.push(definedOf(parsed.data));
    }
  }
  return { batchId, instance, records, rejected };
}

/** Without the fields that are absent: `undefined` is not a value of the wire. */
function definedOf(parsed: z.infer<typeof record>): UsageRecord {
  const {
    id: recordId,
    at,
    flag,
    model,
    requestedModel,
    outcome,
    exact,
    usage,
    attempt,
    latencyMs,
    ...optional
  } = parsed;
  const given = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined));
  return { id: recordId, at, flag, model, requestedModel, outcome, exact, usage, attempt, latencyMs, ...given };
}
