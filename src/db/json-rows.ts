/**
 * The rows of a subquery as one column, so that one statement brings what belongs together: a kill waits for every
 * round trip, and one statement sees one state.
 */
import { type Column, type GetColumnData, type SQL, sql } from "drizzle-orm";

type Columns = Record<string, Column>;
type Row<C extends Columns> = { [K in keyof C]: GetColumnData<C[K]> };

/**
 * A column with all rows of `tail` (`from … where …`), in the order of `orderBy`, each with the given columns; `[]`
 * without any. Values come as they do from a query of their own.
 */
export function jsonRows<C extends Columns>(columns: C, tail: SQL, orderBy: readonly Column[]): SQL<Row<C>[]> {
  const fields = Object.entries(columns).flatMap(([name, column]) => [sql`${name}::text`, column]);
  const object = sql`json_build_object(${sql.join(fields, sql`, `)})`;
  const order = orderBy.length === 0 ? sql`` : sql` order by ${sql.join([...orderBy], sql`, `)}`;
  const rows = sql`select coalesce(json_agg(${object}${order}), '[]') ${tail}`;
  // Wrapped: of a select without joins, drizzle takes the tables' names off the columns that it sees.
  const column = sql<Row<C>[]>`(${rows})`;
  column.mapWith((value: unknown) => decode(columns, value));
  return column;
}

/** Both drivers parse JSON; what a column makes of its text (a moment) is made here. */
function decode(columns: Columns, rows: unknown): unknown {
  if (!Array.isArray(rows)) throw new TypeError("the database answered with something else than rows");
  return rows.map((row: Record<string, unknown>) =>
    Object.fromEntries(
      Object.entries(columns).map(([name, column]) => {
        const value = row[name] ?? null;
        return [name, value === null ? null : column.mapFromDriverValue(value)];
      }),
    ),
  );
}
