/** Price rows of a snapshot: kept with the state, and no fault in them keeps a kill from arriving. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { PRICE_LIST } from "../../sdk-client/src/pricing/price-list.ts";
import { compile } from "../../sdk-client/src/evaluate/compile.ts";
import { modelTable } from "../../sdk-client/src/evaluate/model-table.ts";
import { pricedModels } from "../../sdk-client/src/guard/priced-models.ts";
import { priceTable } from "../../sdk-client/src/pricing/price-table.ts";
import { PROMPT_THRESHOLDS } from "../../sdk-client/src/pricing/prompt-thresholds.ts";
import { type ParsedSnapshot, parseSnapshot } from "../../sdk-client/src/wire/parse-snapshot.ts";
import type { Snapshot } from "../../sdk-client/src/wire/protocol.ts";
import { type LogLine, startHarness } from "./support/harness.ts";
import { makeKilled } from "./support/snapshots.ts";

const row = PRICE_LIST.find(({ long, fast }) => long !== undefined || fast !== undefined);
if (row === undefined) throw new Error("no row");

function ignore(): void {}

function sound(parsed: ParsedSnapshot): { snapshot: Snapshot } {
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed;
}

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

test.each<[string, unknown]>([
  ["no model", { ...row, model: "" }],
  ["aliases that are no names", { ...row, aliases: [1] }],
  ["a threshold that is none", { ...row, long: { abovePromptTokens: "many" } }],
  ["no object", null],
])("a row with %s is left out and named; the others stay, and the kill holds", async (_what, bad) => {
  const { cached, warnings } = await kept([row, bad, row]);
  expect(cached.prices).toEqual([row, row]);
  expect(warnings).toMatchObject([{ fields: { at: expect.stringContaining("prices.1:") } }]);
});

test.each<[string, unknown, string]>([
  ["a negative rate", { ...row, rates: { ...row.rates, input: -1 } }, "rates.input"],
  ["a rate that is missing", { ...row, rates: {} }, "rates.input"],
  ["a rate without bound", { ...row, rates: { ...row.rates, output: 1e300 } }, "rates.output"],
  ["a date that is none", { ...row, validFrom: "soon" }, "validFrom"],
])("nothing is priced by a row with %s, and the log names it once", (_what, bad, path) => {
  const { snapshot } = sound(parseSnapshot({ ...makeKilled("a.5"), prices: [row, bad] }));
  const lines: unknown[] = [];
  const logger = { debug: ignore, info: ignore, error: ignore, warn: (fields: object) => lines.push(fields) };
  const host = { models: compile(snapshot).models, logger };
  const nowMs = Date.UTC(2026, 10, 1);
  const built = modelTable({ blocked: [] }).ratesOf(row.model, nowMs);
  for (let call = 0; call < 3; call += 1) expect(pricedModels(host).ratesOf(row.model, nowMs)).toEqual(built);
  expect(lines).toEqual([{ at: expect.stringContaining(`prices[1].${path}:`) }]);
});

test("the thresholds that records are summed by are those of the built-in prices", () => {
  expect(PROMPT_THRESHOLDS).toEqual(priceTable().table.promptThresholds);
});

test("prices that are no list, or without end, do not keep a kill from arriving", async () => {
  expect((await kept("free")).cached.prices).toEqual([]);
  const many = await kept(Array.from({ length: 2_500 }, () => row));
  expect(many.cached.prices).toHaveLength(2_000);
  expect(many.warnings).toMatchObject([{ fields: { at: expect.stringContaining("more than 2000 rows") } }]);
});
