/** Names that nobody has: a slip is refused with the name that was meant, a new name can be confirmed, and nothing is silent. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { batchOf, callFor } from "../support/usage.ts";
import { expectJson, expectStatus, type Harness, seed, startHarness } from "./harness.ts";
import { expectProblem } from "./problem-shape.ts";

const ENV = "/v1/environments/production";
const PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3";
const warned = z.looseObject({ warnings: z.array(z.string()) });

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
  await seed(harness);
});
afterAll(() => harness.close());

const call = (method: string, path: string, body?: unknown) =>
  harness.call(method, `${ENV}${path}`, body === undefined ? {} : { body });
const putChain = (name: string, models: string[], more = {}) =>
  call("PUT", `/chains/${name}`, { steps: models.map((model) => ({ model })), ...more });
const putAliases = (aliases: Record<string, string>, more = {}) => call("PUT", "/aliases", { aliases, ...more });
const block = (model: string, more = {}) =>
  call("PUT", `/models/${model}`, { blocked: true, reason: "Outage", ...more });

it.each([
  [
    "a step of a chain",
    "steps.1.model",
    (more: object) => putChain("slip", ["claude-opus-5-5", "claude-sonet-5-5"], more),
  ],
  ["a block", "model", (more: object) => block("claude-sonet-5-5", more)],
  ["a mapping", `aliases.${PROFILE}`, (more: object) => putAliases({ [PROFILE]: "claude-sonet-5-5" }, more)],
])(
  "a slip in %s is refused with the model that was meant, and taken when it is confirmed",
  async (_what, path, send) => {
    const { errors = [] } = await expectProblem(send({}), 422);
    const message = expect.stringMatching(/did you mean "claude-sonnet-5-5"\? If it is new, send "newModel": true\.$/);
    expect(errors).toEqual([{ path, message, confirm: "newModel" }]);
    expect((await send({ newModel: true })).ok).toBe(true);
    // What was confirmed once is known from then on, or undone here.
    await putAliases({});
    await call("DELETE", "/chains/slip");
  },
);

it("a name like no other is taken, and said to be unknown to all", async () => {
  const chain = await expectJson(putChain("own", ["house-model-xl"]), warned, 201);
  expect(chain.warnings).toEqual([expect.stringContaining('"house-model-xl"')]);
  expect((await expectJson(block("quite-another-thing"), warned)).warnings).toHaveLength(1);
  expect((await expectJson(block("claude-haiku-4-5"), warned)).warnings).toEqual([]);
  await call("DELETE", "/chains/own");
});

it("a chain says when it is defined what its models cannot take", async () => {
  const chain = await expectJson(putChain("own", ["claude-opus-5-5", "claude-haiku-4-5"]), warned, 201);
  expect(chain.warnings).toEqual([expect.stringMatching(/^Step 2, claude-haiku-4-5, refuses .*200,000 tokens/)]);
  await call("DELETE", "/chains/own");
});

it("lifting a block asks nothing", async () => {
  await block("claude-opus-5-9", { newModel: true });
  await expectStatus(call("PUT", "/models/claude-opus-5-9", { blocked: false, reason: "Over" }), 200);
});

it("a flag and a chain that are not there are answered with those that may be meant", async () => {
  const { detail } = await expectProblem(call("POST", "/flags/suport-chat/kill", { reason: "Cost" }), 404);
  expect(detail).toContain('did you mean "support-chat"?');
  const { errors = [] } = await expectProblem(call("PATCH", "/flags/support-chat", { chain: "opus-frist" }), 422);
  expect(errors[0]?.message).toContain('did you mean "opus-first"?');
  expect((await expectProblem(call("GET", "/flags/nothing-like-it"), 404)).detail).not.toContain("did you mean");
});

it("mapped names travel with the snapshot, and a mapping that maps nothing is refused", async () => {
  await expectStatus(putAliases({ [PROFILE]: "claude-opus-5-5", "prod-chat": "claude-haiku-4-5" }), 200);
  const snapshot = await harness.call("GET", "/sdk/v1/snapshot", { token: harness.tokens.sdk });
  expect(await snapshot.json()).toMatchObject({
    aliases: { [PROFILE]: "claude-opus-5-5", "prod-chat": "claude-haiku-4-5" },
  });
  await expectProblem(putAliases({ "prod-chat": "another-deployment" }), 422);
  await expectProblem(putAliases({ "claude-haiku-4-5": "claude-opus-5-5" }), 422);
  await expectProblem(putAliases({ "prod-chat": "claude-haiku-4-5", "Prod-Chat": "claude-opus-5-5" }), 422);
  const kept = await expectJson(call("GET", "/aliases"), z.looseObject({ aliases: z.record(z.string(), z.string()) }));
  expect(Object.keys(kept.aliases)).toEqual([PROFILE, "prod-chat"]);
});

it("calls by a mapped name cost what its model costs, and count in that model's budget", async () => {
  await expectStatus(putAliases({ "prod-chat": "claude-opus-5-5" }), 200);
  const budget = { name: "Opus", scope: { model: "claude-opus-5-5" }, limitUsd: 100 };
  await expectStatus(call("POST", "/budgets", budget), 201);
  const record = callFor(2, { at: Date.now(), model: "Prod-Chat", requestedModel: "Prod-Chat" });
  await expectStatus(
    harness.call("POST", "/sdk/v1/usage", { token: harness.tokens.sdk, body: batchOf([record]) }),
    200,
  );
  const { items } = await expectJson(
    call("GET", "/budgets"),
    z.looseObject({ items: z.array(z.looseObject({ name: z.string() })) }),
  );
  expect(items).toMatchObject([{ name: "Opus", now: { spentNanoUsd: 2_000_000_000 } }]);
});

it("a block of a mapped name's model steps chains that name it past it", async () => {
  await expectStatus(putAliases({ "prod-chat": "claude-fable-5-1" }), 200);
  await expectStatus(putChain("by-name", ["prod-chat", "claude-sonnet-5-5"]), 201);
  await expectStatus(call("POST", "/flags", { key: "mapped", name: "Mapped", chain: "by-name" }), 201);
  await expectStatus(block("claude-fable-5-1"), 200);
  const flag = await expectJson(call("GET", "/flags/mapped"), z.looseObject({ effective: z.looseObject({}) }));
  expect(flag.effective).toMatchObject({ state: "downgraded", step: 1, blocked: ["prod-chat"] });
});
