/** The row that a statement is about, and room for one more: the two questions before and after a write. */
import { AppError, type ErrorCode } from "../../errors.ts";

/** The first row. Without one it throws `code` with these words: there is nothing, or it has gone meanwhile. */
export function one<T>(rows: readonly T[], otherwise: string, code: ErrorCode = "NOT_FOUND"): T {
  const [row] = rows;
  if (row === undefined) throw new AppError(code, otherwise);
  return row;
}

/** CONFLICT with these words when there `would` be more than `most`. */
export function requireRoom(would: number, most: number, otherwise: string): void {
  if (would > most) throw new AppError("CONFLICT", otherwise);
}
