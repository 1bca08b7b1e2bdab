/**
 * Reads one usage record, by the client's own list of its fields. By hand and not by a schema: this is the hot path of
 * the ledger, thousands a second, and each field is looked at once. Unknown fields are ignored: clients may be newer.
 * What passes can be stored as it is.
 */
import { isObject } from "../../../sdk-client/src/wire/json.ts";
import { MAX_LEASE_NANO_USD, MAX_LEASES_PER_RECORD } from "../../../sdk-client/src/wire/lease-protocol.ts";
import {
  type FieldRule,
  isStorable,
  MAX_WEB_SEARCHES,
  maxTokens,
  OUTCOMES,
  RECORD_FIELDS,
  TOKEN_CLASSES,
  type UsageRecord,
} from "../../../sdk-client/src/wire/usage-protocol.ts";
import type { Fault } from "../../errors.ts";

type Fields = Readonly<Record<string, unknown>>;

const FIELDS = Object.entries<FieldRule>(RECORD_FIELDS).map(([field, rule]) => ({ field, rule }));

/** Whether a value is a usage record; what is wrong with it first is reported. */
export function isUsageRecord(value: unknown, report: (fault: Fault) => void): value is UsageRecord {
  const fault = isObject(value) ? recordFault(value) : { path: "", message: "must be an object" };
  if (fault !== null) report(fault);
  return fault === null;
}

/** One line of text that PostgreSQL can hold, with at least one character. */
export function idFault(value: unknown, path: string): Fault | null {
  return textFault(value, path, RECORD_FIELDS.id);
}

export function wholeFault(value: unknown, path: string, min: number, max: number): Fault | null {
  return isWhole(value, min, max) ? null : { path, message: `must be a whole number from ${min} to ${max}` };
}

function recordFault(record: Fields): Fault | null {
  for (const { field, rule } of FIELDS) {
    const value = record[field];
    if (value === undefined && rule.optional === true) continue;
    const fault = fieldFault(value, field, rule, record);
    if (fault !== null) return fault;
  }
  return null;
}

function fieldFault(value: unknown, path: string, rule: FieldRule, record: Fields): Fault | null {
  switch (rule.is) {
    case "text":
      return textFault(value, path, rule);
    case "number":
      if (typeof value === "number" && value >= rule.min && value <= rule.max) return null;
      return { path, message: `must be a number from ${rule.min} to ${rule.max}` };
    case "whole":
      return wholeFault(value, path, rule.min, rule.max);
    case "boolean":
      return typeof value === "boolean" ? null : { path, message: "must be true or false" };
    case "outcome":
      if (OUTCOMES.some((outcome) => outcome === value)) return null;
      return { path, message: `must be one of ${OUTCOMES.join(", ")}` };
    case "usage":
      return usageFault(value, path, record["count"]);
    case "leases":
      return leasesFault(value, path);
  }
}

/** @param count how many calls it is the sum of, one when it does not say */
function usageFault(usage: unknown, path: string, count: unknown): Fault | null {
  if (!isObject(usage)) return { path, message: "must be an object" };
  const max = maxTokens(typeof count === "number" ? count : 1);
  for (const name of TOKEN_CLASSES) {
    const tokens = usage[name];
    if (!isWhole(tokens, 0, max)) return wholeFault(tokens, `${path}.${name}`, 0, max);
  }
  return wholeFault(usage["webSearches"], `${path}.webSearches`, 0, MAX_WEB_SEARCHES);
}

function leasesFault(value: unknown, path: string): Fault | null {
  if (!Array.isArray(value) || value.length > MAX_LEASES_PER_RECORD) {
    return { path, message: `must be a list of at most ${MAX_LEASES_PER_RECORD}` };
  }
  for (const [index, use] of value.entries()) {
    const { leaseId, nanoUsd }: Fields = isObject(use) ? use : {};
    const at = `${path}.${index}`;
    const fault = idFault(leaseId, `${at}.leaseId`) ?? wholeFault(nanoUsd, `${at}.nanoUsd`, 0, MAX_LEASE_NANO_USD);
    if (fault !== null) return fault;
  }
  return null;
}

function textFault(value: unknown, path: string, { min, max }: { min: number; max: number }): Fault | null {
  if (typeof value !== "string") return { path, message: "must be a text" };
  if (value.length < min) return { path, message: "must not be empty" };
  if (value.length > max) return { path, message: `must be at most ${max} characters` };
  return isStorable(value) ? null : { path, message: "has a character that cannot be stored" };
}

function isWhole(value: unknown, min: number, max: number): boolean {
  return Number.isInteger(value) && typeof value === "number" && value >= min && value <= max;
}
