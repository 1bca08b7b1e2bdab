/** Hours that are rolled up answer as their minutes do, to the last digit, whatever is asked. */
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sql } from "drizzle-orm";
import type { Runtime } from "../../src/boot.ts";
import { returnedRows } from "../../src/db/returned-rows.ts";
import { MONTH_GRAIN, monthOf, DAY_MS, GRAINS, piecesOf } from "../../src/domain/rollups.ts";
import { listBudgets } from "../../src/services/budgets/view.ts";
import { createBudget } from "../../src/services/budgets/budgets.ts";
import { createFlag } from "../../src/services/flags/flags.ts";
import { rolledSpan, rollNext } from "../../src/services/usage/rollups.ts";
import type { UsageQuery } from "../../src/api/usage.ts";
import { getUsage } from "../../src/services/usage/view.ts";
import { FakeClock } from "../support/clock.ts";
import { adminCtx, startTestServer } from "../support/server.ts";
import { callFor, dailyBudget, report } from "../support/usage.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** In these days clocks go back in Berlin, and forward on Lord Howe by half an hour before. */
const START_MS = Date.parse("2026-10-22T00:00:00Z");
const DAYS = 6;

let clock: FakeClock;
let runtime: Runtime;
let environmentId: string;

beforeAll(async () => {
  clock = new FakeClock(START_MS);
  runtime = await startTestServer({ clock });
  const ctx = adminCtx(runtime.deps);
  for (const key of ["support-chat", "draft-reply"]) await createFlag(ctx, "production", { key, name: key });
  environmentId = runtime.deps.snapshots.environmentByKey("production")?.environmentId ?? "";
  // The wall clock only: no timer falls due in six days of this.
  for (let hour = 0; hour < DAYS * 24; hour += 7) {
    clock.jump(START_MS + hour * 60 * MINUTE_MS - clock.nowMs());
    await report(
      runtime.deps,
      Array.from({ length: 60 }, (_, n) =>
        callFor((n % 5) / 100, {
          at: clock.nowMs() - n * 7 * MINUTE_MS,
          flag: n % 3 === 0 ? "draft-reply" : "support-chat",
          model: n % 2 === 0 ? "claude-opus-5-5" : "claude-haiku-4-5",
          latencyMs: n * 100,
          ...(n % 4 > 0 && { stopReason: n % 4 === 1 ? "max_tokens" : "end_turn" }),
        }),
      ),
    );
  }
});
afterAll(() => runtime.close());

const ask = (query: UsageQuery) => getUsage(adminCtx(runtime.deps), "production", query);
/** How often there was something to roll up. */
const rollAll = async () => {
  let turns = 0;
  while (await rollNext(runtime.deps, environmentId)) turns += 1;
  return turns;
};
const at = (text: string) => new Date(text);
/** Begins and ends with a quarter of an hour, so that no minute of a rolled-up day is needed. */
const isWhole = ({ from, to }: UsageQuery) =>
  [from, to].every((moment) => moment !== undefined && moment.getTime() % (15 * MINUTE_MS) === 0);

const QUESTIONS: UsageQuery[] = [
  { from: at("2026-10-22T00:00:00Z"), to: at("2026-10-28T00:00:00Z") },
  { from: at("2026-10-22T07:13:00Z"), to: at("2026-10-27T19:52:00Z"), groupBy: ["flag", "model"] },
  { from: at("2026-10-23T05:00:30Z"), to: at("2026-10-23T23:59:00Z"), groupBy: ["model"], bucket: "hour" },
  ...["UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York"].flatMap(
    (timezone): UsageQuery[] => [
      { from: at("2026-10-22T00:00:00Z"), to: at("2026-10-28T00:00:00Z"), bucket: "day", timezone, groupBy: ["flag"] },
      {
        from: at("2026-10-22T11:15:00Z"),
        to: at("2026-10-27T00:00:00Z"),
        bucket: "hour",
        timezone,
        model: "claude-opus-5-5",
      },
    ],
  ),
];

