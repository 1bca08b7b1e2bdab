/** A budget trips its flag by itself: in the transaction that counts, once, and it ends when its cause does. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Runtime } from "../../src/boot.ts";
import type { Ctx } from "../../src/deps.ts";
import type { BudgetDefinition } from "../../src/api/budget.ts";
import { createBudget, updateBudget } from "../../src/services/budgets/budgets.ts";
import { endDueBudgets } from "../../src/services/budgets/due.ts";
import { raiseBudget } from "../../src/services/budgets/raise.ts";
import { listBudgets } from "../../src/services/budgets/view.ts";
import { usageMinutes } from "../../src/db/schema/usage.ts";
import { listAlerts } from "../../src/services/alerts/alerts.ts";
import { createChannel } from "../../src/services/alerts/channels.ts";
import { putChain } from "../../src/services/models/chains.ts";
import { createFlag, getFlag } from "../../src/services/flags/flags.ts";
import { listIncidents } from "../../src/services/incidents/view.ts";
import { downgradeFlag } from "../../src/services/flags/downgrade.ts";
import { restoreFlag } from "../../src/services/flags/switches.ts";
import { FakeClock } from "../support/clock.ts";
import { adminCtx, startTestServer } from "../support/server.ts";
import { batchOf, callFor, dailyBudget, report } from "../support/usage.ts";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

describe("a budget with a ladder", () => {
  let runtime: Runtime;
  let ctx: Ctx;
  let clock: FakeClock;
  let environmentId: string;

  beforeEach(async () => {
    clock = new FakeClock(Date.parse("2026-03-02T09:00:00Z"));
    runtime = await startTestServer({ clock });
    ctx = adminCtx(runtime.deps);
    environmentId = runtime.deps.snapshots.environmentByKey("production")?.environmentId ?? "";
    const steps = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"].map((model) => ({ model }));
    await putChain(ctx, "production", "opus-first", { steps });
    await createFlag(ctx, "production", { key: "support-chat", name: "Support chat", chain: "opus-first" });
    return async () => runtime.close();
  });

  const spend = (usd: number) => report(runtime.deps, [callFor(usd, { at: clock.nowMs() })]);
  const budget = async (fields: Partial<BudgetDefinition> = {}) =>
    (await createBudget(ctx, "production", dailyBudget(fields))).value;
  const flag = () => getFlag(ctx, "production", "support-chat");
  const served = () => runtime.deps.snapshots.environmentByKey("production")?.snapshot.flags["support-chat"];
  const incidents = async () => (await listIncidents(ctx, "production")).items;

  it("alerts at 50 %, downgrades at 80 %, turns off at 100 %, in one incident", async () => {
    await budget();
    await spend(50);
    expect((await flag()).effective).toMatchObject({ state: "on" });
    await spend(30);
    expect((await flag()).effective).toMatchObject({ state: "downgraded", model: "claude-sonnet-5-5" });
    expect(served()).toMatchObject({ state: "on", level: 1 });
    await spend(20);
    expect((await flag()).effective).toMatchObject({ state: "off", reason: "TRIPPED" });
    expect(served()).toMatchObject({ state: "off", cause: "budget" });
    const [incident, ...others] = await incidents();
    expect(others).toEqual([]);
    expect(incident?.steps.map((step) => step.action)).toEqual(["alert", "downgrade", "kill"]);
  });

  it("does all steps at once when one call crosses them all, and each once", async () => {
    await budget();
    await spend(150);
    await spend(10);
    expect(served()).toMatchObject({ state: "off", cause: "budget", level: 1 });
    expect((await incidents()).map((incident) => incident.steps.length)).toEqual([3]);
  });

  it("ends its trips at the reset, once, and closes the incident", async () => {
    await budget();
    await spend(100);
    clock.advance(15 * HOUR_MS);
    await endDueBudgets(ctx, environmentId);
    await endDueBudgets(ctx, environmentId);
    expect(served()).toMatchObject({ state: "on", level: 0 });
    expect(await incidents()).toMatchObject([{ resolvedAt: expect.any(String) }]);
    const [now] = (await listBudgets(ctx, "production")).items;
    expect(now?.now).toMatchObject({ spentNanoUsd: 0, trips: [] });
  });

  it("stays off past the reset when it says so, until somebody restores", async () => {
    await budget({ onReset: "stay" });
    await spend(100);
    clock.advance(DAY_MS);
    await endDueBudgets(ctx, environmentId);
    expect(served()).toMatchObject({ state: "off", cause: "budget" });
    await restoreFlag(ctx, "production", "support-chat", { reason: "budget agreed" });
    expect(served()).toMatchObject({ state: "on" });
    expect(await incidents()).toMatchObject([{ resolvedAt: expect.any(String) }]);
  });

  it("is overridden by a restore for the steps already crossed; a higher step still acts", async () => {
    await budget({
      ladder: [
        { atPercent: 80, action: "downgrade" },
        { atPercent: 100, action: "kill" },
        { atPercent: 150, action: "kill" },
      ],
    });
    await spend(100);
    await restoreFlag(ctx, "production", "support-chat", { reason: "customers are waiting" });
    expect(served()).toMatchObject({ state: "on", level: 0 });
    await spend(10);
    expect(served()).toMatchObject({ state: "on", level: 0 });
    await spend(40);
    expect(served()).toMatchObject({ state: "off", cause: "budget" });
  });

  it("lets go when the limit is raised, and acts again when the raise expires", async () => {
    const { id } = await budget();
    await spend(100);
    const until = new Date(clock.nowMs() + HOUR_MS);
    await raiseBudget(ctx, "production", id, { addUsd: 100, until, reason: "launch day" });
    expect(served()).toMatchObject({ state: "on", level: 0 });
    clock.advance(HOUR_MS);
    await endDueBudgets(ctx, environmentId);
    expect(served()).toMatchObject({ state: "off", cause: "budget" });
  });

  it("opens its incident again when a raise expires, and tells once that the feature is off again", async () => {
    const url = "https://hooks.slack.com/services/T000/B000/nowhere";
    await createChannel(ctx, "production", { kind: "slack", name: "on-call", url });
    const told = async () => (await listAlerts(ctx, "production", {})).items.map(({ title }) => title).toReversed();
    const { id } = await budget({
      ladder: [
        { atPercent: 80, action: "downgrade" },
        { atPercent: 100, action: "kill" },
      ],
    });
    await spend(100);
    const until = new Date(clock.nowMs() + HOUR_MS);
    await raiseBudget(ctx, "production", id, { addUsd: 100, until, reason: "launch day" });
    expect(await incidents()).toMatchObject([{ resolvedAt: expect.any(String) }]);
    const before = await told();
    clock.advance(HOUR_MS);
    await endDueBudgets(ctx, environmentId);
    const [incident] = await incidents();
    expect(incident).toMatchObject({ resolvedAt: null, acknowledgedAt: null });
    expect(incident?.steps.map(({ action }) => action)).toEqual(["downgrade", "kill", "kill"]);
    expect((await told()).slice(before.length)).toEqual(["Daily reached 100 % of $100.00"]);
    await endDueBudgets(ctx, environmentId);
    expect(await told()).toHaveLength(before.length + 1);
  });

  it("acts at once when its limit is lowered below what is spent", async () => {
    const { id } = await budget();
    await spend(40);
    expect(served()).toMatchObject({ state: "on" });
    await updateBudget(ctx, "production", id, { limitUsd: 20 });
    expect(served()).toMatchObject({ state: "off", cause: "budget" });
  });

  it("counts what was spent before it was made in the same window", async () => {
    await spend(70);
    const made = await budget();
    expect(made.now.spentNanoUsd).toBe(70_000_000_000);
    await spend(10);
    expect(served()).toMatchObject({ state: "on", level: 1 });
  });

  it("of one model takes its flags past that model", async () => {
    await budget({ scope: { model: "claude-opus-5-5" }, ladder: [{ atPercent: 100, action: "downgrade" }] });
    await spend(100);
    expect(served()).toMatchObject({ state: "on", level: 1 });
  });

  it("stands beside a level that was set by hand before: lifting that one leaves the budget's", async () => {
    await budget({ ladder: [{ atPercent: 80, action: "downgrade", level: 1 }] });
    const until = new Date(clock.nowMs() + HOUR_MS);
    const byHand = { level: 1, reason: "slow", until };
    await downgradeFlag(ctx, "production", "support-chat", byHand);
    await spend(85);
    expect(served()).toMatchObject({ state: "on", level: 1 });
    await downgradeFlag(ctx, "production", "support-chat", { level: 0, reason: "fast again", until: null });
    expect(served()).toMatchObject({ state: "on", level: 1 });
    expect((await flag()).effective).toMatchObject({ state: "downgraded", model: "claude-sonnet-5-5" });
  });

  it("goes one further than a level that was set by hand, and stays where that ends", async () => {
    await budget({ ladder: [{ atPercent: 80, action: "downgrade" }] });
    await downgradeFlag(ctx, "production", "support-chat", { level: 2, reason: "slow", until: null });
    await spend(85);
    expect(served()).toMatchObject({ state: "on", level: 2 });
    await downgradeFlag(ctx, "production", "support-chat", { level: 0, reason: "fast again", until: null });
    expect(served()).toMatchObject({ state: "on", level: 1 });
  });

  it("of a chain's last model never takes a flag onto that model", async () => {
    await budget({
      scope: { model: "claude-haiku-5-5" },
      limitUsd: 30,
      ladder: [{ atPercent: 50, action: "downgrade" }],
    });
    const call = callFor(900, { at: clock.nowMs(), model: "claude-haiku-5-5" });
    await report(runtime.deps, [call]);
    expect(await incidents()).toMatchObject([{ steps: [{ action: "downgrade" }] }]);
    expect(served()).toMatchObject({ state: "on", level: 0 });
  });

  it("only tells when it tracks", async () => {
    await budget({ enforcement: "track" });
    await spend(200);
    expect(served()).toMatchObject({ state: "on", level: 0 });
    expect((await incidents())[0]?.steps).toMatchObject([
      { atPercent: 50 },
      { atPercent: 80 },
      { atPercent: 100 },
      { atPercent: 200, action: "over" },
    ]);
  });

  it("counts what a call used beside its answer as money, not as another call", async () => {
    await budget();
    const at = clock.nowMs();
    const records = [callFor(30, { at }), callFor(10, { at, part: "compaction" })];
    await report(runtime.deps, records);
    const [minute] = await runtime.deps.db.select().from(usageMinutes);
    expect(minute).toMatchObject({ calls: 1, attempts: 1, exactNanoUsd: 40_000_000_000 });
  });

  it("prices an unknown model at the dearest rate, never at nothing", async () => {
    await budget();
    const unknown = callFor(0, { at: clock.nowMs(), model: "claude-next-9", requestedModel: "claude-next-9" });
    unknown.usage.output = 2_000_000;
    await report(runtime.deps, [unknown]);
    const [now] = (await listBudgets(ctx, "production")).items;
    expect(now?.now.spentNanoUsd).toBeGreaterThanOrEqual(100_000_000_000);
  });
});

describe("two servers on one PostgreSQL, two hundred reporters", () => {
  let runtimes: Runtime[];

  beforeAll(async () => {
    const a = await startTestServer();
    runtimes = [a, await startTestServer({ database: a.deps.config.database })];
  });
  afterAll(async () => {
    for (const runtime of runtimes.toReversed()) await runtime.close();
  });

  it("trip once, open one incident, and the ledger equals the sum", async () => {
    const [a, b] = runtimes;
    if (a === undefined || b === undefined) throw new Error("two servers were started");
    const ctx = adminCtx(a.deps);
    await createFlag(ctx, "production", { key: "support-chat", name: "Support chat" });
    await createBudget(ctx, "production", dailyBudget({ ladder: [{ atPercent: 100, action: "kill" }] }));
    const environmentId = a.deps.snapshots.environmentByKey("production")?.environmentId ?? "";
    const reporters = Array.from({ length: 200 }, (_, index) => async () => {
      const { ledger } = index % 2 === 0 ? a.deps : b.deps;
      for (let round = 0; round < 5; round += 1) {
        const batch = { ...batchOf([callFor(0.2), callFor(0.1, { exact: false })]), rejected: [] };
        const answers = await Promise.all([
          ledger.submit(environmentId, { ...batch, tokenId: "app" }),
          ledger.submit(environmentId, { ...batch, tokenId: "app" }),
        ]);
        expect(answers.filter((answer) => answer.duplicate)).toHaveLength(1);
      }
    });
    await Promise.all(reporters.map((reporter) => reporter()));
    const [budget] = (await listBudgets(ctx, "production")).items;
    expect(budget?.now).toMatchObject({ spentNanoUsd: 300_000_000_000, exactNanoUsd: 200_000_000_000 });
    expect(budget?.now.trips).toHaveLength(1);
    const { items } = await listIncidents(ctx, "production");
    expect(items.map((incident) => incident.steps.length)).toEqual([1]);
  });
});
