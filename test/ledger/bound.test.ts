/** The bound of a budget: what clients told by its trip, never less than what is spent in the end. */
import { randomUUID } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import type { Runtime } from "../../src/boot.ts";
import type { Counted, Ctx } from "../../src/deps.ts";
import { usd } from "../../src/domain/alert-text.ts";
import { NANO_PER_USD } from "../../src/domain/budget.ts";
import { createBudget, updateBudget } from "../../src/services/budgets/budgets.ts";
import { listBudgets } from "../../src/services/budgets/view.ts";
import { listIncidents } from "../../src/services/incidents/view.ts";
import { createFlag } from "../../src/services/flags/flags.ts";
import { restoreFlag } from "../../src/services/flags/switches.ts";
import { FakeClock } from "../support/clock.ts";
import { adminCtx, startTestServer } from "../support/server.ts";
import { callFor, dailyBudget } from "../support/usage.ts";

const SECOND_MS = 1_000;
const USD = NANO_PER_USD;
const FLAG = "support-chat";
const KILLS = [{ atPercent: 100, action: "kill" as const }];

let runtime: Runtime;
let ctx: Ctx;
let clock: FakeClock;

beforeEach(async () => {
  clock = new FakeClock(Date.parse("2026-03-02T09:00:20Z"));
  runtime = await startTestServer({ clock });
  ctx = adminCtx(runtime.deps);
  await createFlag(ctx, "production", { key: FLAG, name: "Support chat" });
  await createBudget(ctx, "production", dailyBudget({ limitUsd: 100, ladder: KILLS }));
  return async () => runtime.close();
});

/** A report of one process: what it spent, and what runs there. */
function tell(
  instance: string,
  given: { spentUsd?: number; running?: Record<string, number>; unanswered?: string[] },
): Promise<Counted> {
  const { spentUsd, running, ...fields } = given;
  const served = runtime.deps.snapshots.environmentByKey("production");
  if (served === undefined) throw new Error("there is no environment");
  const records = spentUsd === undefined ? [] : [callFor(spentUsd, { at: clock.nowMs() })];
  return runtime.deps.ledger.submit(served.environmentId, {
    batchId: randomUUID(),
    instance,
    boot: instance,
    tokenId: "app",
    records,
    rejected: [],
    ...(running !== undefined && {
      running: new Map(Object.entries(running).map(([flag, most]) => [flag, most * USD])),
    }),
    ...fields,
  });
}

async function shown() {
  const [budget] = (await listBudgets(ctx, "production")).items;
  if (budget === undefined) throw new Error("no budget");
  return budget;
}

const bound = async () => (await shown()).now.bound;
const creditOf = ({ credits }: Counted): number => (credits ?? []).reduce((sum, { nanoUsd }) => sum + nanoUsd, 0);

it("before a trip it is a forecast and says so: the limit, what runs anywhere, and what may begin unseen", async () => {
  const first = await tell("a", { running: { [FLAG]: 7 } });
  clock.advance(SECOND_MS);
  const second = await tell("b", { running: { [FLAG]: 5, another: 100 } });
  const credits = creditOf(first) + creditOf(second);
  expect(credits).toBeGreaterThan(0);
  expect(await bound()).toEqual({
    kind: "forecast",
    because: null,
    nanoUsd: 112 * USD + credits,
    runningNanoUsd: 12 * USD,
    startCreditsNanoUsd: credits,
    notReporting: 0,
  });
  expect((await shown()).now.overshootBoundNanoUsd).toBe(12 * USD + credits);
});

it("at the trip it is what was told by then, and what ends or begins later does not move it", async () => {
  await tell("a", { running: { [FLAG]: 40 } });
  const { credits: _granted, ...tripped } = await tell("b", { spentUsd: 130, running: { [FLAG]: 3 } });
  // Whoever reads this server's old state knows from the answer that there is a newer one.
  expect(tripped.n).toBe(runtime.deps.snapshots.environmentByKey("production")?.n);
  const atTrip = await bound();
  expect(atTrip).toMatchObject({ kind: "atTrip", notReporting: 0 });
  expect(atTrip.nanoUsd).toBeGreaterThanOrEqual(173 * USD);
  expect(atTrip.nanoUsd).toBeLessThanOrEqual(173 * USD + 0.1 * 100 * USD);
  const [incident] = (await listIncidents(ctx, "production")).items;
  expect(incident?.steps.at(-1)?.text).toContain(
    `Turned off: ${FLAG}. At most ${usd(atTrip.nanoUsd ?? 0)} in the end, by the calls that were running when it tripped.`,
  );
  await tell("a", { spentUsd: 40, running: {} });
  await tell("b", { running: { [FLAG]: 90 } });
  expect(await bound()).toMatchObject({ kind: "atTrip", nanoUsd: atTrip.nanoUsd });
});

