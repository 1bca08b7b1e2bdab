/** Pages of a list: a bounded number of rows, and a cursor that leads to those after them. */
import type { PageQuery } from "../../api/list.ts";
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from "../../domain/limits.ts";
import { invalid } from "../../errors.ts";

export interface Page<T> {
  items: T[];
  /** Null on the last page. */
  nextCursor: string | null;
}

/** How a list tells where a page ended. `At` is what the next one begins after. */
export interface Cursor<Row, At> {
  write(last: Row): string;
  /** Null for what no page of this list wrote. */
  parse(cursor: string): At | null;
}

/** One page of what `read` answers, which is asked for one row more than the page has. INVALID for a cursor that is none. */
export async function page<Row, At>(
  { cursor: text, limit: wanted = DEFAULT_PAGE_SIZE }: PageQuery,
  cursor: Cursor<NoInfer<Row>, At>,
  read: (after: At | undefined, limit: number) => Promise<Row[]>,
): Promise<Page<Row>> {
  const limit = Math.min(Math.max(wanted, 1), MAX_PAGE_SIZE);
  const after = text === undefined ? undefined : cursor.parse(text);
  if (after === null) throw invalid("cursor", "this is not a cursor of this list; start without one");
  const rows = await read(after, limit + 1);
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, nextCursor: rows.length > limit && last !== undefined ? cursor.write(last) : null };
}

/** The cursor of a list in the order of numbers that the database counted up. */
export function byId<Row>(idOf: (row: Row) => number): Cursor<Row, number> {
  return {
    write: (last) => String(idOf(last)),
    parse: (cursor) => (/^\d{1,15}$/.test(cursor) ? Number(cursor) : null),
  };
}
