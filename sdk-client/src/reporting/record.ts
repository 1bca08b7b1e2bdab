/**
 * Usage that the application reports by itself, for calls that no guard saw. Invariant: what comes out is a valid
 * record; a fault is named, never thrown.
 */
import {
  maxTokens,
  MAX_WEB_SEARCHES,
  NO_USAGE,
  OUTCOMES,
  recordFields,
  TOKEN_CLASSES,
  type TokenUsage,
  type UsageOutcome,
  type UsageRecord,
} from "../wire/usage-protocol.ts";

/** A record with defaults: all but `flag`, `model` and `usage` may be left out. Never put content into it. */
export type UsageReport = Pick<UsageRecord, "flag" | "model"> &
  Partial<Omit<UsageRecord, "flag" | "model" | "usage" | "part">> & {
    /** Tokens by price class; classes that are left out are 0. */
    usage: Partial<TokenUsage>;
  };

export type ParsedReport = { ok: true; record: UsageRecord } | { ok: false; problem: string };

const TEXTS = recordFields("text");
const NUMBERS = [...recordFields("number"), ...recordFields("whole")];
const SWITCHES = recordFields("boolean");

/** Checks and completes a report. `nowMs` is Unix time in milliseconds. */
export function parseReport(given: unknown, nowMs: number): ParsedReport {
  try {
    return { ok: true, record: parse(given, nowMs) };
  } catch (error) {
    if (error instanceof Fault) return { ok: false, problem: error.message };
    // A getter or proxy of the caller threw.
    return { ok: false, problem: "the record cannot be read" };
  }
}

class Fault extends Error {}

type Fields = Readonly<Record<string, unknown>>;

function parse(given: unknown, nowMs: number): UsageRecord {
  const fields = fieldsOf(given, "the record");
  const model = text(fields, "model");
  const outcome = fields["outcome"] ?? "ok";
  if (!isOutcome(outcome)) throw new Fault("outcome must be ok, error, aborted or refused");
  const record: UsageRecord = {
    id: crypto.randomUUID(),
    at: nowMs,
    flag: text(fields, "flag"),
    model,
    requestedModel: model,
    outcome,
    exact: true,
    usage: usageOf(fieldsOf(fields["usage"], "usage"), fields["count"] === undefined ? 1 : whole(fields, "count")),
    attempt: 1,
    latencyMs: 0,
  };
  for (const name of TEXTS) if (fields[name] !== undefined && name !== "part") record[name] = text(fields, name);
  for (const name of NUMBERS) if (fields[name] !== undefined) record[name] = whole(fields, name);
  for (const name of SWITCHES) if (fields[name] !== undefined) record[name] = flag(fields, name);
  return record;
}

/** @param calls how many calls it is the sum of */
function usageOf(fields: Fields, calls: number): TokenUsage {
  const usage: TokenUsage = { ...NO_USAGE };
  for (const name of TOKEN_CLASSES) if (fields[name] !== undefined) usage[name] = whole(fields, name, maxTokens(calls));
  if (fields["webSearches"] !== undefined) usage.webSearches = whole(fields, "webSearches", MAX_WEB_SEARCHES);
  return usage;
}

function fieldsOf(value: unknown, name: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Fault(`${name} must be an object`);
  return { ...value };
}

function text(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== "string" || value === "") throw new Fault(`${name} must be a text that is not empty`);
  return value;
}

/** Money is refused beyond its bound; any other number is brought into its own when the record is kept. */
function whole(fields: Fields, name: string, max = Number.MAX_SAFE_INTEGER): number {
  const value = fields[name];
  if (typeof value !== "number" || !(value >= 0 && value <= max)) throw new Fault(`${name} must be from 0 to ${max}`);
  return Math.ceil(value);
}

function flag(fields: Fields, name: string): boolean {
  const value = fields[name];
  if (typeof value !== "boolean") throw new Fault(`${name} must be true or false`);
  return value;
}

function isOutcome(value: unknown): value is UsageOutcome {
  return OUTCOMES.some((outcome) => outcome === value);
}
