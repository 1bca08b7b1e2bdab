/** The rows of a raw statement: postgres.js answers with an array, PGlite with an object that holds one. */
export function returnedRows(result: unknown): readonly Readonly<Record<string, unknown>>[] {
  if (Array.isArray(result)) return result;
  if (typeof result === "object" && result !== null && "rows" in result && Array.isArray(result.rows)) {
    return result.rows;
  }
  throw new TypeError("the database answered with something else than rows");
}
