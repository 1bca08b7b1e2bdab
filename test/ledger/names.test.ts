/** Names that nobody has defined are kept apart up to a bound; the rest is `other`, which no budget of a flag counts. */
import { beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import type { UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";
import { expectJson, expectStatus, type Harness, seed, startHarness } from "../http/harness.ts";
import { expectProblem } from "../http/problem-shape.ts";
import { makeToken } from "../support/server.ts";
import { batchOf, callFor } from "../support/usage.ts";

const PRODUCTION = "/v1/environments/production";
const usageShape = z.looseObject({
  items: z.array(z.looseObject({ flag: z.string(), model: z.string(), attempts: z.number() })),
});

const budgetsShape = z.looseObject({
  items: z.array(z.looseObject({ name: z.string(), now: z.looseObject({ spentNanoUsd: z.number() }) })),
});

let harness: Harness;
let other: string;

beforeAll(async () => {
  harness = await startHarness();
  await seed(harness);
  other = await makeToken(harness.deps, { kind: "sdk" });
  return () => harness.close();
});

const call = (fields: Partial<UsageRecord>) => callFor(0.01, { at: harness.deps.clock.nowMs(), ...fields });
const post = (records: readonly UsageRecord[], token = harness.tokens.sdk) =>
  expectStatus(harness.call("POST", "/sdk/v1/usage", { token, body: batchOf(records) }), 200);
const attempts = async (by: "flag" | "model") => {
  const { items } = await expectJson(harness.call("GET", `${PRODUCTION}/usage?groupBy=flag,model`), usageShape);
  const sums = new Map<string, number>();
  for (const row of items) sums.set(row[by], (sums.get(row[by]) ?? 0) + row.attempts);
  return sums;
};

describe("names in use that nobody has defined", () => {
  it("fold into other beyond a bound, whatever a token makes up; defined flags and priced models never do", async () => {
    const madeUp = (from: number) =>
      Array.from({ length: 900 }, (_, n) => call({ flag: `user-${from + n}`, model: `model-${from + n}` }));
    await post([call({}), ...madeUp(0)]);
    await post([...madeUp(900), call({ model: "claude-haiku-4-5" })]);
    const flags = await attempts("flag");
    const models = await attempts("model");
    expect(flags.size).toBeLessThanOrEqual(1 + 100 + 1);
    expect(models.size).toBeLessThanOrEqual(2 + 25 + 1);
    expect(flags.get("support-chat")).toBe(2);
    expect(models.get("claude-opus-5-5")).toBe(1);
    expect(models.get("claude-haiku-4-5")).toBe(1);
    for (const sums of [flags, models]) {
      expect([...sums.values()].reduce((sum, n) => sum + n, 0)).toBe(1_802);
      expect(sums.get("other")).toBeGreaterThan(1_600);
    }
  });

  it("of another token find a place all the same, and one that has its place keeps it", async () => {
    await post([call({ flag: "chat-spport" })], other);
    await post([call({ flag: "user-0" }), call({ flag: "chat-spport" })]);
    const flags = await attempts("flag");
    expect(flags.get("chat-spport")).toBe(2);
    expect(flags.get("user-0")).toBe(2);
  });

  it("are a flag's as soon as there is one of that name", async () => {
    const before = (await attempts("flag")).get("user-1700");
    await expectStatus(harness.call("POST", `${PRODUCTION}/flags`, { body: { key: "user-1700", name: "x" } }), 201);
    await post([call({ flag: "user-1700" })]);
    expect([before, (await attempts("flag")).get("user-1700")]).toEqual([undefined, 1]);
  });

  it("so counted are of no flag, and no flag may be called other", async () => {
    const problem = await expectProblem(
      harness.call("POST", `${PRODUCTION}/flags`, { body: { key: "other", name: "x" } }),
      422,
    );
    expect(problem.errors?.map(({ path }) => path)).toEqual(["key"]);
  });

  it("so counted are spent by budgets of the environment, never by one of a flag or a model", async () => {
    const budgets = `${PRODUCTION}/budgets`;
    const budget = (name: string, scope: object) =>
      harness.call("POST", budgets, { body: { name, scope, limitUsd: 1_000 } });
    const spent = async (name: string) => {
      const { items } = await expectJson(harness.call("GET", budgets), budgetsShape);
      return items.find((one) => one.name === name)?.now.spentNanoUsd;
    };
    // The model is known by now: calls are counted under it.
    for (const [name, scope] of [
      ["All", {}],
      ["Chat", { flag: "support-chat" }],
      ["Other model", { model: "other" }],
      ["Opus", { model: "claude-opus-5-5" }],
    ] as const)
      await expectStatus(budget(name, scope), 201);
    await expectProblem(budget("Other flag", { flag: "other" }), 404);
    const before = await Promise.all(["All", "Chat", "Opus"].map(spent));
    expect(await spent("Other model")).toBe(0);
    const folded = (await attempts("flag")).get("other") ?? 0;
    await post(Array.from({ length: 10 }, (_, n) => call({ flag: `late-${n}`, model: `late-model-${n}` })));
    expect((await attempts("flag")).get("other")).toBe(folded + 10);
    const after = await Promise.all(["All", "Chat", "Opus"].map(spent));
    expect(after[0]).toBeGreaterThan(before[0] ?? 0);
    expect(after.slice(1)).toEqual(before.slice(1));
    await post([call({ model: "late-model-0" })]);
    expect(await spent("Chat")).toBeGreaterThan(before[1] ?? 0);
    expect(await Promise.all(["Opus", "Other model"].map(spent))).toEqual([before[2], 0]);
  });

  it("keep the name of a deleted flag as long as a budget counts it", async () => {
    await expectStatus(harness.call("POST", `${PRODUCTION}/flags`, { body: { key: "gone", name: "Gone" } }), 201);
    const body = { name: "Gone", scope: { flag: "gone" }, limitUsd: 1_000 };
    await expectStatus(harness.call("POST", `${PRODUCTION}/budgets`, { body }), 201);
    await expectStatus(harness.call("DELETE", `${PRODUCTION}/flags/gone`), 200);
    await post([call({ flag: "gone" })]);
    const { items } = await expectJson(harness.call("GET", `${PRODUCTION}/budgets`), budgetsShape);
    expect(items.find(({ name }) => name === "Gone")?.now.spentNanoUsd).toBe(10_000_000);
  });
});
