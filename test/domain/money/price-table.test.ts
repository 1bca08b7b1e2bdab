/** What operators may add to the price list, and what is refused. */
import { describe, expect, it } from "vitest";
import { PRICE_LIST, usdPerMillion } from "../../../sdk-client/src/pricing/price-list.ts";
import type { PriceRow } from "../../../sdk-client/src/wire/price-row.ts";
import {
  MAX_EXTRA_PRICE_ROWS,
  findPriceRow,
  priceRowsOf,
  priceTable,
} from "../../../sdk-client/src/pricing/price-table.ts";
import { priceUsage } from "../../../sdk-client/src/pricing/price.ts";
import { NO_USAGE } from "../../../sdk-client/src/wire/usage-protocol.ts";

const at = Date.UTC(2026, 10, 20);
const row: PriceRow = {
  model: "claude-opus-6",
  validFrom: "2026-11-01",
  rates: usdPerMillion(6, 30, 7.5, 12, 0.3),
  usPremium: true,
};

describe("a price table", () => {
  it("takes every row of the price list", () => {
    const { table, refused } = priceTable(PRICE_LIST);
    expect(refused).toEqual([]);
    for (const listed of PRICE_LIST) expect(findPriceRow(table, listed.model, at)).not.toBeNull();
  });

  it("prices a model that an operator added", () => {
    const { table } = priceTable([row]);
    const usage = { ...NO_USAGE, output: 1_000 };
    expect(priceUsage(table, { model: "claude-opus-6", atMs: at, usage })).toEqual({
      costNanoUsd: 30_000_000,
      known: true,
      row,
    });
  });

  it("applies a new price from its date on, and the old one before", () => {
    const cheaper = { ...row, model: "claude-opus-5-5", validFrom: "2026-11-20T12:00:00+01:00" };
    const { table } = priceTable([cheaper]);
    expect(findPriceRow(table, "claude-opus-5-5", Date.UTC(2026, 10, 20, 11))?.rates).toEqual(cheaper.rates);
    expect(findPriceRow(table, "claude-opus-5-5", Date.UTC(2026, 10, 20, 11) - 1)?.rates.input).toBe(4_000_000);
  });

  it("replaces a row of the same model and date", () => {
    const wrong = PRICE_LIST.find((listed) => listed.model === "claude-haiku-4-5");
    expect(wrong).toBeDefined();
    const { table } = priceTable([{ ...wrong, rates: row.rates }]);
    expect(findPriceRow(table, "claude-haiku-4-5", at)?.rates).toEqual(row.rates);
    expect(priceRowsOf(table, ["claude-haiku-4-5"])).toHaveLength(1);
  });

  it("lets a dated snapshot have a price of its own, although it is an alias", () => {
    const { table } = priceTable([{ ...row, model: "claude-haiku-4-5-20251001" }]);
    expect(findPriceRow(table, "claude-haiku-4-5-20251001", at)?.rates).toEqual(row.rates);
    expect(findPriceRow(table, "claude-haiku-4-5", at)?.rates.input).toBe(1_000_000);
  });

  it("takes a row for an id of one region as it stands, and prices other spellings by the model", () => {
    const regional = { ...row, model: "us.anthropic.claude-opus-5-5", rates: usdPerMillion(9, 9, 9, 9, 9) };
    const { table } = priceTable([regional]);
    const usage = { ...NO_USAGE, input: 1_000 };
    const cost = (model: string): number => priceUsage(table, { model, atMs: at, usage }).costNanoUsd;
    expect(cost("us.anthropic.claude-opus-5-5")).toBe(9_000_000);
    expect(cost("eu.anthropic.claude-opus-5-5")).toBe(4_400_000);
    expect(cost("global.anthropic.claude-opus-5-5")).toBe(4_000_000);
  });

  it("raises the dearest known rate when a dearer row is added", () => {
    const { table } = priceTable([{ ...row, rates: { ...row.rates, output: 200_000_000 } }]);
    const usage = { ...NO_USAGE, output: 10 };
    expect(priceUsage(table, { model: "?", atMs: at, usage }).costNanoUsd).toBe(2_000_000);
  });

  it("gives a client the rows with which it prices as the server does", () => {
    const { table } = priceTable([row, { ...row, model: "claude-sonnet-5-5", validFrom: "2026-11-10" }]);
    const rows = priceRowsOf(table, ["claude-opus-6", "claude-sonnet-5-5", "claude-opus-4-0", "unheard-of"]);
    expect(rows.map((sent) => [sent.model, sent.validFrom.slice(0, 10)])).toEqual([
      ["claude-opus-6", "2026-11-01"],
      ["claude-sonnet-5-5", "2026-11-10"],
      ["claude-sonnet-5-5", "2026-10-07"],
      ["claude-sonnet-5-5", "2023-01-01"],
      ["claude-opus-4", "2023-01-01"],
    ]);
    const client = priceTable(JSON.parse(JSON.stringify(rows)));
    expect(client.refused).toEqual([]);
    for (const model of ["claude-opus-6", "claude-sonnet-5-5", "claude-opus-4-0"]) {
      const call = { model, atMs: at, usage: { ...NO_USAGE, input: 7, cacheRead: 11 } };
      expect(priceUsage(client.table, call)).toEqual(priceUsage(table, call));
    }
  });
});

