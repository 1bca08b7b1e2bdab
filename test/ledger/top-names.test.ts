/**
 * Who used most: however many users there are, what is told of each is no more than it used, and no less than that less what
 * is said to be left out; with the rest it is the ledger's sum. Two servers, late records, and hours cut while they run.
 */
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { returnedRows } from "../../src/db/returned-rows.ts";
import { DAY_GRAIN, HOUR_GRAIN, MONTH_GRAIN } from "../../src/domain/rollups.ts";
import { explore } from "../../src/services/usage/explore.ts";
import { rollNext } from "../../src/services/usage/rollups.ts";
import { foldStaged } from "../../src/services/usage/staged-sums.ts";
import { cutHours, rollTops } from "../../src/services/usage/top-spans.ts";
import { getUsage } from "../../src/services/usage/view.ts";
import { FakeClock } from "../support/clock.ts";
import { freshDatabase } from "../support/database.ts";
import { adminCtx, startTestServer, type TestServer } from "../support/server.ts";
import { callFor, report } from "../support/usage.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const START_MS = Date.parse("2026-11-29T00:00:00Z");
const USERS = 400;
/** A thousand and its bounds, made small. */
const SMALL = { names: 20, parts: 2, openRows: 150, openNames: 40 };
const FLAGS = ["support-chat", "draft-reply", "search", "summarize"];

const clock = new FakeClock(START_MS);
let servers: TestServer[];
let environmentId: string;
/** Nano-USD by user, and by hour and user. */
const truth = new Map<string, bigint>();
const ofHours = new Map<number, Map<string, bigint>>();

beforeAll(async () => {
  const database = await freshDatabase("postgres");
  servers = [await startTestServer({ clock, database }), await startTestServer({ clock, database })];
  environmentId = one().deps.snapshots.environmentByKey("production")?.environmentId ?? "";
});
afterAll(() => Promise.all(servers.map((server) => server.close())));

function one(): TestServer {
  const [server] = servers;
  if (server === undefined) throw new Error("no server was started");
  return server;
}

/** Calls of one hour: a few users spend most, many a little, and each more now than then. */
async function spend(server: TestServer, hour: number, calls: number): Promise<void> {
  const atMs = START_MS + hour * HOUR_MS;
  const records = Array.from({ length: calls }, (_, n) => {
    const user = `user-${(n * 7 + hour * 13) % USERS}`;
    const weight = (Number(user.slice(5)) % 40) + (n % 3) + 1;
    return callFor(weight / 1_000, { at: atMs + n, user, flag: FLAGS[(n + hour) % 4] ?? "", exact: n % 4 !== 0 });
  });
  for (const { user = "", usage } of records) {
    const cost = BigInt(usage.output) * 20_000n;
    truth.set(user, (truth.get(user) ?? 0n) + cost);
    const own = ofHours.get(hour) ?? new Map<string, bigint>();
    ofHours.set(hour, own.set(user, (own.get(user) ?? 0n) + cost));
  }
  await report(server.deps, records);
}

const explored = (by: "user" | "session" = "user", more: object = {}) =>
  explore(adminCtx(one().deps), "production", {
    from: new Date(START_MS - DAY_MS),
    to: new Date(START_MS + 4 * DAY_MS),
    bucket: "day",
    timezone: "UTC",
    by,
    ...more,
  });

/** Throws when anything is told that is not so. Returns what is said to be left out. */
async function expectTrue(when: string): Promise<bigint> {
  const { parts, rest, total, leftOutNanoUsd } = await explored();
  const told = new Map(parts.map(({ name, costNanoUsd }) => [name, costNanoUsd]));
  const all = [...truth.values()].reduce((sum, cost) => sum + cost, 0n);
  expect(total.costNanoUsd, when).toBe(all);
  expect(
    [...told.values()].reduce((sum, cost) => sum + cost, rest?.costNanoUsd ?? 0n),
    when,
  ).toBe(all);
  const faults = Array.from(truth).filter(([user, used]) => {
    const own = told.get(user) ?? 0n;
    return own > used || used > own + (leftOutNanoUsd ?? 0n);
  });
  expect(faults, when).toEqual([]);
  return leftOutNanoUsd ?? 0n;
}

async function rowsOf(grain: number, by = "user"): Promise<{ start: string; names: number; rows: number }[]> {
  const rows = await one().deps.db.execute(sql`
    select start::text, count(distinct name)::int as names, count(*)::int as rows from usage_top_names
    where grain = ${grain}::int and "by" = ${by} group by 1 order by 1`);
  return returnedRows(rows).map((row) => ({
    start: String(row["start"]),
    names: Number(row["names"]),
    rows: Number(row["rows"]),
  }));
}

