/** Claude's bill held against the ledger: whose calls are whose, what is over a threshold, and what is said of it. Pure. */
import { describe, expect, it } from "vitest";
import { modelNames } from "../../../sdk-client/src/evaluate/model-names.ts";
import { priceTable } from "../../../sdk-client/src/pricing/price-table.ts";
import { driftText } from "../../../src/domain/drift-words.ts";
import {
  nanoUsdOfCents,
  nextPollMs,
  type ProviderCost,
  type ProviderUsage,
} from "../../../src/domain/provider-report.ts";
import {
  billedName,
  compare,
  driftsOf,
  type Facts,
  type LedgerDay,
  type Places,
} from "../../../src/domain/reconciliation.ts";

const DAY_MS = 86_400_000;
const DAY = Date.parse("2026-11-26T00:00:00Z");
const OPUS = "claude-opus-5-5";
const NONE = { input: 0n, output: 0n, cacheWrite5m: 0n, cacheWrite1h: 0n, cacheRead: 0n };
const usd = (n: number) => BigInt(Math.round(n * 1e9));

/** Output of claude-opus-5-5 for so many USD. */
const used = (n: number, fields: Partial<ProviderUsage> = {}): ProviderUsage => ({
  dayMs: DAY,
  workspace: "default",
  apiKey: "",
  model: OPUS,
  tier: "standard",
  contextWindow: "0-200k",
  geo: "global",
  webSearches: 0,
  tokens: { ...NONE, output: BigInt(n * 50_000) },
  ...fields,
});
const billed = (n: number, fields: Partial<ProviderCost> = {}): ProviderCost => ({
  dayMs: DAY,
  workspace: "default",
  kind: "tokens",
  model: OPUS,
  nanoUsd: usd(n),
  ...fields,
});
const counted = (n: number, fields: Partial<LedgerDay> = {}): LedgerDay => ({
  dayMs: DAY,
  name: OPUS,
  nanoUsd: usd(n),
  estimatedNanoUsd: 0n,
  webSearches: 0,
  tokens: { ...NONE, output: BigInt(n * 50_000) },
  ...fields,
});
const facts = (fields: Partial<Facts>): Facts => ({
  span: { fromMs: DAY, untilMs: DAY + DAY_MS },
  usage: [],
  costs: [],
  ledger: [],
  readMs: new Map([[DAY, DAY + 2 * DAY_MS]]),
  beganMs: DAY - DAY_MS,
  places: null,
  table: priceTable().table,
  percent: 5,
  minNanoUsd: usd(5),
  ...fields,
});
const places = (own: string[], others: string[] = []): Places => ({ own: new Set(own), others: new Set(others) });
const said = (fields: Partial<Facts>) =>
  driftsOf(compare(facts(fields))).map((line) => driftText(line, { isWhole: fields.places === undefined }));

/** The line of one row of usage alone. */
const lineOf = (usage: Partial<ProviderUsage>, model = OPUS) =>
  compare(facts({ usage: [used(20, { model, ...usage })] })).days[0]?.lines[0];

describe("whose calls are whose", () => {
  it("what other workspaces use is no difference of an environment: it stands beside, as calls that Andon did not see", () => {
    const reports = {
      usage: [used(10, { workspace: "wrkspc_a" }), used(90, { workspace: "wrkspc_b" }), used(7)],
      costs: [billed(10, { workspace: "wrkspc_a" }), billed(90, { workspace: "wrkspc_b" }), billed(7)],
      ledger: [counted(10)],
    };
    expect(said({ ...reports, places: places(["wrkspc_a"], ["default"]) })).toEqual([]);
    expect(compare(facts({ ...reports, places: places(["wrkspc_a"], ["default"]) })).unmappedNanoUsd).toBe(usd(90));
    expect(said(reports)).toEqual([
      `Claude billed $97.00 more than Andon counted on 26 Nov for ${OPUS}: calls that Andon did not see, of others in the organisation or not through a guard.`,
    ]);
  });

  it("an environment known by a key has what that key used by list price, and the one of its workspace has not", () => {
    const reports = {
      usage: [
        used(10, { workspace: "wrkspc_a", apiKey: "apikey_1" }),
        used(30, { workspace: "wrkspc_a", apiKey: "apikey_2" }),
      ],
      costs: [billed(40, { workspace: "wrkspc_a" })],
    };
    const ofKey = places(["apikey_1"], ["wrkspc_a"]);
    const ofWorkspace = places(["wrkspc_a"], ["apikey_1"]);
    expect(compare(facts({ ...reports, places: ofKey })).days[0]).toMatchObject({ providerNanoUsd: usd(10) });
    expect(compare(facts({ ...reports, places: ofWorkspace })).days[0]).toMatchObject({ providerNanoUsd: usd(30) });
    expect(said({ ...reports, places: ofKey, ledger: [counted(10)] })).toEqual([]);
    expect(said({ ...reports, places: ofWorkspace, ledger: [counted(30)] })).toEqual([]);
  });

  it.each([
    ["claude-opus-5-5-20261001", OPUS],
    ["claude-opus-5-5[1m]", OPUS],
    ["our-opus", OPUS],
    ["us.anthropic.claude-opus-5-5-v1:0", null],
    ["claude-opus-5-5@20261001", null],
    ["anthropic/claude-opus-5.5", null],
    ["gpt-9", null],
    ["other", null],
  ])("calls under %s are on the bill as %s", (id, name) => {
    expect(billedName(id, modelNames({ "our-opus": OPUS }))).toBe(name);
  });
});

