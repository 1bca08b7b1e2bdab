/** What goes on above its limit is told again and again, once each time; what is off is not. */
import { beforeEach, describe, expect, it } from "vitest";
import type { Runtime } from "../../src/boot.ts";
import type { Ctx } from "../../src/deps.ts";
import { createBudget } from "../../src/services/budgets/budgets.ts";
import { endDueBudgets } from "../../src/services/budgets/due.ts";
import { raiseBudget } from "../../src/services/budgets/raise.ts";
import { listAlerts } from "../../src/services/alerts/alerts.ts";
import { listAudit } from "../../src/services/shared/audit.ts";
import { boardMoney } from "../../src/services/board/money.ts";
import { listBudgets } from "../../src/services/budgets/view.ts";
import { createChannel } from "../../src/services/alerts/channels.ts";
import { putChain } from "../../src/services/models/chains.ts";
import { createFlag, getFlag } from "../../src/services/flags/flags.ts";
import { listIncidents } from "../../src/services/incidents/view.ts";
import { putModel } from "../../src/services/models/blocks.ts";
import { killFlag, restoreFlag } from "../../src/services/flags/switches.ts";
import { FakeClock } from "../support/clock.ts";
import { adminCtx, startTestServer } from "../support/server.ts";
import { callFor, dailyBudget, report } from "../support/usage.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const USD = 1_000_000_000;
const KILL_AT_100 = [{ atPercent: 100, action: "kill" as const }];

let runtimes: Runtime[];
let ctx: Ctx;
let clock: FakeClock;
let environmentId: string;

async function start(servers: 1 | 2): Promise<void> {
  clock = new FakeClock(Date.parse("2026-03-02T09:00:00Z"));
  const first = await startTestServer({ clock });
  runtimes = [first];
  if (servers === 2) runtimes.push(await startTestServer({ clock, database: first.deps.config.database }));
  ctx = adminCtx(first.deps);
  environmentId = first.deps.snapshots.environmentByKey("production")?.environmentId ?? "";
  const steps = ["claude-opus-5-5", "claude-sonnet-5-5"].map((model) => ({ model }));
  await putChain(ctx, "production", "opus-first", { steps });
  await createFlag(ctx, "production", { key: "support-chat", name: "Support chat", chain: "opus-first" });
  const url = "https://hooks.slack.com/services/T000/B000/nowhere";
  await createChannel(ctx, "production", { kind: "slack", name: "on-call", url });
}

async function stop(): Promise<void> {
  for (const runtime of runtimes.toReversed()) await runtime.close();
}

const deps = (at = 0) => {
  const runtime = runtimes[at];
  if (runtime === undefined) throw new Error("no such server");
  return runtime.deps;
};
const spend = (usd: number, fields = {}) => report(deps(), [callFor(usd, { at: clock.nowMs(), ...fields })]);
const standing = async () => (await getFlag(ctx, "production", "support-chat")).standing;
const restore = () => restoreFlag(ctx, "production", "support-chat", { reason: "customers are waiting" });
const told = async () => (await listAlerts(ctx, "production", {})).items.map(({ title }) => title).toReversed();
const job = () => endDueBudgets(ctx, environmentId);

