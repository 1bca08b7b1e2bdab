/** A model that fails on most instances is taken out for everybody, once; it is probed, and comes back by itself. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";
import { runBreakers } from "../../src/services/models/breakers.ts";
import { BREAKER } from "../../src/domain/actor.ts";
import { FakeClock } from "../support/clock.ts";
import { jsonOf } from "../support/json.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { callFor } from "../support/usage.ts";

const OPUS = "claude-opus-5-5";
const SONNET = "claude-sonnet-5-5";
const HAIKU = "claude-haiku-4-5";
const P = "/v1/environments/production";
const FAILED = { outcome: "error", status: 529, errorType: "overloaded_error" } as const;

/** What these tests read of the API's answers. */
interface Answer {
  effective: unknown;
  standing: { cause: unknown };
  items: { model?: string; action?: string; steps: { text: string }[] }[];
}

interface World {
  clock: FakeClock;
  a: TestServer;
  b: TestServer;
}
let world: World;

beforeAll(async () => {
  const clock = new FakeClock(Date.parse("2026-03-02T09:00:00Z"));
  const a = await startTestServer({ clock });
  const b = await startTestServer({ clock, database: a.deps.config.database });
  world = { clock, a, b };
  const hook = { kind: "webhook", name: "pager", url: "http://127.0.0.1:9/nowhere" };
  await ok(a.api("POST", `${P}/channels`, hook));
  await ok(a.api("PUT", `${P}/chains/main`, { steps: [{ model: OPUS }, { model: SONNET }] }));
  await ok(a.api("PUT", `${P}/chains/alone`, { steps: [{ model: OPUS }] }));
  await ok(a.api("POST", `${P}/flags`, { key: "support-chat", name: "Support chat", chain: "main" }));
  await ok(a.api("PUT", `${P}/chains/small`, { steps: [{ model: HAIKU }] }));
  await ok(a.api("POST", `${P}/flags`, { key: "titles", name: "Titles", chain: "small" }));
  await ok(a.api("POST", `${P}/flags`, { key: "deep-think", name: "Deep think", chain: "alone" }));
});
afterAll(async () => {
  await world.b.close();
  await world.a.close();
});

async function ok(call: Promise<Response>): Promise<Answer> {
  const response = await call;
  expect(response.status, await response.clone().text()).toBeLessThan(300);
  return jsonOf(response);
}

const environmentOf = ({ deps }: TestServer) => deps.snapshots.environmentByKey("production");

/** Calls of one instance, counted by one of the servers. */
async function calls(instance: string, n: number, fields: Partial<UsageRecord> = {}, server = world.a) {
  const environment = environmentOf(server);
  if (environment === undefined) throw new Error("there is a production");
  const { lineage, n: revision } = environment;
  const now = { at: world.clock.nowMs(), revision: `${lineage}.${revision}` };
  const records = Array.from({ length: n }, () => callFor(0.01, { ...now, ...fields }));
  const batch = { batchId: randomUUID(), instance, records, tokenId: "app", rejected: [] };
  await server.deps.ledger.submit(environment.environmentId, batch);
}

/** A turn of the job on both servers at once. */
async function turn() {
  await Promise.all(
    [world.a, world.b].map(({ deps }) => {
      const id = deps.snapshots.environmentByKey("production")?.environmentId ?? "";
      return runBreakers({ actor: BREAKER, requestId: deps.newId(), deps }, id);
    }),
  );
  await world.a.deps.snapshots.refresh(environmentOf(world.a)?.environmentId ?? "");
  await world.b.deps.snapshots.refresh(environmentOf(world.b)?.environmentId ?? "");
}

const out = () => environmentOf(world.b)?.snapshot.breakers ?? [];
const effective = async (flag = "support-chat") => (await ok(world.a.api("GET", `${P}/flags/${flag}`))).effective;
const incidents = async () => (await ok(world.a.api("GET", `${P}/incidents`))).items;
const model = async () => (await ok(world.a.api("GET", `${P}/models`))).items.find((one) => one.model === OPUS);
const failing = async () => {
  for (const instance of ["host-1", "host-2", "host-3"]) await calls(instance, 10, FAILED);
};
const restore = (body: object) => world.a.api("POST", `${P}/models/${OPUS}/restore`, body);
const pass = (seconds: number) => world.clock.advance(seconds * 1_000);