describe("hours that are rolled up", () => {
  it("answer every question as their minutes do, and a budget counts the same from them", async () => {
    const before = await Promise.all(QUESTIONS.map(ask));
    expect(before[0]?.items[0]?.calls).toBeGreaterThan(500);
    // The first records reach into the day before; what is less than a day and an hour old can still change.
    expect(await rollAll()).toBe(DAYS);
    const rolled = await rolledSpan(runtime.deps.db, environmentId);
    expect(rolled).toEqual({ fromMs: START_MS - DAY_MS, untilMs: clock.nowMs() - 25 * HOUR_MS });
    expect(await Promise.all(QUESTIONS.map(ask))).toEqual(before);
    const { db } = runtime.deps;
    const rolledUp = sql`minute < (select until_at from usage_rolled)`;
    // What is asked of the hours that are rolled up does not read their minutes: without them the answers are the same.
    await db.execute(sql`create table kept as select * from usage_minutes where ${rolledUp}`);
    await db.execute(sql`delete from usage_minutes where ${rolledUp}`);
    for (const [index, question] of QUESTIONS.entries()) {
      if (isWhole(question)) expect(await ask(question)).toEqual(before[index]);
    }
    await db.execute(sql`insert into usage_minutes select * from kept`);
    const ctx = adminCtx(runtime.deps);
    await createBudget(
      ctx,
      "production",
      dailyBudget({ scope: { model: "claude-opus-5-5" }, period: "month", limitUsd: 9_000 }),
    );
    const month = { from: at("2026-10-01T00:00:00Z"), to: at("2026-11-01T00:00:00Z"), model: "claude-opus-5-5" };
    const { items } = await listBudgets(ctx, "production");
    expect(items[0]?.now.spentNanoUsd).toBe((await ask(month)).items[0]?.costNanoUsd);
  });

  it("are taken back by a record that counts in one of them, and rolled up anew with it", async () => {
    const question = { from: at("2026-10-22T00:00:00Z"), to: at("2026-10-28T00:00:00Z") };
    const callsOf = async () => (await ask(question)).items[0]?.calls ?? 0;
    const before = await callsOf();
    // As when a clock that was days ahead has been set right.
    clock.jump(-4 * DAY_MS);
    await report(runtime.deps, [callFor(1, { at: clock.nowMs() })]);
    clock.jump(4 * DAY_MS);
    expect(await callsOf()).toBe(before + 1);
    const untilMs = (await rolledSpan(runtime.deps.db, environmentId))?.untilMs;
    expect(untilMs).toBeLessThan(clock.nowMs() - 4 * DAY_MS);
    expect(await rollAll()).toBeGreaterThan(0);
    expect(await callsOf()).toBe(before + 1);
    const [rows] = returnedRows(
      await runtime.deps.db.execute(sql`
      select (select (sum(ended), sum(cut), max(largest_tokens)) from usage_rollups where grain = 3600) =
          (select (sum(ended), sum(cut), max(largest_tokens)) from usage_minutes
            where minute < (select until_at from usage_rolled))
        and (select sum(calls) from usage_rollups where grain = 86400) =
          (select sum(calls) from usage_minutes where minute < (select date_trunc('day', until_at, 'UTC') from usage_rolled))
        and (select sum(calls) from usage_rollups where grain = 3600) =
          (select sum(calls) from usage_minutes where minute < (select until_at from usage_rolled)) as same`),
    );
    expect(rows?.["same"]).toBe(true);
  });

  it("are one at a time where a day has more minutes than one statement sums in time", async () => {
    const { db } = runtime.deps;
    const dayMs = START_MS + 7 * DAY_MS;
    clock.jump(dayMs + 3 * DAY_MS - clock.nowMs());
    await report(runtime.deps, [callFor(1, { at: clock.nowMs() })]);
    await rollAll();
    await db.execute(sql`update usage_rolled set until_at = ${new Date(dayMs).toISOString()}::timestamptz`);
    await db.execute(sql`
      insert into usage_minutes (environment_id, minute, flag, model, calls, attempts, input, exact_nano_usd, latency)
      select ${environmentId}, minute, 'feature-' || n, 'claude-opus-5-5', n, n, n * 7, n * 1000, array_fill(1::bigint, array[24])
      from generate_series(${new Date(dayMs).toISOString()}::timestamptz, ${new Date(dayMs + DAY_MS - MINUTE_MS).toISOString()}::timestamptz,
        interval '1 minute') as minute, generate_series(1, 36) as n`);
    const questions: UsageQuery[] = [
      { from: new Date(dayMs), to: new Date(dayMs + DAY_MS), groupBy: ["flag"] },
      { from: new Date(dayMs + 90 * MINUTE_MS), to: new Date(dayMs + DAY_MS), bucket: "hour" },
    ];
    const before = await Promise.all(questions.map(ask));
    expect(before[0]?.items).toHaveLength(36);
    // An hour of it, the rest, and what of the day after it is over for good.
    expect(await rollAll()).toBe(3);
    expect(await Promise.all(questions.map(ask))).toEqual(before);
  });

  it("tile a span with its minutes, coarsest in the middle", () => {
    const ms = fc.integer({ min: 0, max: 40 * 1_440 }).map((minute) => minute * MINUTE_MS);
    const span = fc.tuple(ms, ms).map(([a, b]) => ({ fromMs: Math.min(a, b), untilMs: Math.max(a, b) }));
    const hours = fc
      .tuple(fc.nat(40 * 24), fc.nat(40 * 24))
      .map(([a, b]) => ({ fromMs: Math.floor(Math.min(a, b) / 24) * DAY_MS, untilMs: Math.max(a, b) * HOUR_MS }));
    const grains = fc.constantFrom(GRAINS, [3_600, 900] as const, [900] as const, [] as const);
    fc.assert(
      fc.property(span, fc.option(hours), grains, (asked, rolled, allowed) => {
        let nextMs = asked.fromMs;
        for (const piece of piecesOf(asked, rolled, allowed)) {
          expect(piece.fromMs).toBe(nextMs);
          nextMs = piece.untilMs;
          if (piece.grain === null) continue;
          for (const edge of [piece.fromMs, piece.untilMs]) {
            expect(piece.grain === MONTH_GRAIN ? edge - monthOf(edge) : edge % (piece.grain * 1_000)).toBe(0);
          }
          expect(piece.fromMs).toBeGreaterThanOrEqual(rolled?.fromMs ?? Number.POSITIVE_INFINITY);
          expect(piece.untilMs).toBeLessThanOrEqual(rolled?.untilMs ?? 0);
        }
        expect(nextMs).toBe(asked.untilMs);
      }),
    );
  });
});
