/** What a budget shows of its pace is never better than it is, however young a runaway is and however many calls it makes. */
import { beforeEach, describe, expect, it } from "vitest";
import type { Runtime } from "../../src/boot.ts";
import type { Ctx } from "../../src/deps.ts";
import { NANO_PER_USD } from "../../src/domain/budget.ts";
import { createBudget } from "../../src/services/budgets/budgets.ts";
import { listBudgets } from "../../src/services/budgets/view.ts";
import { createFlag } from "../../src/services/flags/flags.ts";
import { FakeClock } from "../support/clock.ts";
import { adminCtx, startTestServer } from "../support/server.ts";
import { callFor, dailyBudget, report } from "../support/usage.ts";

const SECOND_MS = 1_000;
/** More in a transaction than are kept as recent calls. */
const CALLS = 500;
const CALL_USD = 0.02;
const LATENCY_MS = 2_000;

let runtime: Runtime;
let ctx: Ctx;
let clock: FakeClock;

beforeEach(async () => {
  clock = new FakeClock(Date.parse("2026-03-02T09:00:20Z"));
  runtime = await startTestServer({ clock });
  ctx = adminCtx(runtime.deps);
  await createFlag(ctx, "production", { key: "support-chat", name: "Support chat" });
  await createBudget(ctx, "production", dailyBudget({ limitUsd: 1_000 }));
  return async () => runtime.close();
});

/** A second of calls, all of which ended within it. */
async function rush(calls: number): Promise<void> {
  const records = Array.from({ length: calls }, () => callFor(CALL_USD, { at: clock.nowMs(), latencyMs: LATENCY_MS }));
  await report(runtime.deps, records);
  clock.advance(SECOND_MS);
}

async function shown() {
  const [budget] = (await listBudgets(ctx, "production")).items;
  if (budget === undefined) throw new Error("no budget");
  return budget.now;
}

describe("of a runaway that is seven seconds old", () => {
  const perSecond = CALLS * CALL_USD;

  beforeEach(async () => {
    for (let second = 0; second < 7; second += 1) await rush(CALLS);
  });

  it("the limit is foreseen at that rate, not at the mean of the quiet minutes before", async () => {
    const { limitReachedAt, burnNanoUsdPerHour, spentNanoUsd } = await shown();
    expect(spentNanoUsd).toBe(Math.round(7 * perSecond * NANO_PER_USD));
    const leftSeconds = (Date.parse(limitReachedAt ?? "") - clock.nowMs()) / SECOND_MS;
    const truth = (1_000 - 7 * perSecond) / perSecond;
    expect(leftSeconds).toBeGreaterThan(truth / 2);
    expect(leftSeconds).toBeLessThan(truth * 2);
    expect(burnNanoUsdPerHour / NANO_PER_USD).toBeGreaterThan(perSecond * 3_600 * 0.5);
  });
});

it("a few calls by chance in one minute are no rate", async () => {
  await rush(3);
  const { burnNanoUsdPerHour } = await shown();
  // 09:00:21, and the last five minutes began at 08:55.
  expect(burnNanoUsdPerHour / NANO_PER_USD).toBeCloseTo((3 * CALL_USD * 3_600) / 321, 5);
});
