/** Price rows of a snapshot: kept with the state, and no fault in them keeps a kill from arriving. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { PRICE_LIST } from "../../sdk-client/src/pricing/price-list.ts";
import type { Snapshot } from "../../sdk-client/src/wire/protocol.ts";
import { type LogLine, startHarness } from "./support/harness.ts";
import { makeKilled } from "./support/snapshots.ts";

const row = PRICE_LIST.find(({ long, fast }) => long !== undefined || fast !== undefined);
if (row === undefined) throw new Error("no row");

/** What a client keeps of a snapshot with these prices, in its cache, and its warnings. */
async function kept(prices: unknown): Promise<{ cached: Partial<Snapshot>; warnings: LogLine[] }> {
  const folder = await mkdtemp(join(tmpdir(), "andon-prices-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const cacheFile = join(folder, "andon.json");
  const snapshot: Snapshot = JSON.parse(JSON.stringify({ ...makeKilled("a.5"), prices }));
  const { andon, lines } = await startHarness({ cacheFile, snapshot });
  await andon.ready({ timeoutMs: 5_000 });
  expect(andon.evaluate("chat")).toMatchObject({ enabled: false, reason: "KILLED", revision: "a.5" });
  await andon.close();
  const file: { snapshot: Partial<Snapshot> } = JSON.parse(await readFile(cacheFile, "utf8"));
  return { cached: file.snapshot, warnings: lines.filter(({ message }) => message.includes("malformed")) };
}

test("sound rows are kept whole", async () => {
  const { cached, warnings } = await kept(PRICE_LIST);
  expect(cached.prices).toEqual(PRICE_LIST);
  expect(warnings).toEqual([]);
});

test("a server without prices leaves them unknown, not empty", async () => {
  const { cached, warnings } = await kept(undefined);
  expect(cached).not.toHaveProperty("prices");
  expect(warnings).toEqual([]);
});

test.each<[string, unknown, string]>([
  ["a negative rate", { ...row, rates: { ...row.rates, input: -1 } }, "prices.1.rates.input"],
  ["a rate that is missing", { ...row, rates: {} }, "prices.1.rates.input"],
  ["a rate without bound", { ...row, rates: { ...row.rates, output: 1e300 } }, "prices.1.rates.output"],
  ["no model", { ...row, model: "" }, "prices.1.model"],
  ["a date that is none", { ...row, validFrom: "soon" }, "prices.1.validFrom"],
  ["no object", null, "prices.1"],
])("a row with %s is left out and named; the others stay, and the kill holds", async (_what, bad, path) => {
  const { cached, warnings } = await kept([row, bad, row]);
  expect(cached.prices).toEqual([row, row]);
  expect(warnings).toMatchObject([{ fields: { at: expect.stringContaining(`${path}:`) } }]);
});

test("prices that are no list, or without end, do not keep a kill from arriving", async () => {
  expect((await kept("free")).cached.prices).toEqual([]);
  const many = await kept(Array.from({ length: 2_500 }, () => row));
  expect(many.cached.prices).toHaveLength(2_000);
  expect(many.warnings).toMatchObject([{ fields: { at: expect.stringContaining("more than 2000 rows") } }]);
});
