/** A flag that is made, or moved to another chain, while a budget that it belongs to is reached is no way around it. */
import { beforeEach, describe, expect, it } from "vitest";
import type { Runtime } from "../../src/boot.ts";
import type { Ctx } from "../../src/deps.ts";
import { listAudit } from "../../src/services/shared/audit.ts";
import type { BudgetDefinition } from "../../src/api/budget.ts";
import { createBudget } from "../../src/services/budgets/budgets.ts";
import { endDueBudgets } from "../../src/services/budgets/due.ts";
import { raiseBudget } from "../../src/services/budgets/raise.ts";
import { putChain } from "../../src/services/models/chains.ts";
import { createFlag, deleteFlag, getFlag, updateFlag } from "../../src/services/flags/flags.ts";
import { listIncidents } from "../../src/services/incidents/view.ts";
import { restoreFlag } from "../../src/services/flags/switches.ts";
import { revert } from "../../src/services/flags/undo.ts";
import { FakeClock } from "../support/clock.ts";
import { adminCtx, startTestServer } from "../support/server.ts";
import { callFor, dailyBudget, report } from "../support/usage.ts";

const HOUR_MS = 3_600_000;
const ROUNDS = 15;

let runtime: Runtime;
let ctx: Ctx;
let clock: FakeClock;
let environmentId: string;

const chain = (...models: string[]) => ({ steps: models.map((model) => ({ model })) });

beforeEach(async () => {
  clock = new FakeClock(Date.parse("2026-03-02T09:00:00Z"));
  runtime = await startTestServer({ clock });
  ctx = adminCtx(runtime.deps);
  environmentId = runtime.deps.snapshots.environmentByKey("production")?.environmentId ?? "";
  await putChain(ctx, "production", "opus-first", chain("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"));
  await putChain(ctx, "production", "small", chain("claude-sonnet-5-5", "claude-haiku-5-5"));
  await createFlag(ctx, "production", { key: "support-chat", name: "Support chat", chain: "opus-first" });
  return async () => runtime.close();
});

const spend = (usd: number, { deps } = runtime) => report(deps, [callFor(usd, { at: clock.nowMs() })]);
const budget = async (fields: Partial<BudgetDefinition> = {}) =>
  (await createBudget(ctx, "production", dailyBudget({ scope: {}, ...fields }))).value;
const create = async (key: string, chainName: string | null = null) =>
  (await createFlag(ctx, "production", { key, name: key, chain: chainName })).value;
const served = (key: string) => runtime.deps.snapshots.environmentByKey("production")?.snapshot.flags[key];
const OFF = { state: "off", cause: "budget" };

describe("a flag made while the budget of its environment is reached", () => {
  it("is off from its first revision, says so, and pages nobody again", async () => {
    await budget();
    await spend(100);
    const [before] = (await listIncidents(ctx, "production")).items;
    const made = await create("translate");
    expect(made.effective).toMatchObject({ state: "off", reason: "TRIPPED" });
    expect(made.trips.map((trip) => trip.action)).toEqual(["kill"]);
    expect(served("translate")).toMatchObject(OFF);
    const { items } = await listAudit(ctx, "production", { limit: 2 });
    expect(items.map(({ action, revision }) => [action, revision])).toEqual([
      ["flag.tripped", items[0]?.revision],
      ["flag.created", items[0]?.revision],
    ]);
    expect((await listIncidents(ctx, "production")).items).toEqual([before]);
  });

  it("steps down when only that step of the ladder is reached, and goes off with the others", async () => {
    await budget();
    await spend(80);
    expect((await create("translate", "opus-first")).effective).toMatchObject({ state: "downgraded" });
    expect(served("translate")).toMatchObject({ state: "on", level: 1 });
    await spend(20);
    expect(served("translate")).toMatchObject(OFF);
  });

  it("goes on again with the others: at the reset, or when the limit is raised", async () => {
    const { id } = await budget();
    await spend(100);
    await create("translate");
    const until = new Date(clock.nowMs() + HOUR_MS);
    await raiseBudget(ctx, "production", id, { addUsd: 100, until, reason: "launch" });
    expect(served("translate")).toMatchObject({ state: "on" });
    clock.advance(HOUR_MS);
    await endDueBudgets(ctx, environmentId);
    expect(served("translate")).toMatchObject(OFF);
    clock.advance(24 * HOUR_MS);
    await endDueBudgets(ctx, environmentId);
    expect(served("translate")).toMatchObject({ state: "on" });
  });

  it("is on when the budget is another flag's, only tracks, or is not reached", async () => {
    await budget({ name: "Other", scope: { flag: "support-chat" } });
    await budget({ name: "Tracked", enforcement: "track" });
    await budget({ name: "Larger", limitUsd: 1000 });
    await spend(100);
    expect((await create("translate", "opus-first")).effective).toMatchObject({ state: "on" });
  });

  it("is off again under the same key after it was deleted", async () => {
    await budget({ ladder: [{ atPercent: 100, action: "kill" }] });
    await create("translate");
    await deleteFlag(ctx, "production", "translate");
    await spend(100);
    expect((await create("translate")).effective).toMatchObject({ state: "off" });
  });

  it("is off again also when it was restored before it was deleted: what let that one run does not let this one", async () => {
    await create("translate", "opus-first");
    await budget({ scope: { flag: "translate" } });
    await report(runtime.deps, [callFor(100, { at: clock.nowMs(), flag: "translate" })]);
    expect(served("translate")).toMatchObject(OFF);
    await restoreFlag(ctx, "production", "translate", { reason: "customers wait" });
    clock.advance(HOUR_MS);
    await deleteFlag(ctx, "production", "translate");
    const made = await create("translate", "opus-first");
    expect(made.effective).toMatchObject({ state: "off", reason: "TRIPPED" });
    expect(made.standing).toMatchObject({ since: new Date(clock.nowMs()).toISOString(), over: null });
  });
});

