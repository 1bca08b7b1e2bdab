/** What the operator API answers is what its documentation says: each field, nothing more and nothing less. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { drills } from "../../src/db/schema/drills.ts";
import { schemaFaults } from "../support/schema-faults.ts";
import { batchOf, callFor } from "../support/usage.ts";
import { expectJson, expectStatus, type Harness, seed, startHarness } from "./harness.ts";
import { isOperatorApi, ROUTES, routesWhere } from "./route-table.ts";

const ENV = "/v1/environments/production";
const idShape = z.looseObject({ id: z.string() });
const documentShape = z.looseObject({
  paths: z.record(z.string(), z.record(z.string(), z.looseObject({ responses: z.record(z.string(), z.unknown()) }))),
  components: z.looseObject({ schemas: z.record(z.string(), z.unknown()) }),
});
const contentShape = z.looseObject({ content: z.record(z.string(), z.looseObject({ schema: z.unknown() })) });

const DRILL_ID = "drill-1";
let harness: Harness;
let document: z.infer<typeof documentShape>;
let budgetId: string;
let reserveBudgetId: string;
let channelId: string;
let triggerId: string;

/** A world in which no list is empty and every kind of state occurs: killed, downgraded, tripped, raised, blocked. */
beforeAll(async () => {
  harness = await startHarness();
  await seed(harness);
  document = await expectJson(harness.call("GET", "/openapi.json", { token: null }), documentShape);
  const post = (path: string, body: unknown) => harness.call("POST", `${ENV}${path}`, { body });
  const until = new Date(Date.now() + 3_600_000).toISOString();
  const rules = [{ name: "staff", when: [{ attribute: "plan", operator: "in", value: ["free"] }], then: "off" }];
  await expectStatus(post("/flags", { key: "translate", name: "Translate", chain: "opus-first", rules }), 201);
  await expectStatus(post("/flags", { key: "plain", name: "Plain" }), 201);
  await expectStatus(post("/flags/plain/kill", { reason: "burning", until }), 200);
  await expectStatus(post("/flags/translate/downgrade", { reason: "dear", level: 1, until }), 200);
  const channel = { kind: "webhook", name: "pager", url: "http://127.0.0.1:9/hook" };
  channelId = (await expectJson(post("/channels", channel), idShape, 201)).id;
  const trigger = { name: "pager", source: "generic", action: "kill", flags: ["support-chat"] };
  triggerId = (await expectJson(post("/triggers", trigger), idShape, 201)).id;
  const budget = { name: "Daily", scope: { flag: "support-chat" }, limitUsd: 100 };
  budgetId = (await expectJson(post("/budgets", budget), idShape, 201)).id;
  const sdk = { token: harness.tokens.sdk };
  const reserve = { ...budget, name: "Reserved", scope: { flag: "translate" }, enforcement: "reserve" };
  reserveBudgetId = (await expectJson(post("/budgets", reserve), idShape, 201)).id;
  const wants = [{ budgetId: reserveBudgetId, nanoUsd: 1_000_000, sinceMs: Date.now() }];
  const leases = { requestId: "r-1", instance: "host-1", wants, leases: [] };
  await expectStatus(harness.call("POST", "/sdk/v1/leases", { ...sdk, body: leases }), 200);
  const records = [callFor(200, { user: "u-1", session: "s-1" }), callFor(1, { outcome: "error", status: 529 })];
  const usage = {
    ...batchOf(records),
    checks: { "support-chat": { on: 3, off: 1 }, "suport-chat": { on: 1, off: 0 } },
    messageBatches: [{ id: "msgbatch_1", flag: "support-chat", state: "running", at: Date.now(), requests: 2 }],
  };
  await expectStatus(harness.call("POST", "/sdk/v1/usage", { ...sdk, body: usage }), 200);
  const raised = await expectStatus(post(`/budgets/${budgetId}/raise`, { addUsd: 10, until, reason: "launch" }), 200);
  await expectDocumented("POST /v1/environments/:env/budgets/:id/raise", raised);
  const model = { blocked: true, reason: "outage", until };
  await expectStatus(harness.call("PUT", `${ENV}/models/claude-haiku-4-5`, { body: model }), 200);
  const poll = { ...sdk, headers: { "andon-instance": "host-1", "andon-app": "shop", "andon-sdk": "test/1" } };
  await expectStatus(harness.call("GET", "/sdk/v1/snapshot", poll), 200);
  await harness.deps.instances.flush();
  const at = new Date(harness.deps.clock.nowMs());
  await harness.deps.db.insert(drills).values({
    id: DRILL_ID,
    environmentId: harness.deps.snapshots.environmentByKey("production")?.environmentId ?? "",
    flag: "support-chat",
    state: "proven",
    by: "Ada",
    scheduled: false,
    startedAt: at,
    endsAt: at,
    finishedAt: at,
    applied: 1,
    live: 1,
    lastMs: 12,
    missing: [],
  });
});
afterAll(() => harness.close());