describe("nothing is taken out", () => {
  it.each([
    ["by one broken instance alone, however much it calls", { "host-1": 40 }, { "host-2": 1, "host-3": 1 }, FAILED],
    ["by two instances: they may share a network", { "host-1": 20, "host-2": 20 }, {}, FAILED],
    ["by 19 calls", { "host-1": 7, "host-2": 6, "host-3": 6 }, {}, FAILED],
    ["when half of the calls are answered", { "host-1": 10, "host-2": 10, "host-3": 10 }, { "host-4": 30 }, FAILED],
    [
      "by calls that we aborted",
      { "host-1": 20, "host-2": 20, "host-3": 20 },
      {},
      { outcome: "aborted", errorType: "killed" },
    ],
    ["by rate limits", { "host-1": 20, "host-2": 20, "host-3": 20 }, {}, { outcome: "error", status: 429 }],
    ["by bad requests", { "host-1": 20, "host-2": 20, "host-3": 20 }, {}, { outcome: "error", status: 400 }],
    [
      "by their own network",
      { "host-1": 20, "host-2": 20, "host-3": 20 },
      {},
      { outcome: "error", errorType: "connection_error" },
    ],
    ["by refusals of the model", { "host-1": 20, "host-2": 20, "host-3": 20 }, {}, { outcome: "refused", status: 200 }],
  ] satisfies [string, Record<string, number>, Record<string, number>, Partial<UsageRecord>][])(
    "%s",
    async (_, bad, well, how) => {
      pass(120);
      for (const [instance, n] of Object.entries(bad)) await calls(instance, n, how);
      for (const [instance, n] of Object.entries(well)) await calls(instance, n);
      await turn();
      expect(out()).toEqual([]);
      expect(await incidents()).toEqual([]);
    },
  );

  it("that no chain has another model for", async () => {
    pass(120);
    for (const instance of ["host-1", "host-2", "host-3"]) await calls(instance, 20, { ...FAILED, model: HAIKU });
    await turn();
    expect(out()).toEqual([]);
  });
});

describe("a model that fails on most instances", () => {
  beforeAll(async () => {
    pass(120);
    const spelled = { ...FAILED, model: `anthropic.${OPUS}-v1:0` };
    await calls("host-1", 8, FAILED);
    await calls("host-2", 8, FAILED, world.b);
    await calls("host-3", 8, spelled, world.b);
    await calls("host-4", 4);
    await turn();
  });

  it("is taken out once, with an incident, whichever server saw which calls", async () => {
    expect(out()).toEqual([{ model: OPUS, probeShare: 0 }]);
    expect(await effective()).toMatchObject({ state: "downgraded", model: SONNET, blocked: [OPUS] });
    const [incident, ...others] = await incidents();
    expect(others).toEqual([]);
    expect(incident).toMatchObject({ model: OPUS, resolvedAt: null, steps: [{ atPercent: 86, action: "breaker" }] });
    expect(incident?.steps[0]?.text).toBe(
      `${OPUS}: 24 of 28 calls failed on 3 of 4 instances in 60 s. Out of the chains of: support-chat. ` +
        "Still on it, for want of another model: deep-think.",
    );
    await turn();
    expect(await incidents()).toHaveLength(1);
    const { items: alerts } = await ok(world.a.api("GET", `${P}/alerts`));
    expect(alerts).toMatchObject([{ type: "incident.breaker", title: `${OPUS} is failing: its breaker took it out` }]);
  });

  it("says so, since when and why, and stays where it is the last", async () => {
    const { standing } = await ok(world.a.api("GET", `${P}/flags/support-chat`));
    const why = "24 of 28 calls failed on 3 of 4 instances in 60 s";
    expect(standing.cause).toMatchObject({ kind: "BREAKER", by: "breaker", reason: why, models: [OPUS] });
    expect(await effective("deep-think")).toMatchObject({ state: "on", model: OPUS, blocked: [] });
  });

  it("is probed by a small share of its calls after half a minute, and kept out longer when these fail", async () => {
    pass(29);
    await turn();
    expect(out()).toEqual([{ model: OPUS, probeShare: 0 }]);
    pass(1);
    await turn();
    expect(out()).toEqual([{ model: OPUS, probeShare: 0.5 }]);
    await calls("host-1", 2, FAILED);
    await turn();
    expect(out()).toEqual([{ model: OPUS, probeShare: 0 }]);
    pass(59);
    await turn();
    expect(out()).toEqual([{ model: OPUS, probeShare: 0 }]);
  });

  it("comes back by itself when its probes are answered, and closes its incident", async () => {
    const before = environmentOf(world.a);
    pass(1);
    await turn();
    expect(out()).toEqual([{ model: OPUS, probeShare: 0.5 }]);
    // What was decided before the probing began is no probe of it.
    await calls("host-1", 9, { revision: `${before?.lineage}.${before?.n}` });
    await turn();
    expect(out()).toHaveLength(1);
    await calls("host-1", 5);
    await turn();
    expect(out()).toEqual([]);
    expect(await effective()).toMatchObject({ state: "on", model: OPUS });
    expect(await incidents()).toMatchObject([{ resolvedAt: expect.any(String) }]);
    await turn();
    expect(out()).toEqual([]);
  });
});

