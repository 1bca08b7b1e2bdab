/** The bench's output is a contract: one JSON object per line with these fields, in this order. */
import { expect, test } from "vitest";
import { toJsonLine, toTable } from "../../bench/support/figure.ts";
import { median, quantile } from "../../bench/support/statistics.ts";

test("a figure is one line of JSON with three significant digits and no empty fields", () => {
  expect(toJsonLine({ name: "poll.304", unit: "requests/s", ours: 12_345.6 })).toBe(
    '{"name":"poll.304","unit":"requests/s","ours":12300}',
  );
  const full = { note: "n", peers: { hono: 1.23456 }, floor: 0, ours: 2, unit: "ns", name: "a" };
  expect(toJsonLine(full)).toBe('{"name":"a","unit":"ns","ours":2,"floor":0,"peers":{"hono":1.23},"note":"n"}');
});

test("the table names every figure and puts notes below", () => {
  const table = toTable([
    { name: "a", unit: "ns", ours: 1, peers: { x: 2, y: 3 } },
    { name: "longer", unit: "ms", ours: 4, floor: 5, note: "why" },
  ]);
  expect(table.split("\n")).toEqual([
    "name    ours  floor  peers",
    "a       1 ns         x 2, y 3",
    "longer  4 ms  5 ms",
    "",
    "longer: why",
  ]);
});

test("quantiles lie between the samples and none are taken of nothing", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(quantile([1, 2, 3, 4, 5], 1)).toBe(5);
  expect(() => median([])).toThrow("no samples");
});
