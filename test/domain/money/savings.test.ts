/** What caching and batches would save: the arithmetic, under the assumptions that are said beside it. Pure. */
import { expect, it } from "vitest";
import { priceUsage } from "../../../sdk-client/src/pricing/price.ts";
import { priceTable } from "../../../sdk-client/src/pricing/price-table.ts";
import type { TokenUsage } from "../../../sdk-client/src/wire/usage-protocol.ts";
import { savingsOf } from "../../../src/domain/savings.ts";

const { table } = priceTable();
const AT_MS = Date.parse("2026-11-27T12:00:00Z");
const OPUS = "claude-opus-5-5";
const M = 1_000_000;
const NONE = { input: 0, output: 0, cacheWrite5m: 0, cacheWrite1h: 0, cacheRead: 0, webSearches: 0 };

interface Call extends Partial<TokenUsage> {
  model?: string;
  batch?: boolean;
  fast?: boolean;
}

/** What the ledger sums of these calls of one model would save, in USD. */
function saved(...calls: Call[]) {
  const model = calls[0]?.model ?? OPUS;
  const tokens = { input: 0n, output: 0n, cacheWrite5m: 0n, cacheWrite1h: 0n, cacheRead: 0n };
  let costNanoUsd = 0n;
  let webSearches = 0;
  for (const { batch = false, fast = false, model: _, ...used } of calls) {
    const usage = { ...NONE, ...used };
    costNanoUsd += BigInt(priceUsage(table, { model, atMs: AT_MS, usage, batch, fast }).costNanoUsd);
    webSearches += usage.webSearches;
    tokens.input += BigInt(usage.input);
    tokens.output += BigInt(usage.output);
    tokens.cacheWrite5m += BigInt(usage.cacheWrite5m);
    tokens.cacheRead += BigInt(usage.cacheRead);
  }
  const savings = savingsOf({ flag: "f", model, costNanoUsd, webSearches, tokens }, table, AT_MS);
  return { caching: Number(savings.perTenthCachedNanoUsd) / 1e9, batches: Number(savings.batchesNanoUsd) / 1e9 };
}

// Opus 5.5, USD per million: input 4, output 20, cache write 5, cache read 0.20.
it.each<[string, Call[], { caching: number; batches: number }]>([
  // A tenth of 10 million: 0.1 M written at 5 and 0.9 M read at 0.20, instead of 1 M at 4.
  [
    "a tenth of the input through a cache is written once and read nine times",
    [{ input: 10 * M }],
    { caching: 3.32, batches: 20 },
  ],
  [
    "output, writes and reads save nothing by caching",
    [{ output: M, cacheWrite5m: M, cacheRead: M }],
    { caching: 0, batches: 12.6 },
  ],
  ["what was in a batch saves nothing more in one", [{ output: M, batch: true }], { caching: 0, batches: 0 }],
  [
    "of calls of which some were in batches the others save half",
    [{ output: M, batch: true }, { output: 3 * M }],
    { caching: 0, batches: 30 },
  ],
  ["web searches cost the same in a batch", [{ output: M, webSearches: 1_000 }], { caching: 0, batches: 10 }],
  [
    "a long prompt's rates are not taken for more than half",
    [{ model: "claude-sonnet-4-5", input: M }],
    { caching: 0.2355, batches: 3 },
  ],
  ["fast mode is at most half", [{ output: M, fast: true }], { caching: 0, batches: 20 }],
  ["a model without a price saves nothing", [{ model: "gpt-9", input: M }], { caching: 0, batches: 0 }],
])("%s", (_, calls, expected) => {
  expect(saved(...calls)).toEqual(expected);
});
