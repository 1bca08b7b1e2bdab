/**
 * Values of conditions as people type them and as rules keep them. Types are strict in a rule ("5" is not 5), so what
 * is typed is read by fixed rules and always shown again in a way that reads back to the same value.
 */
import type { ConditionOperator, Scalar } from "../../../sdk-client/src/wire/protocol.ts";

const NUMBER = /^-?(?:0|[1-9]\d{0,14})(?:\.\d{1,10})?$/;

/** What `text` means for `operator`. Never fails: a wrong kind of value is found, with its path, by the schema. */
export function parseValue(operator: ConditionOperator, text: string): Scalar | Scalar[] {
  switch (operator) {
    case "in":
    case "notIn":
      return splitList(text).map(parseLiteral);
    case "startsWith":
    case "endsWith":
    case "semverEqual":
    case "semverLessThan":
    case "semverGreaterThan":
      return unquoted(text.trim());
    case "equals":
    case "notEquals":
    case "contains":
    case "lessThan":
    case "lessOrEqual":
    case "greaterThan":
    case "greaterOrEqual":
    case "before":
    case "after":
      return parseLiteral(text);
  }
}

/** The text that `parseValue` reads back as `value`. */
export function formatValue(value: Scalar | readonly Scalar[]): string {
  if (typeof value !== "object") return formatLiteral(value, false);
  return value.map((one) => formatLiteral(one, true)).join(", ");
}

function parseLiteral(text: string): Scalar {
  const trimmed = text.trim();
  if (trimmed === "true") return true;
  if (trimmed === "false") return false;
  if (NUMBER.test(trimmed)) return Number(trimmed);
  return unquoted(trimmed);
}

function unquoted(text: string): string {
  if (text.length < 2 || !text.startsWith('"') || !text.endsWith('"')) return text;
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === "string" ? parsed : text;
  } catch {
    // Quotes that do not close where they should are part of the text.
    return text;
  }
}

function formatLiteral(value: Scalar, inList: boolean): string {
  if (typeof value !== "string") return String(value);
  const plain = value.trim() === value && value !== "" && !value.startsWith('"') && parseLiteral(value) === value;
  return plain && !(inList && /[,"]/.test(value)) ? value : JSON.stringify(value);
}

/** Splits at commas outside quotes; empty entries are dropped. */
function splitList(text: string): string[] {
  const entries: string[] = [];
  let entry = "";
  let quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charAt(at);
    if (quoted && char === "\\") {
      entry += char + text.charAt(at + 1);
      at += 1;
    } else if (char === '"' && (quoted || entry.trim() === "")) {
      quoted = !quoted;
      entry += char;
    } else if ((char === "," || char === "\n") && !quoted) {
      entries.push(entry);
      entry = "";
    } else {
      entry += char;
    }
  }
  entries.push(entry);
  return entries.filter((one) => one.trim() !== "");
}
