/** The log tells who did what when, and never a token, a cookie, a secret, a query or a body. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../src/app.ts";
import { describeError } from "../../src/http/middleware/error-log.ts";
import { createdToken, expectJson, expectStatus, type Harness, seed, startHarness } from "./harness.ts";
import { expectProblem } from "./problem-shape.ts";
import { ROUTES, routesWhere } from "./route-table.ts";

let harness: Harness;

beforeAll(async () => {
  harness = await startHarness();
  await seed(harness);
});
afterAll(() => harness.close());

const BODY_MARK = "body-mark-4711";
const QUERY_MARK = "query-mark-4711";
const COOKIE_MARK = "cookie-mark-4711";
const UNKNOWN_TOKEN = "andon_op_unknown-mark-4711-0123456789";

describe("the log", () => {
  it("has no secret in any line, over every route and every caller", async () => {
    const callers = [...Object.values(harness.tokens), UNKNOWN_TOKEN, null];
    for (const { method, entry } of routesWhere(() => true)) {
      for (const token of callers) {
        const headers = { cookie: `andon_session=${COOKIE_MARK}` };
        const body = entry.body && { ...entry.body, reason: BODY_MARK };
        await harness.call(method, `${entry.path}?link=${QUERY_MARK}`, { token, headers, body });
        await harness.call(method, entry.path, { token, headers, body: entry.body && `{"reason": "${BODY_MARK}` });
      }
    }
    const body = { kind: "op", role: "viewer", name: "for the log" };
    const made = await expectJson(harness.call("POST", "/v1/tokens", { body }), createdToken, 201);
    await expectStatus(harness.call("GET", "/v1/environments", { token: made.secret }), 200);
    await expectStatus(harness.call("GET", `/v1/tokens/${made.secret}`), 405);
    expectNoSecrets([
      ...Object.values(harness.tokens),
      made.secret,
      UNKNOWN_TOKEN,
      BODY_MARK,
      QUERY_MARK,
      COOKIE_MARK,
      harness.deps.config.secret,
    ]);
    expect(harness.logLines.length).toBeGreaterThan(Object.keys(ROUTES).length);
  });

  it("has the details of a failing 500, without its secrets, and the answer has only the request id", async () => {
    const secret = harness.tokens.operator;
    const failing = {
      ...harness.deps,
      tokens: { ...harness.deps.tokens, find: () => fail(secret), byId: () => null, refresh: async () => {} },
    };
    const before = harness.logLines.length;
    const response = await createApp(failing).request("/v1/environments", {
      headers: { authorization: `Bearer ${secret}`, "x-request-id": "the-failing-one" },
    });
    const problem = await expectProblem(response, 500);
    expect(problem.detail).toBe(
      "Something went wrong on the server. Its log has the details under the request id the-failing-one.",
    );
    const lines = harness.logLines.slice(before).filter((line) => line.includes("the-failing-one"));
    expect(lines.join("")).toContain("boom while looking up");
    expectNoSecrets([secret, "hunter2", "eyJhbGciOiJIUzI1NiJ9.e30.abc"]);
  });

  it("names method, route pattern, status, duration and actor of a request", async () => {
    await expectStatus(
      harness.call("GET", "/v1/environments/production/flags/support-chat", {
        headers: { "x-request-id": "the-logged-one" },
      }),
      200,
    );
    const line: unknown = JSON.parse(harness.logLines.find((text) => text.includes("the-logged-one")) ?? "{}");
    expect(line).toMatchObject({
      method: "GET",
      route: "/v1/environments/:env/flags/:key",
      status: 200,
      ms: expect.any(Number),
      actor: "admin-from-environment",
    });
  });

  it("describes an error by name, message and causes, each without what looks like a secret", () => {
    const cause = new Error("Failed query: select 1\nparams: hash-of-a-token");
    expect(describeError(new TypeError("no https://user:pw@host/?link=abc", { cause }))).toMatchObject({
      name: "TypeError",
      message: "no https://user:[removed]@host/?link=[removed]",
      cause: { message: "Failed query: select 1\nparams: [removed]" },
    });
  });
});

function fail(secret: string): never {
  throw new Error(
    `boom while looking up Bearer ${secret} at postgres://andon:hunter2@db/andon for eyJhbGciOiJIUzI1NiJ9.e30.abc`,
  );
}

function expectNoSecrets(secrets: readonly string[]): void {
  for (const line of harness.logLines) {
    for (const secret of secrets) expect(line).not.toContain(secret);
  }
}
