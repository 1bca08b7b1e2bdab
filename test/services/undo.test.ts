/** Undo takes back one change and never a kill that somebody else relies on. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { expiryJob } from "../../src/jobs/expiry.ts";
import { expectJson, expectStatus, type Harness, seed, startHarness } from "../http/harness.ts";
import { expectProblem } from "../http/problem-shape.ts";
import { FakeClock } from "../support/clock.ts";

const ENV = "/v1/environments/production";
const FLAG = `${ENV}/flags/support-chat`;

const killed = z.looseObject({ auditId: z.number().nullable() });
const flagShape = z.looseObject({ switch: z.looseObject({ state: z.string(), ramp: z.number().nullable() }) });
const audited = z.object({ items: z.array(z.looseObject({ action: z.string(), reason: z.string().nullable() })) });
const secretShape = z.looseObject({ secret: z.string() });

let harness: Harness;
let alice = "";
let bob = "";
let alert = "";
const clock = new FakeClock();

beforeAll(async () => {
  harness = await startHarness({ clock });
  await seed(harness);
  const token = async (body: object) =>
    (await expectJson(harness.call("POST", "/v1/tokens", { body }), secretShape, 201)).secret;
  alice = await token({ kind: "op", role: "operator", name: "alice" });
  bob = await token({ kind: "op", role: "operator", name: "bob" });
  alert = await token({ kind: "kill", name: "alert", environments: ["production"] });
});
afterAll(() => harness.close());
beforeEach(async () => {
  for (const path of [FLAG, ENV]) await restore(path, {});
  await restore(FLAG, {});
});

const restore = (path: string, more: object) =>
  expectStatus(harness.call("POST", `${path}/restore`, { body: { reason: "again", ...more } }), 200);
const kill = (path: string, token: string, reason: string, more: object = {}) =>
  expectJson(harness.call("POST", `${path}/kill`, { token, body: { reason, ...more } }), killed);
const undo = (auditId: number | null) =>
  harness.call("POST", `${ENV}/audit/${String(auditId)}/revert`, { token: alice, body: {} });
const flag = async () => (await expectJson(harness.call("GET", FLAG), flagShape)).switch;

describe.each([
  ["flag", FLAG],
  ["master", ENV],
])("undo of a kill of the %s", (_what, path) => {
  it("does not lift the kill of somebody else that came after a restore", async () => {
    const first = await kill(path, alice, "mine");
    await restore(path, {});
    clock.advance(1_000);
    await kill(path, bob, "his");
    await expectProblem(undo(first.auditId), 409);
  });

  it.each([
    ["a person with another reason", () => bob, "a leak"],
    ["a person with the same reason", () => bob, "mine"],
    ["an alert with a kill token", () => alert, "error rate"],
  ])("does not lift it when %s has pulled the cord meanwhile", async (_who, token, reason) => {
    const first = await kill(path, alice, "mine");
    await kill(path, token(), reason);
    await expectProblem(undo(first.auditId), 409);
    const { items } = await expectJson(harness.call("GET", `${ENV}/audit?limit=1`), audited);
    expect(items[0]).toMatchObject({ action: expect.stringMatching(/killed$/), reason });
  });

  it("lifts it after a double click of the same person", async () => {
    const first = await kill(path, alice, "mine");
    await kill(path, alice, "mine");
    await expectStatus(undo(first.auditId), 200);
  });
});

describe("a kill that ends by itself", () => {
  it("comes back at the ramp that was there before, whoever killed", async () => {
    await kill(FLAG, alice, "x");
    await restore(FLAG, { ramp: 10 });
    const until = new Date(clock.nowMs() + 60_000).toISOString();
    await kill(FLAG, alert, "error rate", { until });
    expect(await flag()).toMatchObject({ state: "off", ramp: null });
    clock.advance(60_000);
    await expiryJob.run(harness.deps);
    expect(await flag()).toMatchObject({ state: "on", ramp: 10 });
  });

  it("does not end in a year that the database cannot hold", async () => {
    const body = { reason: "x", until: "9999-12-31T23:59:59-14:00" };
    await expectProblem(harness.call("POST", `${FLAG}/kill`, { body }), 422);
  });
});

describe("undo of a kill by tag", () => {
  const switchedTag = z.object({
    items: z.array(z.looseObject({ auditId: z.number().nullable() })),
    revision: z.string(),
  });
  const both = [FLAG, `${ENV}/flags/ticket-triage`];
  const states = () =>
    Promise.all(both.map(async (path) => (await expectJson(harness.call("GET", path), flagShape)).switch.state));
  const undoAll = (ids: readonly (number | null)[]) =>
    harness.call("POST", `${ENV}/audit/revert`, { token: alice, body: { ids } });
  const killBoth = async () => {
    const body = { reason: "leak" };
    const path = `${ENV}/tags/team-support/kill`;
    const { items, revision } = await expectJson(harness.call("POST", path, { token: alice, body }), switchedTag);
    expect(await states()).toEqual(["off", "off"]);
    return { ids: items.map(({ auditId }) => auditId), revision };
  };

  it("takes all of it back in one change, or none when one of them was killed by somebody else since", async () => {
    const body = { key: "ticket-triage", name: "Ticket triage", tags: ["team-support"] };
    await expectStatus(harness.call("POST", `${ENV}/flags`, { body }), 201);
    const first = await killBoth();
    const n = Number(first.revision.split(".").at(-1));
    const undone = await expectJson(undoAll(first.ids), z.looseObject({ revision: z.string() }));
    expect(undone.revision.split(".").at(-1)).toBe(String(n + 1));
    expect(await states()).toEqual(["on", "on"]);
    const second = await killBoth();
    await kill(both[1] ?? "", bob, "I rely on it");
    await expectProblem(undoAll(second.ids), 409);
    expect(await states()).toEqual(["off", "off"]);
    await expectProblem(undoAll([...second.ids, 999_999]), 404);
  });
});