/** The schema of an answer by its route's pattern and status. */
function schemaOf(name: string, status: number): unknown {
  const [method = "", pattern = ""] = name.split(" ");
  const operation = document.paths[pattern.replaceAll(/:(\w+)/g, "{$1}")]?.[method.toLowerCase()];
  return contentShape.parse(operation?.responses[String(status)]).content["application/json"]?.schema;
}

async function expectDocumented(name: string, response: Response): Promise<void> {
  const answer: unknown = JSON.parse(await response.text());
  const faults = schemaFaults(answer, schemaOf(name, response.status), document.components.schemas);
  expect({ name, status: response.status, faults }).toEqual({ name, status: response.status, faults: [] });
}

const known = (path: string) =>
  path
    .replace("budgets/unknown/leases", `budgets/${reserveBudgetId}/leases`)
    .replace("budgets/unknown", `budgets/${budgetId}`)
    .replace("drills/unknown", `drills/${DRILL_ID}`)
    .replace("triggers/unknown", `triggers/${triggerId}`);

describe("every read", () => {
  it.each(routesWhere((entry) => isOperatorApi(entry)).filter(({ method }) => method === "GET"))(
    "$name answers as documented",
    async ({ name, entry }) => {
      const response = await expectStatus(harness.call("GET", known(entry.path)), 200);
      const body: unknown = await response.clone().json();
      // An empty list would prove nothing of its items.
      expect(body).not.toMatchObject({ items: [] });
      await expectDocumented(name, response);
    },
  );

  it.each(["flag", "model", "user", "session"])("of usage by %s does too", async (groupBy) => {
    const query = `?groupBy=${groupBy}&bucket=hour`;
    const response = await expectStatus(harness.call("GET", `${ENV}/usage${query}`), 200);
    await expectDocumented("GET /v1/environments/:env/usage", response);
  });

  it("of a flag in each state does too", async () => {
    for (const key of ["support-chat", "translate", "plain"]) {
      const response = await expectStatus(harness.call("GET", `${ENV}/flags/${key}`), 200);
      await expectDocumented("GET /v1/environments/:env/flags/:key", response);
    }
  });
});

describe("every change that can be made here", () => {
  const CHANGES = [
    ...["flags/:key/kill", "flags/:key/downgrade", "flags/:key/restore", "kill", "restore", "flags"].map(
      (path) => `POST /v1/environments/:env/${path}`,
    ),
    "PATCH /v1/environments/:env/flags/:key",
    "PUT /v1/environments/:env/chains/:name",
    "PUT /v1/environments/:env/models/:id",
    "DELETE /v1/environments/:env/flags/:key",
    "DELETE /v1/environments/:env/chains/:name",
    "POST /v1/environments/:env/budgets",
    "PATCH /v1/environments/:env/budgets/:id",
    "DELETE /v1/environments/:env/budgets/:id",
    "POST /v1/environments/:env/channels",
    "PATCH /v1/environments/:env/channels/:id",
    "POST /v1/environments/:env/channels/:id/test",
    "DELETE /v1/environments/:env/channels/:id",
    "POST /v1/environments",
    "POST /v1/tokens",
    "PUT /v1/prices/:model/:validFrom",
  ];
  it.each(CHANGES)("%s answers as documented", async (name) => {
    const entry = ROUTES[name];
    if (entry === undefined) throw new Error(`${name} is not a route`);
    const path = known(entry.path).replace("channels/unknown", `channels/${channelId}`);
    const response = await harness.call(name.slice(0, name.indexOf(" ")), path, { body: entry.body });
    expect({ status: response.status, ok: response.ok }).toEqual({ status: response.status, ok: true });
    await expectDocumented(name, response);
  });

  it("an acknowledged incident and a taken back change do too", async () => {
    const items = z.looseObject({ items: z.array(z.looseObject({ id: z.string().or(z.number()) })) });
    const [incident] = (await expectJson(harness.call("GET", `${ENV}/incidents`), items)).items;
    const acknowledge = `${ENV}/incidents/${incident?.id ?? ""}/acknowledge`;
    const name = "POST /v1/environments/:env/incidents/:id/acknowledge";
    await expectDocumented(name, await expectStatus(harness.call("POST", acknowledge), 200));
    const killed = z.looseObject({ auditId: z.number() });
    const kill = harness.call("POST", `${ENV}/kill`, { body: { reason: "by mistake" } });
    const revert = `${ENV}/audit/${(await expectJson(kill, killed)).auditId}/revert`;
    const reverted = await expectStatus(harness.call("POST", revert, { body: {} }), 200);
    await expectDocumented("POST /v1/environments/:env/audit/:id/revert", reverted);
  });
});