describe("a flag that is on above its limit", () => {
  beforeEach(async () => {
    await start(1);
    await createBudget(ctx, "production", dailyBudget({ limitUsd: 1, ladder: KILL_AT_100 }));
    return stop;
  });

  it("is over it since the restore, by whoever let it, and told at 150 %, 200 % and each doubling in one incident", async () => {
    await spend(1.2);
    expect(await standing()).toMatchObject({ state: "off", cause: { kind: "TRIPPED" } });
    clock.advance(20 * MINUTE_MS);
    await restore();
    expect(await standing()).toMatchObject({
      state: "over",
      since: "2026-03-02T09:20:00.000Z",
      cause: { kind: "OVERRIDE", by: ctx.actor.name, reason: "customers are waiting" },
      over: { spentNanoUsd: 1.2 * USD, limitNanoUsd: USD },
    });
    for (const more of [0.3, 0.5, 1, 1.5, 24.5]) {
      clock.advance(10 * MINUTE_MS);
      await spend(more);
    }
    const marks = ["150", "200", "400", "1600"].map((percent) => `Daily is over ${percent} % of $1.00`);
    expect(await told()).toEqual(["Daily reached 100 % of $1.00", ...marks]);
    const { items } = await listIncidents(ctx, "production");
    expect(items).toMatchObject([{ resolvedAt: null, title: "Daily is over 1600 % of $1.00" }]);
    const [alert] = (await listAlerts(ctx, "production", {})).items;
    expect(alert?.text).toMatch(
      /\$29\.00 of \$1\.00 a day\. Still on: support-chat; .* restored it over this budget at 2026-03-02 09:20 UTC: nothing stops it\.$/,
    );
  });

  it("floods nobody with alerts: it is told at most once in ten minutes; what had to wait is found without any usage", async () => {
    await spend(1);
    await restore();
    await spend(0.6);
    clock.advance(MINUTE_MS);
    await spend(3);
    await job();
    expect(await told()).toHaveLength(2);
    clock.advance(9 * MINUTE_MS);
    await job();
    await job();
    expect((await told()).slice(1)).toEqual(["Daily is over 150 % of $1.00", "Daily is over 400 % of $1.00"]);
  });

  it("is not told of while it is off, and is once it is on again", async () => {
    await spend(5);
    clock.advance(11 * MINUTE_MS);
    await job();
    expect(await told()).toEqual(["Daily reached 100 % of $1.00"]);
    await restore();
    clock.advance(MINUTE_MS);
    await job();
    expect((await told()).at(-1)).toBe("Daily is over 400 % of $1.00");
  });

  it("is not above it any more when the limit is raised, and is again when that ends", async () => {
    await spend(1);
    await restore();
    const [budget] = (await listBudgets(ctx, "production")).items;
    const until = new Date(clock.nowMs() + HOUR_MS);
    await raiseBudget(ctx, "production", budget?.id ?? "", { addUsd: 9, until, reason: "launch" });
    expect(await standing()).toMatchObject({ state: "on" });
    clock.advance(HOUR_MS);
    await job();
    expect(await standing()).toMatchObject({ state: "over", since: "2026-03-02T10:00:00.000Z" });
    clock.advance(15 * HOUR_MS);
    await job();
    expect(await standing()).toMatchObject({ state: "on", since: "2026-03-03T01:00:00.000Z" });
  });

  it("has in its story what moved it: trips, restores, the limit, blocks", async () => {
    await spend(1);
    await restore();
    await putModel(ctx, "production", "claude-opus-5-5", { blocked: true, reason: "outage", until: null });
    const { items } = await listAudit(ctx, "production", { target: { kind: "flag", key: "support-chat" } });
    expect(
      items
        .map(({ action, reason }) => [action, reason])
        .toReversed()
        .slice(1),
    ).toEqual([
      ["flag.tripped", "budget Daily reached 100 %"],
      ["flag.restored", "customers are waiting"],
      ["flag.moved", "claude-opus-5-5 was blocked: outage"],
    ]);
  });
});

