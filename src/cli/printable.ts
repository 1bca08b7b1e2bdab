/**
 * What may reach a terminal. Reasons, keys and names come from other people, and some of them from outside: none of them
 * may move the cursor, hide what stands before it, or look like a line of its own.
 */
import { stripVTControlCharacters } from "node:util";
import type { Io } from "./io.ts";

/** C0, C1 and DEL; marks that turn the direction of text; line and paragraph separators. */
const UNSAFE = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu;
const SHORT: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** One line for a terminal: without escape sequences, what else is not text as `\u202e`. */
export function printable(text: string): string {
  return escaped(stripVTControlCharacters(text));
}

/** A text of lines in which `\u202e` stands for a character, such as JSON or YAML whose quotes are double. */
export function escapedLines(text: string): string[] {
  return text.split("\n").map(escaped);
}

/** The value as JSON, lines of it. What a terminal would obey is escaped, which leaves the value as it is. */
export function jsonLines(value: unknown): string[] {
  return escapedLines(JSON.stringify(value, null, 2));
}

/** Prints nothing but printable lines, whatever it is given; a line feed does not begin a line. */
export function printingOnly(io: Io): Io {
  const { progress } = io;
  return {
    ...io,
    out: (line) => io.out(printable(line)),
    err: (line) => io.err(printable(line)),
    progress: progress === null ? null : (line) => progress(printable(line)),
  };
}

/** True when a terminal would obey some of it, were it not escaped. Line feeds aside. */
export function needsEscapes(text: string): boolean {
  return text.replaceAll("\n", "").search(UNSAFE) >= 0;
}

function escaped(text: string): string {
  return text.replace(UNSAFE, (char) => SHORT[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