describe("a bad price row is refused with its path, and the good ones stand:", () => {
  const rates = row.rates;
  it.each([
    ["not an object", null, "[1]"],
    ["no model", { ...row, model: "" }, "[1].model"],
    ["a model of endless length", { ...row, model: "m".repeat(129) }, "[1].model"],
    ["no date", { ...row, validFrom: undefined }, "[1].validFrom"],
    ["a time without its zone", { ...row, validFrom: "2026-11-01T00:00" }, "[1].validFrom"],
    ["a number as date", { ...row, validFrom: 5 }, "[1].validFrom"],
    ["no word about the US", { ...row, usPremium: undefined }, "[1].usPremium"],
    ["a word about regions that is none", { ...row, regionalPremium: "no" }, "[1].regionalPremium"],
    ["no rates", { ...row, rates: undefined }, "[1].rates"],
    ["a class without rate", { ...row, rates: { ...rates, cacheRead: undefined } }, "[1].rates.cacheRead"],
    ["a negative rate", { ...row, rates: { ...rates, output: -1 } }, "[1].rates.output"],
    ["a rate in USD", { ...row, rates: { ...rates, input: 0.25 } }, "[1].rates.input"],
    ["a rate beyond reason", { ...row, rates: { ...rates, input: 1_000_000_001 } }, "[1].rates.input"],
    ["a long price without threshold", { ...row, long: { rates } }, "[1].long.abovePromptTokens"],
    ["a long price that is not one", { ...row, long: 5 }, "[1].long"],
    ["half a long price", { ...row, long: { abovePromptTokens: 5, rates: {} } }, "[1].long.rates.input"],
    ["half a fast mode", { ...row, fast: { ...rates, output: "5" } }, "[1].fast.output"],
    ["aliases that are no list", { ...row, aliases: "a" }, "[1].aliases"],
    ["an empty alias", { ...row, aliases: ["a", ""] }, "[1].aliases[1]"],
    ["another model's alias", { ...row, aliases: ["claude-opus-4-0"] }, "[1].aliases[0]"],
  ])("%s", (_, bad, path) => {
    const { table, refused } = priceTable([{ ...row, model: "first" }, bad, { ...row, model: "last" }]);
    expect(refused.map((fault) => fault.path)).toEqual([path]);
    expect(refused[0]?.message).toMatch(/^(must be|is already) /);
    for (const model of ["first", "last"]) expect(findPriceRow(table, model, at)).not.toBeNull();
    expect(findPriceRow(table, "claude-opus-6", at)).toBeNull();
  });

  it("more rows than the bound", () => {
    const many = Array.from({ length: MAX_EXTRA_PRICE_ROWS + 1 }, (_, n) => ({ ...row, model: `m${n}` }));
    expect(priceTable(many).refused.map((fault) => fault.path)).toEqual([`[${MAX_EXTRA_PRICE_ROWS}]`]);
  });
});
