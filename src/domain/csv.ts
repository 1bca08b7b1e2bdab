/**
 * Rows as CSV (RFC 4180). A text that a spreadsheet would run as a formula is written with a quote in front: the ids of
 * users and sessions come from outside.
 */

type Cell = string | number | boolean | null | undefined;

const FORMULA = /^[=+\-@\t\r]/;

/** A header line and one line a row; a missing value is an empty cell. */
export function csv(columns: readonly string[], rows: readonly Readonly<Record<string, Cell>>[]): string {
  return csvHead(columns) + csvLines(columns, rows);
}

/** The header line alone, for a table that is sent in pieces. */
export function csvHead(columns: readonly string[]): string {
  return `${columns.join(",")}\r\n`;
}

/** The lines of these rows, "" for none. */
export function csvLines(columns: readonly string[], rows: readonly Readonly<Record<string, Cell>>[]): string {
  return rows.map((row) => `${columns.map((column) => cell(row[column])).join(",")}\r\n`).join("");
}

function cell(value: Cell): string {
  if (value === null || value === undefined) return "";
  if (typeof value !== "string") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
