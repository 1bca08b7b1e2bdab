/** A batch stands alone: whatever one token reports, the usage of others is counted, and no sum is clipped or overflows. */
import { randomUUID } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { sql } from "drizzle-orm";
import { beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import type { UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";
import { expectJson, expectStatus, type Harness, seed, startHarness } from "../http/harness.ts";
import { makeToken } from "../support/server.ts";
import { batchOf, callFor, dailyBudget } from "../support/usage.ts";

const PRODUCTION = "/v1/environments/production";
const NOTHING = { input: 0, output: 0, cacheWrite5m: 0, cacheWrite1h: 0, cacheRead: 0, webSearches: 0 };
/** The most that a record may say: the sum of a million calls. */
const HUGE = { input: 1e9, output: 1e9, cacheWrite5m: 1e9, cacheWrite1h: 1e9, cacheRead: 1e9, webSearches: 0 };

const answerShape = z.looseObject({
  accepted: z.number(),
  rejected: z.array(z.object({ index: z.number(), path: z.string(), message: z.string() })),
});
const total = z.union([z.number(), z.string()]);
const usageShape = z.looseObject({
  items: z.array(z.looseObject({ flag: z.string(), model: z.string(), attempts: z.number(), costNanoUsd: total })),
});
const budgetsShape = z.looseObject({
  items: z.array(z.looseObject({ name: z.string(), now: z.looseObject({ spentNanoUsd: total }) })),
});

let harness: Harness;
let other: string;

beforeAll(async () => {
  harness = await startHarness();
  await seed(harness);
  await expectStatus(harness.call("POST", `${PRODUCTION}/flags`, { body: { key: "innocent", name: "x" } }), 201);
  await expectStatus(
    harness.call("POST", `${PRODUCTION}/budgets`, {
      body: dailyBudget({ name: "All", scope: {}, period: "month", enforcement: "track", limitUsd: 1_000 }),
    }),
    201,
  );
  other = await makeToken(harness.deps, { kind: "sdk" });
  return () => harness.close();
});

const nowMs = () => harness.deps.clock.nowMs();
const call = (fields: Partial<UsageRecord> = {}) => callFor(0.01, { at: nowMs(), ...fields });
const post = (records: readonly UsageRecord[], token = harness.tokens.sdk) =>
  harness.call("POST", "/sdk/v1/usage", { token, body: batchOf(records) });
const many = () => Array.from({ length: 1_000 }, () => call({ count: 1e6, usage: NOTHING }));
const usage = async () =>
  (await expectJson(harness.call("GET", `${PRODUCTION}/usage?groupBy=flag,model`), usageShape)).items;
const attemptsOf = async (flag: string) =>
  (await usage()).filter((row) => row.flag === flag).reduce((sum, row) => sum + row.attempts, 0);

describe("a batch stands alone", () => {
  it("when the database refuses one: the others of its transaction are counted, and it is told, to be divided", async () => {
    const { db } = harness.deps;
    await db.execute(sql`alter table usage_recent add constraint no_poison check (session_id <> 'poison')`);
    const before = await attemptsOf("innocent");
    const [first, poisoned, ...rest] = await Promise.all([
      post([call({ flag: "innocent" })], other),
      post([call(), call({ session: "poison" })]),
      ...Array.from({ length: 20 }, () => post([call({ flag: "innocent" })], other)),
    ]);
    await db.execute(sql`alter table usage_recent drop constraint no_poison`);
    expect(poisoned.status).toBe(422);
    for (const { status } of [first, ...rest]) expect(status).toBe(200);
    expect(await attemptsOf("innocent")).toBe(before + 21);
  });

  it("when sums of millions of calls pass what 32 bits hold, in one transaction or over many", async () => {
    for (let n = 0; n < 3; n += 1) {
      const answers = await Promise.all([post(many()), post([call({ flag: "innocent" })], other), post(many())]);
      for (const { status } of answers) expect(status).toBe(200);
    }
    expect(await attemptsOf("support-chat")).toBeGreaterThanOrEqual(6e9);
  });

  it("when money passes what 64 bits hold: it is the exact sum, as text, and a budget's window goes on", async () => {
    const model = "claude-opus-4-1";
    const huge = () => post(Array.from({ length: 1_000 }, () => call({ count: 1e6, model, usage: HUGE })));
    const costUsd = 15_000 + 75_000 + 18_750 + 30_000 + 1_500;
    const rounds = 70;
    for (let n = 0; n < rounds; n += 10) {
      const answers = await Promise.all([
        ...Array.from({ length: 10 }, huge),
        post([call({ flag: "innocent" })], other),
      ]);
      for (const { status } of answers) expect(status).toBe(200);
    }
    const expected = BigInt(costUsd) * BigInt(rounds * 1_000) * 1_000_000_000n;
    expect(expected).toBeGreaterThan(2n ** 63n);
    const row = (await usage()).find((one) => one.model === model);
    expect(row?.costNanoUsd).toBe(String(expected));
    const { items } = await expectJson(harness.call("GET", `${PRODUCTION}/budgets`), budgetsShape);
    const all = items.find(({ name }) => name === "All");
    expect(BigInt(all?.now.spentNanoUsd ?? 0)).toBeGreaterThan(expected);
    const budget = dailyBudget({ name: "Later", scope: {}, period: "month", enforcement: "track", limitUsd: 500 });
    await expectStatus(harness.call("POST", `${PRODUCTION}/budgets`, { body: budget }), 201);
    await expectStatus(post([call({ flag: "innocent" })], other), 200);
  });

  it("when a token floods the server: it is told to wait, and others are counted meanwhile and after", async () => {
    const { db } = harness.deps;
    const environmentId = harness.deps.snapshots.environmentByKey("production")?.environmentId ?? "";
    const checks = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`check-${n}`, { on: 1, off: 0 }]));
    const released = new EventEmitter();
    // Nothing can be counted while somebody sums up for a budget.
    const locked = new EventEmitter();
    const isLocked = once(locked, "now");
    const blocking = db.transaction(async (tx) => {
      await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`budgets:${environmentId}`}, 0))`);
      locked.emit("now");
      await once(released, "now");
    });
    await isLocked;
    const flood = Array.from({ length: 250 }, () => {
      const body = JSON.stringify({ ...batchOf([]), checks });
      const headers = { "content-length": String(body.length) };
      return harness.call("POST", "/sdk/v1/usage", { token: harness.tokens.sdk, body, headers });
    });
    const refused = await Promise.race(flood.map((answer) => answer.then((one) => ({ one }))));
    const calm = post([call({ flag: "innocent" })], other);
    released.emit("now");
    await blocking;
    expect(refused.one.status).toBe(429);
    expect(refused.one.headers.get("retry-after")).toBe("1");
    await expectStatus(calm, 200);
    const statuses = (await Promise.all(flood)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(150);
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(0);
    await expectStatus(post([call()]), 200);
  });
});

describe("a record", () => {
  it.each([
    ["10 million tokens of a class", { usage: { ...NOTHING, output: 10_000_001 } }, "usage.output"],
    ["so many for each call of a sum", { count: 3, usage: { ...NOTHING, cacheRead: 30_000_001 } }, "usage.cacheRead"],
  ])("of more than %s is rejected alone", async (_what, fields, path) => {
    const answer = await expectJson(post([call(), call(fields), call()]), answerShape);
    expect(answer).toMatchObject({ accepted: 2, rejected: [{ index: 1, path }] });
    const within = { count: 3, usage: { ...NOTHING, cacheRead: 30_000_000 } };
    expect(await expectJson(post([call(within)]), answerShape)).toMatchObject({ accepted: 1, rejected: [] });
  });

  it("of more than 1,000 USD a call is rejected alone, also when the batch is sent again", async () => {
    const usdPerMillion = { input: 900, output: 900, cacheWrite5m: 900, cacheWrite1h: 900, cacheRead: 900 };
    await expectStatus(
      harness.call("PUT", "/v1/prices/dear-model/2024-01-01", {
        body: { usdPerMillion, usPremium: false, reason: "x" },
      }),
      200,
    );
    const dear = { model: "dear-model", usage: { ...NOTHING, input: 2_000_000 } };
    const records = [call({ usage: { ...NOTHING, input: -1 } }), call(), call(dear), call({ ...dear, count: 2 })];
    const batch = batchOf(records, randomUUID());
    const send = () => harness.call("POST", "/sdk/v1/usage", { token: harness.tokens.sdk, body: batch });
    const first = await expectJson(send(), answerShape);
    expect(first).toMatchObject({ accepted: 2, duplicate: false });
    expect(first.rejected.map(({ index, path }) => [index, path])).toEqual([
      [0, "usage.input"],
      [2, "usage"],
    ]);
    expect(await expectJson(send(), answerShape)).toEqual({ ...first, duplicate: true });
  });
});

describe("a record that counts once", () => {
  it("counts once in whichever batches it comes, also at the same time and twice in one; others count each time", async () => {
    const key = "read-twice";
    await expectStatus(harness.call("POST", `${PRODUCTION}/flags`, { body: { key, name: "x" } }), 201);
    const result = (id: string) => call({ id, flag: key, once: true, batch: true });
    const results = [result("msgbatch_1:a:0"), result("msgbatch_1:b:0"), call({ id: "c", flag: key })];
    const readings = [results, results, [...results, result("msgbatch_1:a:0"), result("msgbatch_1:d:0")]];
    await Promise.all(readings.map((records, n) => expectStatus(post(records, n === 0 ? other : undefined), 200)));
    expect(await attemptsOf(key)).toBe(3 + 3);
  });
});
