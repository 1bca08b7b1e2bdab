/** A model has many spellings: blocks, levels, chains and snapshots take them for one, wherever they are asked. */
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { z } from "zod";
import { expectJson, expectStatus, type Harness, seed, startHarness } from "./harness.ts";
import { callFor, dailyBudget, report } from "../support/usage.ts";
import { expectProblem } from "./problem-shape.ts";

const ENV = "/v1/environments/production";
const DATED = "claude-opus-5-5-20261001";
const VENDOR = "us.anthropic.claude-opus-5-5-v1:0";

const flagShape = z.looseObject({
  level: z.looseObject({ level: z.number() }),
  effective: z.looseObject({ state: z.string(), model: z.string().nullable(), step: z.number().nullable() }),
  chainOnly: z.boolean(),
});
const snapshotShape = z.looseObject({
  blockedModels: z.array(z.string()),
  flags: z.record(z.string(), z.looseObject({ level: z.number(), chainOnly: z.boolean() })),
});
const modelsShape = z.looseObject({ items: z.array(z.looseObject({ model: z.string(), blocked: z.boolean() })) });

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
  await seed(harness);
});
afterAll(() => harness.close());

const ok = (method: string, path: string, body: unknown) =>
  expectStatus(harness.call(method, `${ENV}${path}`, { body }), 200);
const putChain = (...models: string[]) =>
  ok("PUT", "/chains/opus-first", { steps: models.map((model) => ({ model })) });
const block = (model: string, blocked: boolean) => ok("PUT", `/models/${model}`, { blocked, reason: "Outage" });
const flag = () => expectJson(harness.call("GET", `${ENV}/flags/support-chat`), flagShape);
const snapshot = () =>
  expectJson(harness.call("GET", "/sdk/v1/snapshot", { token: harness.tokens.sdk }), snapshotShape);

beforeEach(async () => {
  await putChain("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5");
});

it("a block holds for every spelling, says so for each, and is lifted by any", async () => {
  await putChain(DATED, "claude-sonnet-5-5");
  await block(VENDOR, true);
  expect((await flag()).effective).toMatchObject({ state: "downgraded", step: 1, model: "claude-sonnet-5-5" });
  const { items } = await expectJson(harness.call("GET", `${ENV}/models`), modelsShape);
  expect(items.filter(({ blocked }) => blocked).map(({ model }) => model)).toEqual([DATED, VENDOR]);
  await block("claude-opus-5-5", true);
  expect((await snapshot()).blockedModels).toEqual([VENDOR]);
  await block(DATED, false);
  expect((await snapshot()).blockedModels).toEqual([]);
  expect((await flag()).effective).toMatchObject({ state: "on", step: 0, model: DATED });
});

it("a level stays with its model when the chain spells it otherwise, and is set by any spelling", async () => {
  await ok("POST", "/flags/support-chat/downgrade", { model: "anthropic.claude-sonnet-5-5-v1:0", reason: "Cost" });
  await putChain("claude-fable-5-1", "claude-opus-5-5", "claude-sonnet-5-5-20260901", "claude-haiku-4-5");
  expect((await flag()).level.level).toBe(2);
  expect((await snapshot()).flags["support-chat"]?.level).toBe(2);
  await ok("POST", "/flags/support-chat/restore", { reason: "Over" });
});

it("a chain has no model twice, in whatever spelling", async () => {
  const steps = ["claude-opus-5-5", "claude-sonnet-5-5", VENDOR].map((model) => ({ model }));
  const refused = await harness.call("PUT", `${ENV}/chains/twice`, { body: { steps } });
  const { errors } = await expectProblem(refused, 422);
  expect(errors).toMatchObject([{ path: "steps.2.model" }]);
});

it("a mapped name is its model for a chain, a level, a budget and a question about usage", async () => {
  const profile = "application-inference-profile/abc123";
  await ok("PUT", "/aliases", { aliases: { [profile]: "claude-sonnet-5-5" } });
  const steps = ["claude-sonnet-5-5", profile].map((model) => ({ model }));
  const refused = await harness.call("PUT", `${ENV}/chains/twice`, { body: { steps } });
  expect((await expectProblem(refused, 422)).errors).toMatchObject([{ path: "steps.1.model" }]);

  await ok("POST", "/flags/support-chat/downgrade", { model: profile, reason: "Cost" });
  expect((await flag()).effective).toMatchObject({ step: 1, model: "claude-sonnet-5-5" });
  await ok("POST", "/flags/support-chat/restore", { reason: "Over" });

  const call = callFor(1, { model: "claude-sonnet-5-5", flag: "mapped" });
  await report(harness.deps, [call]);
  const usage = await expectJson(
    harness.call("GET", `${ENV}/usage?model=${encodeURIComponent(profile)}`),
    z.looseObject({ items: z.array(z.looseObject({ attempts: z.number() })) }),
  );
  expect(usage.items).toMatchObject([{ attempts: 1 }]);
  const budget = await expectStatus(
    harness.call("POST", `${ENV}/budgets`, { body: dailyBudget({ scope: { model: profile } }) }),
    201,
  );
  const counted = z.looseObject({ now: z.looseObject({ spentNanoUsd: z.number() }) });
  const spent = counted.parse(await budget.json()).now.spentNanoUsd;
  expect(spent).toBeGreaterThan(0);
  await report(harness.deps, [{ ...call, id: "again", model: profile }]);
  const list = await expectJson(harness.call("GET", `${ENV}/budgets`), z.looseObject({ items: z.array(counted) }));
  expect(list.items.map(({ now }) => now.spentNanoUsd)).toEqual([2 * spent]);
  await ok("PUT", "/aliases", { aliases: {} });
});

it("a flag is held to its chain by an edit, in the snapshot too, and an undo lets go", async () => {
  const edited = await expectJson(
    harness.call("PATCH", `${ENV}/flags/support-chat`, { body: { chainOnly: true } }),
    flagShape,
  );
  expect(edited.chainOnly).toBe(true);
  expect((await snapshot()).flags["support-chat"]?.chainOnly).toBe(true);
  const audit = await expectJson(
    harness.call("GET", `${ENV}/audit?kind=flag&key=support-chat&limit=1`),
    z.looseObject({ items: z.array(z.looseObject({ id: z.number(), action: z.string() })) }),
  );
  expect(audit.items[0]?.action).toBe("flag.edited");
  await expectStatus(harness.call("POST", `${ENV}/audit/${String(audit.items[0]?.id)}/revert`, { body: {} }), 200);
  expect((await flag()).chainOnly).toBe(false);
});
