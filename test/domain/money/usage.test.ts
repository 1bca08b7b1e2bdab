/** What a call used, read from the `usage` of JSON answers and of streams. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { priceTable } from "../../../sdk-client/src/pricing/price-table.ts";
import { priceUsage } from "../../../sdk-client/src/pricing/price.ts";
import { MAX_TOKENS_PER_CALL, NO_USAGE } from "../../../sdk-client/src/wire/usage-protocol.ts";
import { MAX_USAGE_PARTS, mergeStreamUsage, readUsage } from "../../../sdk-client/src/pricing/usage.ts";

const OPUS = "claude-opus-5-5";
const models = { answered: OPUS, requested: OPUS };

const entry = (type: string, input: number, output: number, model?: string | null) => ({
  type,
  input_tokens: input,
  output_tokens: output,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  cache_creation: null,
  ...(model === undefined ? {} : { model }),
});

const full = {
  input_tokens: 100,
  output_tokens: 50,
  cache_creation_input_tokens: 30,
  cache_read_input_tokens: 2_000,
  cache_creation: { ephemeral_5m_input_tokens: 10, ephemeral_1h_input_tokens: 20 },
  server_tool_use: { web_search_requests: 2, web_fetch_requests: 5 },
  service_tier: "standard",
  inference_geo: "us",
  speed: "standard",
};

describe("the usage of an answer", () => {
  it("is read by class, with where and how it was served", () => {
    expect(readUsage(full, models)).toEqual([
      {
        kind: "message",
        model: OPUS,
        usage: { input: 100, output: 50, cacheWrite5m: 10, cacheWrite1h: 20, cacheRead: 2_000, webSearches: 2 },
        batch: false,
        fast: false,
        geo: "us",
        exact: true,
      },
    ]);
  });

  it("is exact with the fewest fields, and with nulls", () => {
    const nulls = { cache_creation: null, cache_read_input_tokens: null, server_tool_use: null, inference_geo: null };
    for (const usage of [
      { input_tokens: 1, output_tokens: 2 },
      { input_tokens: 1, output_tokens: 2, cache_creation_input_tokens: null, iterations: null, ...nulls },
    ]) {
      expect(readUsage(usage, models)).toMatchObject([
        { usage: { ...NO_USAGE, input: 1, output: 2 }, geo: null, exact: true },
      ]);
    }
  });

  it("tells batch and fast mode", () => {
    expect(readUsage({ ...full, service_tier: "batch" }, models)).toMatchObject([{ batch: true, fast: false }]);
    expect(readUsage({ ...full, speed: "fast" }, models)).toMatchObject([{ batch: false, fast: true }]);
  });

  it("counts cache writes without lifetime as 5 m, and as estimated", () => {
    const usage = { input_tokens: 1, output_tokens: 1, cache_creation_input_tokens: 500 };
    expect(readUsage(usage, models)).toMatchObject([{ usage: { cacheWrite5m: 500, cacheWrite1h: 0 }, exact: false }]);
  });

  it("is estimated when a field is missing or makes no sense, and never throws", () => {
    const broken = [null, undefined, 5, [], {}, { input_tokens: 1 }, { ...full, output_tokens: -4 }];
    for (const usage of [...broken, { ...full, input_tokens: "100" }, { ...full, input_tokens: Number.NaN }]) {
      expect(readUsage(usage, models)).toMatchObject([{ model: OPUS, exact: false }]);
    }
    expect(readUsage({ ...full, output_tokens: 1e30 }, models)).toMatchObject([
      { usage: { output: MAX_TOKENS_PER_CALL }, exact: false },
    ]);
    expect(readUsage({ ...full, output_tokens: 1.2 }, models)).toMatchObject([{ usage: { output: 2 }, exact: false }]);
  });

  it("can always be priced, whatever was sent", () => {
    const { table } = priceTable();
    const names = Object.keys(full);
    const key = fc.constantFrom(...names, "iterations", "type", "model", "ephemeral_1h_input_tokens");
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        fc.oneof(fc.double(), fc.integer(), fc.constantFrom("fallback_message", "message", "compaction"), fc.string()),
        fc.constantFrom(null, undefined, true),
        fc.array(tie("tree"), { maxLength: 4 }),
        fc.dictionary(key, tie("tree")),
      ),
    }));
    fc.assert(
      fc.property(tree, (usage) => {
        for (const part of readUsage(usage, models)) {
          expect(priceUsage(table, { ...part, atMs: 0 }).costNanoUsd).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });
});

describe("the usage of a stream", () => {
  const start = { ...full, output_tokens: 1, iterations: null };

  it("takes what the delta knows, which is cumulative, and keeps the rest", () => {
    const delta = { output_tokens: 321, input_tokens: 100, cache_read_input_tokens: null };
    const merged = mergeStreamUsage(start, { ...delta, server_tool_use: { web_search_requests: 4 } });
    expect(readUsage(merged, models)).toMatchObject([
      {
        usage: { input: 100, output: 321, cacheWrite5m: 10, cacheWrite1h: 20, cacheRead: 2_000, webSearches: 4 },
        geo: "us",
        exact: true,
      },
    ]);
  });

  it("is not added up over several deltas", () => {
    const merged = [{ output_tokens: 10 }, { output_tokens: 25 }].reduce(mergeStreamUsage, start);
    expect(readUsage(merged, models)).toMatchObject([{ usage: { output: 25 } }]);
  });

  it("counts cache writes beyond the breakdown at the start as 1 h when the call writes for 1 h", () => {
    const merged = mergeStreamUsage(start, { output_tokens: 5, cache_creation_input_tokens: 130 });
    expect(readUsage(merged, models)).toMatchObject([{ usage: { cacheWrite5m: 10, cacheWrite1h: 120 }, exact: false }]);
  });

  it("that broke off before its delta has what its start said", () => {
    expect(readUsage(mergeStreamUsage(start, undefined), models)).toMatchObject([{ usage: { input: 100, output: 1 } }]);
  });
});

describe("the iterations of a call", () => {
  it("add compaction, which the sums at the top leave out", () => {
    const usage = { ...full, iterations: [entry("compaction", 180_000, 3_500), entry("message", 100, 50, null)] };
    expect(readUsage(usage, models)).toMatchObject([
      { kind: "message", model: OPUS, usage: { input: 100, output: 50 }, exact: true },
      { kind: "compaction", model: OPUS, usage: { input: 180_000, output: 3_500 }, geo: "us", exact: true },
    ]);
  });

  it("charge an advisor to its own model, at standard speed", () => {
    const usage = {
      ...full,
      speed: "fast",
      iterations: [
        entry("message", 60, 20),
        entry("advisor_message", 900, 700, "claude-fable-5"),
        entry("message", 40, 30),
      ],
    };
    expect(readUsage(usage, models)).toMatchObject([
      { kind: "message", model: OPUS, usage: { input: 100, output: 50 }, fast: true },
      { kind: "advisor", model: "claude-fable-5", usage: { input: 900, output: 700 }, fast: false, exact: true },
    ]);
  });

  it("charge a fallback to the model that served, and the attempt that declined to the model asked", () => {
    const usage = {
      input_tokens: 420,
      output_tokens: 80,
      iterations: [
        entry("message", 412, 3, "claude-fable-5"),
        entry("message", 415, 60, OPUS),
        entry("fallback_message", 5, 20, OPUS),
      ],
    };
    expect(readUsage(usage, { answered: OPUS, requested: "claude-fable-5" })).toMatchObject([
      { kind: "message", model: OPUS, usage: { input: 420, output: 80 }, exact: true },
      { kind: "declined", model: "claude-fable-5", usage: { input: 412, output: 3 }, exact: true },
    ]);
  });

  it("count no attempt twice when the sums at the top hold all of them", () => {
    const usage = {
      input_tokens: 832,
      output_tokens: 83,
      server_tool_use: { web_search_requests: 1 },
      iterations: [entry("message", 412, 3, "claude-fable-5"), entry("fallback_message", 420, 80, OPUS)],
    };
    expect(readUsage(usage, { answered: OPUS, requested: "claude-fable-5" })).toMatchObject([
      { model: OPUS, usage: { input: 420, output: 80, webSearches: 1 } },
      { model: "claude-fable-5", usage: { input: 412, output: 3, webSearches: 0 } },
    ]);
  });

  it("lose nothing when the sums at the top hold more than the iterations", () => {
    const usage = { input_tokens: 1_000, output_tokens: 100, iterations: [entry("fallback_message", 420, 80, OPUS)] };
    expect(readUsage(usage, { answered: OPUS, requested: "claude-fable-5" })).toMatchObject([
      { model: OPUS, usage: { input: 1_000, output: 100 } },
    ]);
  });

  it("are bounded: what is beyond goes into the last part, as estimated", () => {
    const iterations = Array.from({ length: MAX_USAGE_PARTS + 9 }, () => entry("compaction", 10, 1));
    const parts = readUsage({ ...full, iterations }, models);
    expect(parts).toHaveLength(MAX_USAGE_PARTS);
    expect(parts.at(-1)).toMatchObject({ usage: { input: 110, output: 11 }, exact: false });
    expect(parts.slice(1).reduce((sum, part) => sum + part.usage.input, 0)).toBe(iterations.length * 10);
  });
});
