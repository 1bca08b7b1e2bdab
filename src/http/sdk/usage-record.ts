/**
 * Reads one usage record. By hand and not by a schema: this is the hot path of the ledger, thousands a second, and each
 * field is looked at once. Unknown fields are ignored: clients may be newer. What passes can be stored as it is.
 */
import {
  MAX_TOKENS_PER_CALL,
  MAX_TOKENS_PER_CLASS,
  MAX_WEB_SEARCHES,
  type UsageOutcome,
  type UsageRecord,
} from "../../../sdk-client/src/wire/usage-protocol.ts";
import type { Fault } from "../../errors.ts";

const MAX_ID_CHARS = 128;
const MAX_LABEL_CHARS = 256;
const MAX_LATENCY_MS = 86_400_000;
const MAX_STATUS = 999;
const MAX_ATTEMPT = 1_000;
const MAX_COUNT = 1_000_000;
/** The years 1970 to 9999. */
const MAX_AT_MS = 253_402_300_799_999;
const OUTCOMES: readonly UsageOutcome[] = ["ok", "error", "aborted", "refused"];

type Fields = Readonly<Record<string, unknown>>;

/** Whether a value is a usage record; what is wrong with it first is reported. */
export function isUsageRecord(value: unknown, report: (fault: Fault) => void): value is UsageRecord {
  const fault = isFields(value)
    ? (requiredFault(value) ?? optionalFault(value) ?? usageFault(value["usage"], value["count"] ?? 1))
    : { path: "", message: "must be an object" };
  if (fault !== null) report(fault);
  return fault === null;
}

/** One line of text that PostgreSQL can hold, with at least one character. */
export function idFault(value: unknown, path: string): Fault | null {
  return value === "" ? { path, message: "must not be empty" } : textFault(value, path, MAX_ID_CHARS);
}

function requiredFault(fields: Fields): Fault | null {
  return (
    idFault(fields["id"], "id") ??
    numberFault(fields["at"], "at", MAX_AT_MS) ??
    // Not the shape of keys: money of a misspelt flag or an odd model id is money of the environment.
    idFault(fields["flag"], "flag") ??
    idFault(fields["model"], "model") ??
    idFault(fields["requestedModel"], "requestedModel") ??
    outcomeFault(fields["outcome"]) ??
    booleanFault(fields["exact"], "exact") ??
    wholeFault(fields["attempt"], "attempt", 1, MAX_ATTEMPT) ??
    numberFault(fields["latencyMs"], "latencyMs", MAX_LATENCY_MS)
  );
}

const TOKEN_CLASSES = ["input", "output", "cacheWrite5m", "cacheWrite1h", "cacheRead"] as const;

/** @param calls how many calls it is the sum of */
function usageFault(usage: unknown, calls: unknown): Fault | null {
  if (!isFields(usage)) return { path: "usage", message: "must be an object" };
  const max = Math.min(MAX_TOKENS_PER_CLASS, MAX_TOKENS_PER_CALL * (typeof calls === "number" ? calls : 1));
  for (const name of TOKEN_CLASSES) {
    const count = usage[name];
    if (!isWhole(count, 0, max)) return wholeFault(count, `usage.${name}`, 0, max);
  }
  return wholeFault(usage["webSearches"], "usage.webSearches", 0, MAX_WEB_SEARCHES);
}

const LABELS = [
  "geo",
  "stopReason",
  "errorType",
  "requestId",
  "user",
  "session",
  "correlationId",
  "systemHash",
  "revision",
  // Any text: a part that a newer client names is money all the same.
  "part",
] as const;

function optionalFault(fields: Fields): Fault | null {
  for (const name of LABELS) {
    const label = fields[name];
    if (label === undefined) continue;
    const fault = textFault(label, name, MAX_LABEL_CHARS);
    if (fault !== null) return fault;
  }
  const { batch, fast, status, firstTokenMs, count, promptTokens } = fields;
  return (
    (batch === undefined ? null : booleanFault(batch, "batch")) ??
    (fast === undefined ? null : booleanFault(fast, "fast")) ??
    (status === undefined ? null : wholeFault(status, "status", 0, MAX_STATUS)) ??
    (firstTokenMs === undefined ? null : numberFault(firstTokenMs, "firstTokenMs", MAX_LATENCY_MS)) ??
    (count === undefined ? null : wholeFault(count, "count", 1, MAX_COUNT)) ??
    (promptTokens === undefined ? null : wholeFault(promptTokens, "promptTokens", 0, MAX_TOKENS_PER_CLASS))
  );
}

function outcomeFault(value: unknown): Fault | null {
  if (OUTCOMES.some((outcome) => outcome === value)) return null;
  return { path: "outcome", message: `must be one of ${OUTCOMES.join(", ")}` };
}

/** Neither a control character (a record's text is one line) nor any part of a surrogate pair. */
const PLAIN = /^[\u0020-\u007e\u00a0-\ud7ff\ue000-\uffff]*$/;
const UNSTORABLE = /[\p{Cc}\p{Surrogate}]/u;

function textFault(value: unknown, path: string, maxChars: number): Fault | null {
  if (typeof value !== "string") return { path, message: "must be a text" };
  if (value.length > maxChars) return { path, message: `must be at most ${maxChars} characters` };
  // The second expression knows a pair from its halves, and is slow.
  if (PLAIN.test(value) || !UNSTORABLE.test(value)) return null;
  return { path, message: "has a character that cannot be stored" };
}

function booleanFault(value: unknown, path: string): Fault | null {
  return typeof value === "boolean" ? null : { path, message: "must be true or false" };
}

function numberFault(value: unknown, path: string, max: number): Fault | null {
  if (typeof value === "number" && value >= 0 && value <= max) return null;
  return { path, message: `must be a number from 0 to ${max}` };
}

export function wholeFault(value: unknown, path: string, min: number, max: number): Fault | null {
  return isWhole(value, min, max) ? null : { path, message: `must be a whole number from ${min} to ${max}` };
}

function isWhole(value: unknown, min: number, max: number): boolean {
  return Number.isInteger(value) && typeof value === "number" && value >= min && value <= max;
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