describe("what it burns", () => {
  beforeEach(async () => {
    await start(1);
    await createBudget(ctx, "production", dailyBudget({ limitUsd: 1_000, scope: {} }));
    await createBudget(ctx, "production", dailyBudget({ name: "Chat", limitUsd: 1_000 }));
    return stop;
  });

  it("is one figure for the flag, its budget and the environment, young or old", async () => {
    await createFlag(ctx, "production", { key: "draft", name: "Draft" });
    await spend(2, { flag: "draft", at: clock.nowMs() - 4 * MINUTE_MS });
    for (let call = 0; call < 12; call += 1) await spend(0.5);
    clock.advance(30_000);
    const money = await boardMoney(ctx, "production");
    const [chat, daily] = ["Chat", "Daily"].map((name) => money.budgets.find((budget) => budget.name === name));
    const flag = money.flags.get("support-chat")?.burnNanoUsdPerHour ?? 0;
    expect(flag).toBe(720 * USD);
    expect(chat?.burnNanoUsdPerHour).toBe(flag);
    expect(daily?.burnNanoUsdPerHour).toBe(money.burnNanoUsdPerHour);
    expect(money.burnNanoUsdPerHour).toBe(flag + (money.flags.get("draft")?.burnNanoUsdPerHour ?? 0));
    const listed = (await listBudgets(ctx, "production")).items;
    expect(listed.map(({ now }) => now.burnNanoUsdPerHour)).toEqual([flag, money.burnNanoUsdPerHour]);
  });

  it("is nothing once it is off, for calls that ran then are told apart; and it never reaches its limit", async () => {
    await spend(10);
    clock.advance(MINUTE_MS);
    await killFlag(ctx, "production", "support-chat", { reason: null, until: null });
    clock.advance(1_000);
    await spend(4, { latencyMs: 20_000 });
    clock.advance(1_000);
    const money = await boardMoney(ctx, "production");
    const flag = money.flags.get("support-chat");
    expect(flag).toMatchObject({
      burnNanoUsdPerHour: 0,
      off: { still: [], ended: { calls: 1, nanoUsd: 4 * USD } },
    });
    expect(flag?.off?.wasNanoUsdPerHour).toBeGreaterThan(100 * USD);
    expect(money.burnNanoUsdPerHour).toBe(0);
    expect(money.budgets.map(({ limitReachedAt }) => limitReachedAt)).toEqual([null, null]);
  });

  it("of a rush that is a minute old was, once it is off, what was shown while it was on", async () => {
    for (let call = 0; call < 12; call += 1) await spend(0.5);
    clock.advance(30_000);
    const on = (await boardMoney(ctx, "production")).flags.get("support-chat");
    await killFlag(ctx, "production", "support-chat", { reason: null, until: null });
    const off = (await boardMoney(ctx, "production")).flags.get("support-chat");
    expect(off?.off?.wasNanoUsdPerHour).toBe(on?.burnNanoUsdPerHour);
    expect(off?.off?.wasNanoUsdPerHour).toBe(720 * USD);
  });

  it("is what calls cost that began since their instance applied it, and where", async () => {
    await killFlag(ctx, "production", "support-chat", { reason: null, until: null });
    const { lineage, n } = deps().snapshots.current(environmentId) ?? { lineage: "", n: 0 };
    clock.advance(1_000);
    await spend(1, { revision: `${lineage}.${n}` });
    clock.advance(1_000);
    const money = await boardMoney(ctx, "production");
    expect(money.flags.get("support-chat")).toMatchObject({ off: { still: ["host-1"] } });
    expect(money.flags.get("support-chat")?.burnNanoUsdPerHour).toBeGreaterThan(0);
    expect(money.burnNanoUsdPerHour).toBe(money.flags.get("support-chat")?.burnNanoUsdPerHour);
  });
});

it("two servers that count at once tell a mark once", async () => {
  await start(2);
  try {
    await createBudget(ctx, "production", dailyBudget({ limitUsd: 1, ladder: [] }));
    await Promise.all(
      Array.from({ length: 40 }, (_, at) => report(deps(at % 2), [callFor(0.1, { at: clock.nowMs() })])),
    );
    await Promise.all([0, 1].map((at) => endDueBudgets(adminCtx(deps(at)), environmentId)));
    clock.advance(11 * MINUTE_MS);
    await Promise.all([0, 1, 0, 1].map((at) => endDueBudgets(adminCtx(deps(at)), environmentId)));
    const titles = await told();
    expect(new Set(titles).size).toBe(titles.length);
    expect(titles.at(-1)).toBe("Daily is over 400 % of $1.00");
    const { items } = await listIncidents(ctx, "production");
    expect(items.map(({ steps }) => steps.length)).toEqual([titles.length]);
  } finally {
    await stop();
  }
});
