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

/** The value as JSON, lines of it. What a terminal would obey is escaped, which leaves the value as it is. */
export function jsonLines(value: unknown): string[] {
  return JSON.stringify(value, null, 2).split("\n").map(escaped);
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

function escaped(text: string): string {
  return text.replace(UNSAFE, (char) => SHORT[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
