/** What the crowd of the soak is judged by: a leak of any kind is told, the noise of a machine is not. */
import { expect, test } from "vitest";
import { BOUNDS } from "../../bench/soak/crowd-bounds.ts";
import { type CrowdSample, faultsOf, type Rows } from "../../bench/soak/crowd-verdict.ts";

const full: Rows = new Map(BOUNDS);
const flat: CrowdSample[] = Array.from({ length: 24 }, (_, n) => ({ killMs: 40 + (n % 3), rssMiB: 200 + (n % 5) }));
const withRows = (table: string, rows: number): Rows => new Map([...full, [table, rows]]);

test("full tables, the same memory and the same kills are no fault", () => {
  expect(faultsOf(flat, [full, full])).toEqual([]);
});

test.each([...BOUNDS])("%s is told when it was over its bound, if only for a moment", (table, bound) => {
  expect(faultsOf(flat, [full, withRows(table, bound + 1), full])).toEqual([
    `${table}: ${bound + 1} rows, over its bound of ${bound}`,
  ]);
});

test("a table that has no bound may not grow, and one that was never full has proved nothing", () => {
  expect(faultsOf(flat, [withRows("new_table", 3), withRows("new_table", 4)])).toEqual([
    "new_table: 3 rows at first, later 4",
  ]);
  expect(faultsOf(flat, [withRows("receipts", 9)])).toEqual([
    expect.stringContaining("receipts: 9 rows at most, so its bound"),
  ]);
});

test("memory and kills that creep up are told", () => {
  const creeping = flat.map(({ killMs, rssMiB }, n) => ({ killMs: killMs + 8 * n, rssMiB: rssMiB + 5 * n }));
  expect(faultsOf(creeping, [full])).toEqual([
    expect.stringContaining("memory in MiB"),
    expect.stringContaining("a kill in ms"),
  ]);
});
