/** Edits that lost a race are refused; kills and downgrades win every race. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { expectJson, expectStatus, type Harness, seed, startHarness } from "./harness.ts";
import { expectProblem } from "./problem-shape.ts";

const ENV = "/v1/environments/production";
const FLAG = `${ENV}/flags/support-chat`;
let harness: Harness;

beforeAll(async () => {
  harness = await startHarness();
  await seed(harness);
});
afterAll(() => harness.close());

const etagOf = async (path: string) => (await expectStatus(harness.call("GET", path), 200)).headers.get("etag") ?? "";

const n = (revision: string) => Number(revision.slice(revision.lastIndexOf(".") + 1));
const changed = z.looseObject({ revision: z.string() });

describe("If-Match", () => {
  it("lets exactly one of many edits of the same version through", async () => {
    const headers = { "if-match": await etagOf(FLAG) };
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        harness.call("PATCH", FLAG, { headers, body: { owner: `team ${String(index)}` } }),
      ),
    );
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      200, 412, 412, 412, 412, 412, 412, 412,
    ]);
    for (const lost of answers.filter(({ status }) => status === 412)) await expectProblem(lost, 412);
  });

  it("accepts the ETag that a change answered with, and *", async () => {
    const first = await expectStatus(
      harness.call("PATCH", FLAG, { body: { owner: "first" }, headers: { "if-match": "*" } }),
      200,
    );
    await expectStatus(
      harness.call("PATCH", FLAG, {
        body: { owner: "second" },
        headers: { "if-match": first.headers.get("etag") ?? "" },
      }),
      200,
    );
  });

  it("accepts the ETag as a proxy that compresses weakens it, and no other version so", async () => {
    const weak = `W/${await etagOf(FLAG)}`;
    const edit = (etag: string) =>
      harness.call("PATCH", FLAG, { body: { owner: "behind nginx" }, headers: { "if-match": etag } });
    await expectStatus(edit(weak), 200);
    await expectProblem(edit(weak), 412);
  });

  it.each([
    ["PATCH", FLAG, { owner: "x" }],
    ["DELETE", FLAG, undefined],
    ["POST", `${FLAG}/restore`, { reason: "x" }],
    ["PUT", `${ENV}/chains/opus-first`, { steps: [{ model: "claude-haiku-4-5" }] }],
    ["DELETE", `${ENV}/chains/opus-first`, undefined],
  ])("%s %s answers 412 to a version that is not the current one", async (method, path, body) => {
    await expectProblem(harness.call(method, path, { body, headers: { "if-match": '"999"' } }), 412);
  });

  it("is ignored by kill and downgrade", async () => {
    const headers = { "if-match": '"999"' };
    await expectStatus(harness.call("POST", `${FLAG}/downgrade`, { headers, body: { reason: "x" } }), 200);
    await expectStatus(harness.call("POST", `${FLAG}/kill`, { headers, body: { reason: "x" } }), 200);
    await expectStatus(harness.call("POST", `${ENV}/kill`, { headers, body: { reason: "x" } }), 200);
  });
});

describe("a change", () => {
  it("answers with the resource, its ETag and the environment's new revision", async () => {
    const before = await expectJson(harness.call("GET", `${ENV}/flags`), changed);
    const response = await expectStatus(
      harness.call("POST", `${ENV}/flags`, { body: { key: "second", name: "Second" } }),
      201,
    );
    const flag = changed.extend({ version: z.number() }).parse(await response.json());
    expect(response.headers.get("location")).toBe(`${ENV}/flags/second`);
    expect(response.headers.get("etag")).toBe(`"${String(flag.version)}"`);
    expect(n(flag.revision)).toBe(n(before.revision) + 1);
    const deleted = await expectJson(harness.call("DELETE", `${ENV}/flags/second`), changed);
    expect(deleted).toEqual({ revision: expect.any(String), budgets: [] });
    expect(n(deleted.revision)).toBe(n(flag.revision) + 1);
  });

  it("of a chain answers 201 when it is new and 200 when it is not", async () => {
    const path = `${ENV}/chains/fresh`;
    const body = {
      steps: [{ model: "claude-haiku-4-5", maxTokens: 500, set: { temperature: 0 }, unset: ["thinking"] }],
    };
    const made = await expectJson(harness.call("PUT", path, { body }), changed, 201);
    expect(made).toMatchObject(body);
    // The database keeps the fields of a step in an order of its own.
    const again = await expectJson(harness.call("PUT", path, { body }), changed);
    expect(again.revision, "the same once more is no change").toBe(made.revision);
    await expectStatus(harness.call("PUT", path, { body: { steps: [{ model: "claude-sonnet-5-5" }] } }), 200);
    await expectProblem(harness.call("DELETE", `${ENV}/chains/opus-first`), 409);
    await expectStatus(harness.call("DELETE", path), 200);
  });

  it("of a model whose id has a slash is found by %2F", async () => {
    const body = { blocked: true, reason: "x" };
    const response = await expectStatus(
      harness.call("PUT", `${ENV}/models/anthropic%2Fclaude-opus-5-5`, { body }),
      200,
    );
    expect(await response.json()).toMatchObject({
      model: "anthropic/claude-opus-5-5",
      blocked: true,
      auditId: expect.any(Number),
    });
  });

  it("can be taken back by its audit id, once", async () => {
    await expectStatus(harness.call("POST", `${ENV}/restore`, { body: { reason: "x" } }), 200);
    const killed = await expectJson(
      harness.call("POST", `${ENV}/kill`, { body: { reason: "y" } }),
      z.object({ auditId: z.number() }),
    );
    const undo = () => harness.call("POST", `${ENV}/audit/${String(killed.auditId)}/revert`, { body: {} });
    await expectStatus(undo(), 200);
    await expectJson(harness.call("GET", `${ENV}/master`), z.object({ state: z.literal("on") }));
    await expectProblem(undo(), 409);
    const shape = z.object({ items: z.array(z.unknown()), nextCursor: z.string() });
    const page = await expectJson(harness.call("GET", `${ENV}/audit?limit=1`), shape);
    expect(page.items).toHaveLength(1);
    await expectStatus(harness.call("GET", `${ENV}/audit?limit=1&cursor=${page.nextCursor}`), 200);
  });
});