describe("credit to begin unseen", () => {
  it("is 5 % of the limit for all processes together", async () => {
    expect(creditOf(await tell("a", { running: { [FLAG]: 0 } }))).toBe(5 * USD);
    for (const instance of ["b", "c", "d", "e"]) await tell(instance, { running: { [FLAG]: 0 } });
    clock.advance(2 * SECOND_MS);
    expect(creditOf(await tell("a", { running: { [FLAG]: 0 } }))).toBe(1 * USD);
  });

  it("is nothing near the limit, nor while what is left is spent in two seconds", async () => {
    expect(creditOf(await tell("a", { spentUsd: 98.5, running: { [FLAG]: 0 } }))).toBe(0);
  });

  it("is nothing while a burst would reach the limit before the next report", async () => {
    await tell("a", { spentUsd: 1, running: { [FLAG]: 0 } });
    clock.advance(SECOND_MS);
    expect(creditOf(await tell("a", { spentUsd: 50, running: { [FLAG]: 0 } }))).toBe(0);
  });

  it("counts in the bound though the answer that lowered it may not have arrived", async () => {
    await tell("a", { running: { [FLAG]: 0 } });
    await tell("a", { spentUsd: 98.5, running: { [FLAG]: 0 } });
    expect((await bound()).startCreditsNanoUsd).toBe(5 * USD);
    await tell("a", { running: { [FLAG]: 0 } });
    expect((await bound()).startCreditsNanoUsd).toBe(0);
  });
});

describe("it is unknown, and says for how many instances", () => {
  it("that report calls and do not tell what runs", async () => {
    await tell("old-client", { spentUsd: 1 });
    await tell("new-client", { running: { [FLAG]: 1 } });
    expect(await bound()).toMatchObject({ kind: "forecast", notReporting: 1 });
  });

  it("that had calls running and went silent", async () => {
    await tell("a", { running: { [FLAG]: 9 } });
    clock.advance(16 * SECOND_MS);
    expect(await bound()).toMatchObject({ runningNanoUsd: 9 * USD, notReporting: 1 });
    await tell("b", { spentUsd: 120, running: { [FLAG]: 0 } });
    expect(await bound()).toMatchObject({ kind: "atTrip", notReporting: 1 });
  });

  it("that began calls while no server answered, also when that is told after the trip", async () => {
    await tell("b", { spentUsd: 120, running: { [FLAG]: 0 } });
    expect(await bound()).toMatchObject({ kind: "atTrip", notReporting: 0 });
    await tell("a", { running: { [FLAG]: 9 }, unanswered: [FLAG] });
    expect(await bound()).toMatchObject({ kind: "atTrip", notReporting: 1 });
  });
});

const none = async (because: string): Promise<void> => {
  expect(await bound()).toMatchObject({ kind: "none", because, nanoUsd: null });
  expect((await shown()).now.overshootBoundNanoUsd).toBeNull();
};
const change = async (fields: Parameters<typeof updateBudget>[3]): Promise<void> => {
  await updateBudget(ctx, "production", (await shown()).id, fields);
};

describe("nothing stops", () => {
  it("a budget that tracks, one whose ladder kills nothing, a paused one", async () => {
    await change({ ladder: [{ atPercent: 80, action: "alert" }] });
    await none("noKill");
    await change({ ladder: KILLS, paused: true });
    await none("paused");
    await change({ paused: false, enforcement: "track" });
    await none("track");
  });

  it("what on-call lets run over the limit", async () => {
    await tell("a", { spentUsd: 120, running: { [FLAG]: 0 } });
    await restoreFlag(ctx, "production", FLAG, { reason: "a demo" });
    await none("overridden");
  });
});