describe("a model that on-call restores over its breaker", () => {
  it("cannot be restored while no breaker has taken it out", async () => {
    pass(120);
    await turn();
    expect((await restore({ reason: "try" })).status).toBe(409);
  });

  it("is in use while it still fails, told as such, and not taken out again before it has recovered", async () => {
    await failing();
    await turn();
    expect(await model()).toMatchObject({ blocked: false, breaker: { state: "open", failures: 30, instances: 3 } });
    const restored = await ok(restore({ reason: "only one region" }));
    expect(restored).toMatchObject({ breaker: { state: "overridden", overrideReason: "only one region" } });
    expect(await effective()).toMatchObject({ state: "on", model: OPUS });
    for (let n = 0; n < 3; n += 1) {
      pass(50);
      await failing();
      await turn();
      expect(out()).toEqual([]);
    }
    expect(await incidents()).toMatchObject([{ resolvedAt: null }, {}]);
  });

  it("is watched again once it has recovered, and its incident is closed", async () => {
    pass(61);
    await calls("host-1", 5);
    await turn();
    expect(await model()).toMatchObject({ breaker: null });
    expect(await incidents()).toMatchObject([{ resolvedAt: expect.any(String) }, {}]);
    await failing();
    await turn();
    expect(out()).toEqual([{ model: OPUS, probeShare: 0 }]);
  });

  it("stays blocked by hand, without probes, until that block is lifted", async () => {
    await ok(world.a.api("PUT", `${P}/models/${OPUS}`, { blocked: true, reason: "bad answers" }));
    pass(31);
    await turn();
    expect(environmentOf(world.b)?.snapshot.blockedModels).toEqual([OPUS]);
    expect((await ok(world.a.api("GET", `${P}/flags/support-chat`))).standing.cause).toMatchObject({ kind: "BLOCK" });
    await ok(world.a.api("PUT", `${P}/models/${OPUS}`, { blocked: false, reason: "good again" }));
    expect(out()).toEqual([{ model: OPUS, probeShare: 0.5 }]);
  });

  it("tells it all in the audit", async () => {
    const { items } = await ok(world.a.api("GET", `${P}/audit?limit=100`));
    const told = items.filter(({ action }) => action?.startsWith("breaker.")).map(({ action }) => action);
    expect(told.toReversed()).toEqual([
      ...["opened", "probing", "reopened", "probing", "closed"].map((what) => `breaker.${what}`),
      ...["opened", "overridden", "closed", "opened", "probing"].map((what) => `breaker.${what}`),
    ]);
  });

  it("is back, with its incident closed, and never taken out where breakers are turned off", async () => {
    expect(out()).toHaveLength(1);
    const { deps } = world.a;
    const id = environmentOf(world.a)?.environmentId ?? "";
    for (const breakersOff of [["production"], ["*"]]) {
      await failing();
      const off = { ...deps, config: { ...deps.config, breakersOff } };
      await runBreakers({ actor: BREAKER, requestId: deps.newId(), deps: off }, id);
      await world.b.deps.snapshots.refresh(id);
      expect(out()).toEqual([]);
      expect((await incidents()).every((one) => "resolvedAt" in one && one.resolvedAt !== null)).toBe(true);
    }
  });
});
