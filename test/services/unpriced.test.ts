/** Models without a price: on-call is told once, of what is new, and no more when each has a price. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";
import { outbox } from "../../src/db/schema/incidents.ts";
import { PRICING } from "../../src/domain/actor.ts";
import { tellUnpriced } from "../../src/services/models/unpriced.ts";
import { listIncidents } from "../../src/services/incidents/view.ts";
import { alertsOf } from "../support/alerts.ts";
import { FakeClock } from "../support/clock.ts";
import { jsonOf } from "../support/json.ts";
import { adminCtx, startTestServer, type TestServer } from "../support/server.ts";
import { callFor, report } from "../support/usage.ts";

const P = "/v1/environments/production";
const RATES = { input: 1, output: 8, cacheWrite5m: 1.25, cacheWrite1h: 2, cacheRead: 0.1 };
const clock = new FakeClock(Date.parse("2026-11-20T12:00:00Z"));
let a: TestServer;
let b: TestServer;

beforeAll(async () => {
  a = await startTestServer({ clock });
  b = await startTestServer({ clock, database: a.deps.config.database });
  for (const name of ["pager", "chat"]) {
    const hook = { kind: "webhook", name, url: `http://127.0.0.1:9/${name}` };
    expect((await a.api("POST", `${P}/channels`, hook)).status).toBe(201);
  }
});
afterAll(async () => {
  await b.close();
  await a.close();
});

async function calls(model: string, n: number, fields: Partial<UsageRecord> = {}) {
  const one = { model, requestedModel: model, at: clock.nowMs(), ...fields };
  await report(
    a.deps,
    Array.from({ length: n }, () => callFor(1, one)),
  );
}

/** The job's turn on both servers at once. */
async function turn() {
  const id = a.deps.snapshots.environmentByKey("production")?.environmentId ?? "";
  await Promise.all([a, b].map(({ deps }) => tellUnpriced({ actor: PRICING, requestId: deps.newId(), deps }, id)));
}

const incidents = async () => (await listIncidents(adminCtx(a.deps), "production")).items;
const texts = async () => [...new Set((await alertsOf(a.deps)).map(({ text }) => text))];
const put = async (model: string, more: object = {}) => {
  const body = { usdPerMillion: RATES, reason: "published", ...more };
  expect((await a.api("PUT", `/v1/prices/${model}`, body)).status).toBe(200);
};

it("calls of priced models tell nobody", async () => {
  await calls("claude-opus-5-5", 3);
  await turn();
  expect(await incidents()).toEqual([]);
});

it("a model without a price opens one incident, with one alert a channel and the calls that it priced, whoever notices", async () => {
  await calls("gpt-9", 12);
  await turn();
  await turn();
  expect(await incidents()).toMatchObject([
    {
      title: "gpt-9 has no price: its calls count at the dearest rate",
      unpriced: ["gpt-9"],
      resolvedAt: null,
      steps: [{ action: "unpriced", text: expect.stringContaining("12 calls of gpt-9 ($45.00)") }],
      alerts: { waiting: 2 },
    },
  ]);
  expect(await texts()).toEqual([
    "Without a price, and so counted at the dearest rate: 12 calls of gpt-9 ($45.00). Add a price: it counts from then on; what was counted is not priced anew.",
  ]);
});

it("the alert leads to the form of its price", async () => {
  const rows = await a.deps.db.select({ payload: outbox.payload }).from(outbox);
  expect(rows[0]?.payload).toMatchObject({
    type: "incident.unpriced",
    url: expect.stringMatching(/\/e\/production\/prices\?model=gpt-9#price$/),
    models: [{ model: "gpt-9", fast: false, calls: 12, nanoUsd: 45_000_000_000 }],
  });
});

it("further models are told of together, ten minutes later at the earliest", async () => {
  for (let n = 10; n < 25; n += 1) await calls(`gpt-${n}`, 1);
  await turn();
  expect(await texts()).toHaveLength(1);
  clock.advance(10 * 60_000);
  await turn();
  await turn();
  expect(await texts()).toHaveLength(2);
  expect(await incidents()).toMatchObject([{ title: expect.stringMatching(/^16 models have no price/) }]);
  expect((await texts())[1]).toMatch(/ and those of 5 more models\./);
});

it("a fast mode without a price is told as that, and not of a model whose price came after its calls", async () => {
  clock.advance(10 * 60_000);
  await put("gpt-10");
  await calls("claude-opus-4-7", 2, { fast: true });
  await turn();
  expect((await texts())[2]).toContain("dearest rate: 2 calls of the fast mode of claude-opus-4-7. Add a price");
});

it("the incident closes when each has a price, or is called no more for a day", async () => {
  await put("gpt-9");
  expect((await incidents())[0]?.resolvedAt).toBeNull();
  clock.advance(24 * 3_600_000 + 60_000);
  await turn();
  expect((await incidents())[0]?.resolvedAt).not.toBeNull();
  await calls("gpt-30", 1);
  await turn();
  expect(await incidents()).toHaveLength(2);
  await put("gpt-30");
  expect((await incidents()).map(({ resolvedAt }) => resolvedAt === null)).toEqual([false, false]);
  const audit = await jsonOf<{ items: { action: string; target: { key: string } }[] }>(
    await a.api("GET", `${P}/audit`),
  );
  expect(audit.items.filter(({ action }) => action === "price.missing").map(({ target }) => target.key)).toContain(
    "gpt-30",
  );
});