describe("who used most", () => {
  it("is told as soon as it is counted, and is the ledger's sum with the rest before and after it is added up by two servers", async () => {
    for (let hour = 0; hour < 6; hour += 1) {
      clock.jump(START_MS + hour * HOUR_MS + 30 * 60_000 - clock.nowMs());
      await Promise.all(servers.map((server) => spend(server, hour, 90)));
    }
    expect(await expectTrue("staged")).toBe(0n);
    const folds = await Promise.all([0, 1, 2, 3].map(async (n) => foldStaged((servers[n % 2] ?? one()).deps)));
    expect(folds.every((more) => !more)).toBe(true);
    expect(await expectTrue("added up")).toBe(0n);
    expect((await rowsOf(HOUR_GRAIN)).length).toBe(6);
  });

  it("are, of an hour that is over, exactly those that cost most of all who called in it", async () => {
    const before = await explored();
    await cutHours(one().deps, { ...SMALL, openRows: 1_000 });
    const hours = await rowsOf(HOUR_GRAIN);
    // The sixth still runs.
    expect(hours.slice(0, 5).map(({ names }) => names)).toEqual([20, 20, 20, 20, 20]);
    expect(hours.slice(0, 5).every(({ rows }) => rows <= 20 * (SMALL.parts + 1))).toBe(true);
    for (let hour = 0; hour < 5; hour += 1) {
      const own = [...(ofHours.get(hour) ?? new Map<string, bigint>())];
      const dearest = own.toSorted(([a, x], [b, y]) => (x === y ? (a < b ? -1 : 1) : x > y ? -1 : 1)).slice(0, 20);
      const { parts } = await explored("user", {
        from: new Date(START_MS + hour * HOUR_MS),
        to: new Date(START_MS + (hour + 1) * HOUR_MS),
      });
      const told = parts.map(({ name, costNanoUsd }) => [name, costNanoUsd] as const);
      expect(new Map(told)).toEqual(new Map(dearest));
    }
    expect(await expectTrue("cut")).toBeGreaterThan(0n);
    expect((await explored()).total).toEqual(before.total);
  });

  it("stays within its bounds and true with more users in an hour than are kept while it runs, and with late records", async () => {
    for (let hour = 6; hour < 9; hour += 1) {
      clock.jump(START_MS + hour * HOUR_MS + 30 * 60_000 - clock.nowMs());
      for (let n = 0; n < 4; n += 1) {
        await spend(one(), hour, 120 + n);
        await foldStaged(one().deps);
        await cutHours(one().deps, SMALL);
        expect((await rowsOf(HOUR_GRAIN)).every(({ rows }) => rows <= SMALL.openRows)).toBe(true);
        await expectTrue(`hour ${hour}, ${n}`);
      }
    }
    // Clients that were cut off report what they did hours ago.
    for (const late of [1, 3, 7]) await spend(one(), late, 60);
    await expectTrue("late, staged");
    await foldStaged(one().deps);
    await expectTrue("late");
    clock.jump(2 * HOUR_MS);
    await cutHours(one().deps, SMALL);
    expect((await rowsOf(HOUR_GRAIN)).every(({ names }) => names <= SMALL.names)).toBe(true);
    await expectTrue("late, cut");
  });

  it("stays true by the day and the month, which are cut too", async () => {
    clock.jump(START_MS + 3 * DAY_MS + 2 * HOUR_MS - clock.nowMs());
    await spend(one(), 71, 30);
    while (await rollNext(one().deps, environmentId));
    expect((await rowsOf(DAY_GRAIN)).map(({ start }) => start.slice(0, 10))).toContain("2026-11-29");
    expect((await rowsOf(MONTH_GRAIN)).map(({ start }) => start.slice(0, 10))).toEqual(["2026-11-01"]);
    const byDays = await expectTrue("rolled up");
    await one().deps.db.transaction(async (tx) => {
      const day = { fromMs: START_MS, untilMs: START_MS + DAY_MS };
      await rollTops(tx, environmentId, {
        grain: DAY_GRAIN,
        of: HOUR_GRAIN,
        span: day,
        bounds: { ...SMALL, names: 12 },
      });
      const month = { fromMs: Date.parse("2026-11-01T00:00:00Z"), untilMs: Date.parse("2026-12-01T00:00:00Z") };
      await rollTops(tx, environmentId, {
        grain: MONTH_GRAIN,
        of: DAY_GRAIN,
        span: month,
        bounds: { ...SMALL, names: 8 },
      });
    });
    expect((await rowsOf(MONTH_GRAIN)).map(({ names }) => names)).toEqual([8]);
    expect(await expectTrue("cut by the day and the month")).toBeGreaterThan(byDays);
  });

  it("of one flag is told apart, and what is not adds up to that flag's sum", async () => {
    const { parts, rest, total, leftOutNanoUsd } = await explored("user", { flag: "search" });
    expect(parts.length).toBeGreaterThan(3);
    expect(parts.reduce((sum, { costNanoUsd }) => sum + costNanoUsd, rest?.costNanoUsd ?? 0n)).toBe(total.costNanoUsd);
    expect(leftOutNanoUsd).toBe(rest?.costNanoUsd);
  });

  it("comes from the API with the rest of each bucket and flag, which add up to the ledger's rows", async () => {
    const span = { from: new Date(START_MS), to: new Date(START_MS + 3 * DAY_MS), bucket: "day" as const };
    const ctx = adminCtx(one().deps);
    const ledger = await getUsage(ctx, "production", { ...span, groupBy: ["flag"] });
    const named = await getUsage(ctx, "production", { ...span, groupBy: ["flag", "user"] });
    expect([ledger.source, named.source]).toEqual(["ledger", "topNames"]);
    for (const { at, flag, costNanoUsd, attempts } of ledger.items) {
      const own = [...named.items, ...(named.rest ?? [])].filter((row) => row.at === at && row.flag === flag);
      expect(own.reduce((sum, row) => sum + BigInt(row.costNanoUsd), 0n)).toBe(BigInt(costNanoUsd));
      expect(own.reduce((sum, row) => sum + row.attempts, 0)).toBe(attempts);
    }
  });

  it("gives up telling names apart rather than keep more than it can, and says that all of it is left out", async () => {
    const before = await expectTrue("before");
    await spend(one(), 71, 50);
    await foldStaged(one().deps, 10);
    expect(await expectTrue("given up")).toBeGreaterThan(before);
  });
});
