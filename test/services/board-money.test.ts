/** What the board shows of money: sums of the right day, one round of queries however many budgets there are. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Runtime } from "../../src/boot.ts";
import type { Ctx } from "../../src/deps.ts";
import { type BoardMoney, boardMoney } from "../../src/services/board/money.ts";
import { createBudget } from "../../src/services/budgets/budgets.ts";
import { killMaster, restoreMaster } from "../../src/services/flags/master.ts";
import { createFlag } from "../../src/services/flags/flags.ts";
import { FakeClock } from "../support/clock.ts";
import { adminCtx, startTestServer } from "../support/server.ts";
import { callFor, dailyBudget, report } from "../support/usage.ts";

const USD = 1_000_000_000;
const MINUTE_MS = 60_000;
/** 00:10 in Berlin. */
const START_MS = Date.parse("2026-11-20T23:10:00Z");

let runtime: Runtime;
let ctx: Ctx;
let clock: FakeClock;
let spend: (usd: number, flag: string, atMs: number) => Promise<unknown>;

beforeAll(async () => {
  clock = new FakeClock(START_MS);
  runtime = await startTestServer({ clock });
  ctx = adminCtx(runtime.deps);
  for (const key of ["support-chat", "draft-reply"]) await createFlag(ctx, "production", { key, name: key });
  spend = (usd, flag, at) => report(runtime.deps, [callFor(usd, { flag, at })]);
});
afterAll(async () => {
  await runtime.close();
});

/** Past the second for which an answer is kept. */
async function fresh() {
  clock.advance(1_000);
  return boardMoney(ctx, "production");
}

describe("the money of a board", () => {
  it("is empty before the first call, and today is UTC's without a budget", async () => {
    const money = await fresh();
    expect([...money.flags]).toEqual([]);
    expect(money).toMatchObject({ timezone: "UTC", todayNanoUsd: 0, burnNanoUsdPerHour: 0, budgets: [] });
  });

  it("counts a call of before midnight in the hour, not in the day of the budgets' zone", async () => {
    await createBudget(ctx, "production", dailyBudget({ timezone: "Europe/Berlin", limitUsd: 10 }));
    await spend(2, "support-chat", START_MS - 20 * MINUTE_MS);
    await spend(3, "support-chat", START_MS);
    await spend(1, "draft-reply", START_MS);
    const money = await fresh();
    expect(money.timezone).toBe("Europe/Berlin");
    expect(money.todayNanoUsd).toBe(4 * USD);
    const chat = money.flags.get("support-chat");
    expect(chat?.todayNanoUsd).toBe(3 * USD);
    expect(chat?.minutesNanoUsd.reduce((sum, one) => sum + one, 0)).toBe(5 * USD);
    // Of the last five minutes, which began with a whole one.
    const perHour = 3_600 / 302;
    expect((chat?.burnNanoUsdPerHour ?? 0) / USD).toBeCloseTo(3 * perHour, 6);
    expect(money.burnNanoUsdPerHour / USD).toBeCloseTo(4 * perHour, 6);
    const [budget] = money.budgets;
    expect(budget).toMatchObject({ spentNanoUsd: 3 * USD, limitNanoUsd: 10 * USD });
    expect(budget?.burnNanoUsdPerHour).toBe(chat?.burnNanoUsdPerHour);
    const leftMs = Date.parse(budget?.limitReachedAt ?? "") - clock.nowMs();
    expect(leftMs / 1_000).toBeCloseTo((7 / 3) * 302, 1);
  });

  it("is gathered once a second, however many boards ask", async () => {
    const [first, second] = await Promise.all([fresh(), boardMoney(ctx, "production")]);
    expect(second).toBe(first);
    await spend(1, "draft-reply", clock.nowMs());
    expect(await boardMoney(ctx, "production")).toBe(first);
    expect((await fresh()).todayNanoUsd).toBe(5 * USD);
  });

  it("under a dark master switch names of no flag burn nothing either, but what began since; the sum is of what is shown", async () => {
    clock.advance(10 * MINUTE_MS);
    const snapshot = () => runtime.deps.snapshots.environmentByKey("production");
    await spend(4, "suport-chat", clock.nowMs() - MINUTE_MS);
    await spend(2, "support-chat", clock.nowMs() - MINUTE_MS);
    const before = await fresh();
    expect(before.undefinedBurn).toEqual({ burnNanoUsdPerHour: expect.any(Number), still: null });
    expect(before.undefinedBurn.burnNanoUsdPerHour).toBeGreaterThan(0);
    expect(before.burnNanoUsdPerHour).toBe(sumOf(before));

    const decidedBefore = snapshot()?.revision ?? "";
    await killMaster(ctx, "production", { reason: "leak", until: null });
    const call = (fields: object) => callFor(1, { flag: "suport-chat", at: clock.nowMs(), ...fields });
    await report(runtime.deps, [call({ revision: decidedBefore })]);
    const dark = await fresh();
    expect(dark.undefinedBurn).toEqual({ burnNanoUsdPerHour: 0, still: [] });
    expect(dark).toMatchObject({ burnNanoUsdPerHour: 0, todayNanoUsd: before.todayNanoUsd + USD });

    await report(runtime.deps, [call({ revision: snapshot()?.revision ?? "" })]);
    const still = await fresh();
    expect(still.undefinedBurn.still).toEqual(["host-1"]);
    expect(still.undefinedBurn.burnNanoUsdPerHour).toBeGreaterThan(0);
    expect(still.burnNanoUsdPerHour).toBe(sumOf(still));
    await restoreMaster(ctx, "production", { reason: "mended" });
    expect((await fresh()).undefinedBurn.still).toBeNull();
  });

  it("asks as many queries for twenty budgets as for one", async () => {
    const before = await queriesOf(() => fresh());
    for (let n = 0; n < 20; n += 1) {
      await createBudget(ctx, "production", dailyBudget({ name: `Budget ${n}`, limitUsd: 1_000 }));
    }
    expect(await queriesOf(() => fresh())).toBe(before);
  });
});

function sumOf({ flags, undefinedBurn }: BoardMoney): number {
  return [...flags.values()].reduce((sum, flag) => sum + flag.burnNanoUsdPerHour, undefinedBurn.burnNanoUsdPerHour);
}

/** How many selects a piece of work makes. */
async function queriesOf(work: () => Promise<unknown>): Promise<number> {
  let queries = 0;
  const { db } = runtime.deps;
  const counted = new Proxy(db, {
    get(target, name, receiver) {
      if (name === "select" || name === "execute") queries += 1;
      return Reflect.get(target, name, receiver) as unknown;
    },
  });
  runtime.deps.db = counted;
  try {
    await work();
  } finally {
    runtime.deps.db = db;
  }
  return queries;
}
