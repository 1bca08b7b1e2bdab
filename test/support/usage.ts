/** Usage records and budgets for tests. */
import { randomUUID } from "node:crypto";
import type { Deps } from "../../src/deps.ts";
import type { UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";
import type { BudgetDefinition } from "../../src/api/budget.ts";

/** A call of claude-opus-5-5 that cost exactly `usd`: its output is 20 USD per million tokens. */
export function callFor(usd: number, fields: Partial<UsageRecord> = {}): UsageRecord {
  return {
    id: randomUUID(),
    at: Date.now(),
    flag: "support-chat",
    model: "claude-opus-5-5",
    requestedModel: "claude-opus-5-5",
    outcome: "ok",
    exact: true,
    usage: {
      input: 0,
      output: Math.round(usd * 50_000),
      cacheWrite5m: 0,
      cacheWrite1h: 0,
      cacheRead: 0,
      webSearches: 0,
    },
    attempt: 1,
    latencyMs: 1_200,
    ...fields,
  };
}

export const batchOf = (records: readonly UsageRecord[], batchId: string = randomUUID()) => ({
  batchId,
  instance: "host-1",
  records,
});

/** Has the server count calls, as if a client had reported them; resolves when they are committed. */
export function report(deps: Deps, records: readonly UsageRecord[], environment = "production") {
  const served = deps.snapshots.environmentByKey(environment);
  if (served === undefined) throw new Error(`there is no environment "${environment}"`);
  return deps.ledger.submit(served.environmentId, { ...batchOf(records), tokenId: "app", rejected: [] });
}

/** 100 USD a day: alert at 50 %, downgrade at 80 %, kill at 100 %. */
export function dailyBudget(fields: Partial<BudgetDefinition> = {}): BudgetDefinition {
  return {
    name: "Daily",
    scope: { flag: "support-chat" },
    limitUsd: 100,
    period: "day",
    timezone: "UTC",
    enforcement: "trip",
    onUnavailable: "allow",
    reserveWaitMs: 2_000,
    minTokens: 256,
    whenHeld: "wait",
    ladder: [
      { atPercent: 50, action: "alert" },
      { atPercent: 80, action: "downgrade" },
      { atPercent: 100, action: "kill" },
    ],
    onReset: "restore",
    paused: false,
    ...fields,
  };
}
