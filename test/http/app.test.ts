/** What every answer has in common. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Harness, startHarness } from "./harness.ts";
import { expectProblem } from "./problem-shape.ts";

let harness: Harness;

beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.close());

const idFor = async (id: string) =>
  (await harness.call("GET", "/healthz", { headers: { "x-request-id": id } })).headers.get("x-request-id");

describe("every answer", () => {
  it("has security headers", async () => {
    for (const path of ["/healthz", "/v1/environments", "/nowhere", "/docs", "/openapi.json"]) {
      const { headers } = await harness.call("GET", path);
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("x-frame-options")).toBe("DENY");
      expect(headers.get("content-security-policy")).toContain("default-src 'none'");
      // no-referrer would make browsers send `Origin: null` with our own forms.
      expect(headers.get("referrer-policy")).toBe("same-origin");
      expect(headers.has("strict-transport-security")).toBe(false);
    }
  });

  it("repeats a sane request id and makes one otherwise", async () => {
    expect(await idFor("abc-123")).toBe("abc-123");
    for (const bad of ["a b", "<script>", "x".repeat(65)]) expect(await idFor(bad)).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("of the operator API is never cached", async () => {
    for (const path of ["/v1/environments", "/v1/environments/nowhere"]) {
      expect((await harness.call("GET", path)).headers.get("cache-control")).toBe("no-store");
    }
  });
});

describe("an address", () => {
  it.each(["/v1/nowhere", "/v1/environments/production/outages", "/sdk/v1/nowhere"])(
    "that does not exist, %s, answers 404",
    async (path) => {
      expect((await expectProblem(harness.call("GET", path), 404)).code).toBe("NOT_FOUND");
    },
  );

  it.each([
    ["PUT", "/v1/environments", "GET, HEAD, POST"],
    ["GET", "/v1/environments/production/flags/x/kill", "POST"],
    ["POST", "/healthz", "GET, HEAD"],
    ["PATCH", "/v1/environments/production/flags", "GET, HEAD, POST"],
    ["POST", "/sdk/v1/snapshot", "GET, HEAD"],
  ])("that has no %s, %s, answers 405 and says what it has", async (method, path, allowed) => {
    const response = await harness.call(method, path);
    expect((response.headers.get("allow") ?? "").split(", ").toSorted().join(", ")).toBe(allowed);
    expect((await expectProblem(response, 405)).code).toBe("METHOD_NOT_ALLOWED");
  });
});

describe("guessing tokens", () => {
  it("is slowed down with 429, and a valid token from the same address still passes", async () => {
    const guess = () => harness.call("GET", "/v1/environments", { token: "andon_op_a-wrong-guess-0123456789" });
    let last = await guess();
    for (let attempt = 0; attempt < 400 && last.status !== 429; attempt += 1) last = await guess();
    const problem = await expectProblem(last, 429);
    expect(problem.code).toBe("RATE_LIMITED");
    expect((await harness.call("GET", "/v1/environments")).status).toBe(200);
    expect((await harness.call("GET", "/v1/environments", { token: harness.tokens.viewer })).status).toBe(200);
  });
});