describe("a flag that moves to the model whose budget is reached", () => {
  beforeEach(async () => {
    await budget({ scope: { model: "claude-opus-5-5" }, ladder: [{ atPercent: 100, action: "kill" }] });
    await create("translate", "small");
    await spend(100);
    expect(served("support-chat")).toMatchObject(OFF);
    expect(served("translate")).toMatchObject({ state: "on" });
  });

  it("is off when it gets a chain with that model", async () => {
    const { value } = await updateFlag(ctx, "production", "translate", { chain: "opus-first" });
    expect(value.effective).toMatchObject({ state: "off", reason: "TRIPPED" });
    expect(served("translate")).toMatchObject(OFF);
  });

  it("is off when its chain gets that model", async () => {
    await putChain(ctx, "production", "small", { steps: [{ model: "claude-opus-5-5" }] });
    expect(served("translate")).toMatchObject(OFF);
  });

  it("stays on when somebody restored it, wherever it moves until the window ends", async () => {
    await restoreFlag(ctx, "production", "support-chat", { reason: "customers wait" });
    await updateFlag(ctx, "production", "support-chat", { chain: "small" });
    await updateFlag(ctx, "production", "support-chat", { chain: "opus-first" });
    expect(served("support-chat")).toMatchObject({ state: "on" });
  });

  it("is tripped once, however often it moves", async () => {
    for (const to of ["opus-first", "small", "opus-first"]) {
      await updateFlag(ctx, "production", "translate", { chain: to });
    }
    expect((await getFlag(ctx, "production", "translate")).trips).toHaveLength(1);
  });
});

describe("an undo that brings a flag back to a model whose budget is reached", () => {
  const edits = {
    "of the chain": async () => {
      await putChain(ctx, "production", "small", { steps: [{ model: "claude-opus-5-5" }] });
      await putChain(ctx, "production", "small", { steps: [{ model: "claude-haiku-5-5" }] });
    },
    "of the flag": async () => {
      await updateFlag(ctx, "production", "translate", { chain: "opus-first" });
      await updateFlag(ctx, "production", "translate", { chain: "small" });
    },
  };
  it.each(Object.entries(edits))("%s turns it off", async (_name, edit) => {
    await create("translate", "small");
    await edit();
    const latest = (await listAudit(ctx, "production", {})).items.find(({ revertible }) => revertible);
    await budget({ scope: { model: "claude-opus-5-5" }, ladder: [{ atPercent: 100, action: "kill" }] });
    await spend(100);
    expect(served("translate")).toMatchObject({ state: "on" });
    await revert(ctx, "production", latest?.id ?? 0, null);
    expect(served("translate")).toMatchObject(OFF);
  });
});

describe("a flag made at the moment that the budget is reached, on another server", () => {
  it("is off, whichever comes first", async () => {
    const other = await startTestServer({ database: runtime.deps.config.database, clock });
    for (let round = 0; round < ROUNDS; round += 1) {
      const key = `flag-${round}`;
      const { id } = await budget({ name: key, limitUsd: 100 * (round + 1) });
      await Promise.all([create(key), spend(100, other)]);
      expect((await getFlag(ctx, "production", key)).trips.filter((trip) => trip.budget.id === id)).toHaveLength(1);
    }
    await other.close();
  });
});