describe("what is told of", () => {
  it.each([
    [112.4, 100, ["unseen"]],
    [104.9, 100, []],
    [4, 0, []],
    [5.01, 0, ["unseen"]],
    [100, 106, ["elsewhere"]],
    [100, 105, []],
  ])("Claude billed %d and Andon counted %d: %j, above both 5 %% and 5 USD", (bill, own, causes) => {
    const compared = compare(
      facts({ usage: [used(bill)], costs: [billed(bill)], ledger: own === 0 ? [] : [counted(own)] }),
    );
    expect(driftsOf(compared).map(({ cause }) => cause)).toEqual(causes);
  });

  it.each([
    ["a day that was read too soon", { readMs: new Map([[DAY, DAY + DAY_MS + 5 * 3_600_000]]) }, "fresh"],
    ["a day that was not read", { readMs: new Map() }, "unread"],
    ["the day on which Andon began to count", { beganMs: DAY }, "partial"],
    ["a ledger without any call", { beganMs: null }, "partial"],
  ])("nothing is told of %s", (_, fields, state) => {
    const compared = compare(facts({ costs: [billed(500)], ...fields }));
    expect(driftsOf(compared)).toEqual([]);
    expect(compared.days).toMatchObject([{ state }]);
  });

  it("the same tokens at another price are told as that, and estimates above the bill as that", () => {
    expect(
      said({ usage: [used(100)], costs: [billed(80)], ledger: [counted(100)], places: places(["default"]) }),
    ).toEqual([
      `Andon counted $20.00 more than Claude billed on 26 Nov for ${OPUS}: the tokens agree, so it is the price; correct it on the page Prices.`,
    ]);
    const ledger = [counted(130, { estimatedNanoUsd: usd(60) })];
    expect(said({ usage: [used(100)], costs: [billed(100)], ledger, places: places(["default"]) })).toEqual([
      `Andon counted $30.00 more than Claude billed on 26 Nov for ${OPUS}: $60.00 of what Andon counted is estimated, and estimates run high.`,
    ]);
  });

  it("the Priority Tier is added by list price, as the bill leaves it out; half price in a batch, a tenth more in the US, long prompts by theirs", () => {
    expect(lineOf({ tier: "priority" })).toMatchObject({
      providerNanoUsd: usd(20),
      priorityNanoUsd: usd(20),
      listNanoUsd: usd(20),
    });
    expect(lineOf({ tier: "batch" })).toMatchObject({ providerNanoUsd: 0n, listNanoUsd: usd(10) });
    expect(lineOf({ geo: "us" })).toMatchObject({ listNanoUsd: usd(22) });
    // A million tokens of output: 15 USD, 22.50 above 200,000 tokens.
    expect(lineOf({}, "claude-sonnet-4-5-20250929")).toMatchObject({ name: "claude-sonnet-4-5", listNanoUsd: usd(15) });
    expect(lineOf({ contextWindow: "200k-1M" }, "claude-sonnet-4-5-20250929")).toMatchObject({
      listNanoUsd: usd(22.5),
    });
  });
});

it.each([
  ["123.45", 1_234_500_000n],
  ["0.00000001", 1n],
  ["1240.000000", 12_400_000_000n],
  ["-5", -50_000_000n],
  ["1e3", null],
  ["$12", null],
  ["", null],
])("an amount of %s cents is %s nano-USD, rounded up", (cents, nanoUsd) => {
  expect(nanoUsdOfCents(cents)).toBe(nanoUsd);
});

it("a poll that fails is tried again later each time, up to 6 hours, and never before it was told to", () => {
  expect([1, 2, 3, 20].map((failures) => nextPollMs(failures, null, 0) / 60_000)).toEqual([1, 2, 4, 360]);
  expect(nextPollMs(1, 600_000, 0.9)).toBe(600_000);
  expect(nextPollMs(0, null, 0)).toBe(3_600_000);
});
