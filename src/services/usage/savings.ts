/** What caching and batches would save, by flag and model: of the ledger's sums by model, whatever it is grouped by. */
import type { SavingsAnswer, SavingsGroup, SavingsQuery } from "../../api/savings.ts";
import type { Ctx } from "../../deps.ts";
import { csv } from "../../domain/csv.ts";
import {
  BATCHES_ASSUMPTION,
  CACHING_ASSUMPTION,
  NO_SAVINGS,
  plusSavings,
  RATES_ASSUMPTION,
  type Savings,
  savingsOf,
} from "../../domain/savings.ts";
import { totalOf } from "../../domain/total.ts";
import { read } from "../../transaction.ts";
import { readPrices } from "../models/price-rows.ts";
import { readUsage } from "./view.ts";

/** Pairs of a flag and a model: more than the ledger keeps apart of both. */
const MAX_PAIRS = 50_000;

interface Group {
  flag: string;
  model: string;
  savings: Savings;
}

/** What would save most in batches comes first. */
export async function getSavings(ctx: Ctx, environmentKey: string, query: SavingsQuery = {}): Promise<SavingsAnswer> {
  const { groupBy = ["flag", "model"], ...span } = query;
  const used = await readUsage(ctx, environmentKey, { ...span, groupBy: ["flag", "model"] }, MAX_PAIRS);
  const table = await read(ctx, (db) => readPrices(db));
  const atMs = Date.parse(used.to) - 1;
  const groups = new Map<string, Group>();
  let total = NO_SAVINGS;
  for (const { flag = "", model = "", tokens, webSearches, costNanoUsd } of used.items) {
    if (tokens === null) continue;
    const use = {
      flag,
      model,
      costNanoUsd: BigInt(costNanoUsd),
      webSearches: webSearches ?? 0,
      tokens: {
        input: BigInt(tokens.input),
        output: BigInt(tokens.output),
        cacheWrite5m: BigInt(tokens.cacheWrite5m),
        cacheWrite1h: BigInt(tokens.cacheWrite1h),
        cacheRead: BigInt(tokens.cacheRead),
      },
    };
    const savings = savingsOf(use, table, atMs);
    total = plusSavings(total, savings);
    const key = JSON.stringify(groupBy.map((group) => use[group]));
    const known = groups.get(key);
    groups.set(key, { flag, model, savings: known === undefined ? savings : plusSavings(known.savings, savings) });
  }
  const items = [...groups.values()].toSorted((a, b) => bySaving(a.savings, b.savings));
  return {
    from: used.from,
    to: used.to,
    groupBy: [...groupBy],
    assumptions: [CACHING_ASSUMPTION, BATCHES_ASSUMPTION, RATES_ASSUMPTION],
    items: items.map((group) => ({ ...namesOf(group, groupBy), ...figuresOf(group.savings) })),
    total: figuresOf(total),
  };
}

export async function savingsCsv(ctx: Ctx, environmentKey: string, query: SavingsQuery): Promise<string> {
  const { items, groupBy } = await getSavings(ctx, environmentKey, query);
  return csv([...groupBy, ...COLUMNS], items);
}

const COLUMNS = ["costNanoUsd", "promptTokens", "cachedTokens", "perTenthCachedNanoUsd", "batchesNanoUsd"];

function namesOf({ flag, model }: Group, groupBy: readonly SavingsGroup[]): { flag?: string; model?: string } {
  return { ...(groupBy.includes("flag") && { flag }), ...(groupBy.includes("model") && { model }) };
}

function figuresOf(savings: Savings) {
  return {
    costNanoUsd: totalOf(String(savings.costNanoUsd)),
    promptTokens: totalOf(String(savings.promptTokens)),
    cachedTokens: totalOf(String(savings.cachedTokens)),
    perTenthCachedNanoUsd: totalOf(String(savings.perTenthCachedNanoUsd)),
    batchesNanoUsd: totalOf(String(savings.batchesNanoUsd)),
  };
}

function bySaving(a: Savings, b: Savings): number {
  const [left, right] = [a.batchesNanoUsd + a.perTenthCachedNanoUsd, b.batchesNanoUsd + b.perTenthCachedNanoUsd];
  return left === right ? 0 : left < right ? 1 : -1;
}
