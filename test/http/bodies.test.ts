/**
 * What is wrong with a body is answered with problem+json that says what and where, on every route of the
 * operator API that takes one. Usage batches have rules of their own: test/ledger/usage-report.test.ts.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EVERY_TARGET_KIND } from "../../src/domain/audit.ts";
import { MAX_BODY_BYTES } from "../../src/domain/limits.ts";
import { type Harness, seed, startHarness } from "./harness.ts";
import { expectProblem } from "./problem-shape.ts";
import { isOperatorApi, routesWhere } from "./route-table.ts";

let harness: Harness;

beforeAll(async () => {
  harness = await startHarness();
  await seed(harness);
});
afterAll(() => harness.close());

describe.each(routesWhere((entry) => isOperatorApi(entry) && entry.body !== undefined))(
  "$name",
  ({ method, entry }) => {
    const send = (body: string, headers: Record<string, string> = {}) =>
      harness.call(method, entry.path, { body, headers });

    it("refuses a body that is no JSON, saying where it breaks and quoting nothing of it", async () => {
      const problem = await expectProblem(send('{"reason": secret-text}'), 422);
      expect(problem.errors?.[0]?.path).toBe("");
      expect(problem.detail).toBe("The body is not valid JSON: it breaks at an unexpected s.");
      expect(problem.detail).not.toContain("secret");
    });

    it("refuses an empty body, showing one that would do", async () => {
      const response = harness.call(method, entry.path, { headers: { "content-type": "application/json" } });
      expect((await expectProblem(response, 422)).detail).toContain('{"reason"');
    });

    it.each(["[]", "null", "1", '"text"'])("refuses the JSON value %s, which is no object", async (body) => {
      await expectProblem(send(body), 422);
    });

    it.each(["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml"])(
      "answers 415 to the content type %s",
      async (contentType) => {
        expect(
          (await expectProblem(send(JSON.stringify(entry.body), { "content-type": contentType }), 415)).detail,
        ).toContain("application/json");
      },
    );

    it("answers 413 to a body over the bound, whether or not its length is announced", async () => {
      const huge = JSON.stringify({ ...entry.body, padding: "x".repeat(entry.foreign?.maxBytes ?? MAX_BODY_BYTES) });
      await expectProblem(send(huge, { "content-length": String(huge.length) }), 413);
      const stream = new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode(huge));
          controller.close();
        },
      });
      const init = {
        method,
        duplex: "half",
        headers: {
          authorization: `Bearer ${harness.tokens.admin}`,
          "content-type": "application/json",
          "transfer-encoding": "chunked",
        },
        body: stream,
      } as const;
      await expectProblem(harness.app.request(new Request(`http://localhost${entry.path}`, init)), 413);
    });

    if (entry.foreign === undefined)
      it("refuses a field that it does not know, by its path", async () => {
        const problem = await expectProblem(send(JSON.stringify({ ...entry.body, reasn: "x" })), 422);
        expect(problem.errors).toContainEqual({ path: "reasn", message: "is not a known field" });
      });

    it("refuses nesting without end, and text that the database cannot hold", async () => {
      const deep = `{"reason": ${"[".repeat(50_000)}${"]".repeat(50_000)}}`;
      expect((await expectProblem(send(deep), 422)).detail).toContain("nested deeper");
      for (const bad of ["a\\u0000b", "\\ud800"]) {
        const problem = await expectProblem(send(`{"reason": "${bad}", "name": "${bad}"}`), 422);
        expect(problem.detail).toContain("cannot be stored");
      }
      await expectProblem(
        harness.app.request(entry.path, {
          method,
          headers: { authorization: `Bearer ${harness.tokens.admin}`, "content-type": "application/json" },
          body: new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
        }),
        422,
      );
    });
  },
);

const FLAG = "/v1/environments/production/flags/support-chat";
const steps = (...list: unknown[]) => ["PUT", "/v1/environments/production/chains/x", { steps: list }] as const;
const rule = (condition: unknown) => ["PATCH", FLAG, { rules: [{ when: [condition], then: "off" }] }] as const;

describe("a field of the wrong shape", () => {
  const step = { model: "claude-opus-5-5" };

  it.each([
    ["POST", `${FLAG}/kill`, { reason: "   " }, "reason"],
    ["POST", `${FLAG}/kill`, {}, "reason"],
    ["POST", `${FLAG}/kill`, { reason: "x".repeat(501) }, "reason"],
    ["POST", `${FLAG}/kill`, { reason: "x", until: "2020-01-01T00:00:00Z" }, "until"],
    ["POST", `${FLAG}/kill`, { reason: "x", until: "tomorrow" }, "until"],
    ["POST", `${FLAG}/restore`, { reason: "x", ramp: 0 }, "ramp"],
    ["POST", `${FLAG}/restore`, { reason: "x", ramp: 100 }, "ramp"],
    ["POST", `${FLAG}/downgrade`, { reason: "x", level: 1, model: "claude-haiku-4-5" }, "model"],
    ["POST", `${FLAG}/downgrade`, { reason: "x", level: 1.5 }, "level"],
    ["POST", `${FLAG}/downgrade`, { reason: "x", level: 3 }, "level"],
    ["POST", `${FLAG}/downgrade`, { reason: "x", model: "other-model" }, "model"],
    ["PATCH", FLAG, { rollout: 101 }, "rollout"],
    ["PATCH", FLAG, { runbookUrl: "javascript:alert(1)" }, "runbookUrl"],
    ["PATCH", FLAG, { chain: "not-there" }, "chain"],
    ["POST", "/v1/environments/production/flags", { key: "Has.Dots", name: "x" }, "key"],
    ["PUT", "/v1/environments/production/chains/Not%20A%20Name", { steps: [step] }, "name"],
    ["PUT", "/v1/environments/production/models/bad%20id", { blocked: true, reason: "x" }, "id"],
    [...steps(), "steps"],
    [...steps(step, step), "steps.1.model"],
    [...steps({ ...step, set: { model: "x" } }), "steps.0.set.model"],
    [...steps({ ...step, set: { messages: [] } }), "steps.0.set.messages"],
    [...steps({ ...step, set: { stream: true } }), "steps.0.set.stream"],
    [...steps({ ...step, set: { max_tokens: 0 } }), "steps.0.set.max_tokens"],
    [...steps({ ...step, set: { ["__proto__"]: { a: 1 } } }), "steps.0.set.__proto__"],
    [...steps({ ...step, set: { tool: [{ ["__proto__"]: 1 }] } }), "steps.0.set.tool.0.__proto__"],
    [...steps({ ...step, set: { constructor: 1 } }), "steps.0.set.constructor"],
    [...steps({ ...step, set: { prototype: 1 } }), "steps.0.set.prototype"],
    [...steps({ ...step, set: { big: "x".repeat(9_000) } }), "steps.0.set"],
    [...steps({ ...step, unset: ["max_tokens"] }), "steps.0.unset.0"],
    [...steps({ ...step, unset: ["thinking"], set: { thinking: {} } }), "steps.0.unset.0"],
    [...steps({ ...step, maxTokens: 0 }), "steps.0.maxTokens"],
    [...rule({ attribute: "plan", operator: "is", value: "x" }), "rules.0.when.0.operator"],
    [...rule({ attribute: "plan", operator: "in", value: "x" }), "rules.0.when.0.value"],
    [...rule({ attribute: "plan", operator: "in", value: [] }), "rules.0.when.0.value"],
    [...rule({ attribute: "plan", operator: "equals", value: ["x"] }), "rules.0.when.0.value"],
    [...rule({ attribute: "plan", operator: "lessThan", value: "5" }), "rules.0.when.0.value"],
    [...rule({ attribute: "plan", operator: "semverLessThan", value: "1.2" }), "rules.0.when.0.value"],
    [...rule({ attribute: "plan", operator: "before", value: "2030-01-01T00:00:00" }), "rules.0.when.0.value"],
    [...rule({ attribute: "plan", operator: "startsWith", value: "" }), "rules.0.when.0.value"],
    ["PATCH", FLAG, { rules: [{ when: [], then: "off" }] }, "rules.0.when"],
    ["POST", "/v1/tokens", { kind: "op", name: "x" }, "role"],
    ["POST", "/v1/tokens", { kind: "kill", name: "x" }, "environments"],
    ["POST", "/v1/tokens", { kind: "web", name: "x", environments: ["production"] }, "kind"],
    ["POST", "/v1/tokens", { kind: "sdk", name: "x", role: "admin", environments: ["production"] }, "role"],
    ["POST", "/v1/tokens", { kind: "op", name: "x", role: "viewer", environments: ["nowhere"] }, "environments.0"],
    ["POST", "/v1/tokens", { kind: "op", name: "x", role: "viewer", expiresAt: "2020-01-01T00:00:00Z" }, "expiresAt"],
  ] as const)("%s %s %j is refused at %4$s", async (method, path, body, fault) => {
    const problem = await expectProblem(harness.call(method, path, { body }), 422);
    expect(problem.errors?.map((error) => error.path)).toContain(fault);
  });

  it.each([
    ["audit?limit=0", "limit"],
    ["audit?limit=abc", "limit"],
    ["audit?cursor=nonsense", "cursor"],
    ["audit?kind=flag", "key"],
    ["audit?key=%00&kind=flag", "key"],
    ["audit?lmit=5", "lmit"],
    ["receipts?revison=x", "revison"],
    ["receipts?revision=nonsense", "revision"],
  ])("the query %s is refused at %s", async (query, fault) => {
    const problem = await expectProblem(harness.call("GET", `/v1/environments/production/${query}`), 422);
    expect(problem.errors?.map((error) => error.path)).toContain(fault);
  });

  it.each(EVERY_TARGET_KIND)("the audit can be asked for what was done to a thing of the kind %s", async (kind) => {
    const answer = await harness.call("GET", `/v1/environments/production/audit?kind=${kind}&key=x`);
    expect(answer.status).toBe(200);
  });

  it.each([
    "flags/%00",
    "flags/UPPER",
    "chains/a%20b",
    "flags/..%2f..",
    "flags/%ff",
    "audit/0/revert",
    "audit/99999999999999999999/revert",
  ])("the path %s names nothing", async (path) => {
    const method = path.endsWith("revert") ? "POST" : "GET";
    await expectProblem(
      harness.call(method, `/v1/environments/production/${path}`, method === "POST" ? { body: {} } : {}),
      404,
    );
  });

  it("accepts every operator with a value that can hold", async () => {
    const values = {
      in: ["a", 1],
      notIn: [true],
      equals: 0,
      notEquals: "",
      contains: "x",
      startsWith: "x",
      endsWith: "x",
      lessThan: 1,
      lessOrEqual: 1,
      greaterThan: -1,
      greaterOrEqual: 0.5,
      semverEqual: "v1.2.3",
      semverLessThan: "1.0.0-rc.1",
      semverGreaterThan: "0.0.1",
      before: "2030-01-01",
      after: 1,
    };
    const when = Object.entries(values).map(([operator, value]) => ({ attribute: "plan", operator, value }));
    const response = await harness.call("PATCH", FLAG, { body: { rules: [{ when, then: "on" }] } });
    expect(await response.json()).toMatchObject({ rules: [{ when }] });
  });
});
