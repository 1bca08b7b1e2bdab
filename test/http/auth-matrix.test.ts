/** Every route against every caller that may not use it. Driven by the app's own route table. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { createdToken, expectJson, expectStatus, type Harness, seed, startHarness, type Tokens } from "./harness.ts";
import { expectProblem } from "./problem-shape.ts";
import { type Demand, isOperatorApi, ROUTES, routesWhere } from "./route-table.ts";

let harness: Harness;

beforeAll(async () => {
  harness = await startHarness();
  await seed(harness);
});
afterAll(() => harness.close());

const apiRoutes = routesWhere(isOperatorApi);

/** Tokens whose role or kind is too small for a demand. */
const TOO_SMALL: Readonly<Partial<Record<Demand, readonly (keyof Tokens)[]>>> = {
  viewer: ["kill"],
  tighten: ["viewer"],
  operator: ["viewer", "kill"],
  admin: ["viewer", "operator", "kill"],
  any: [],
};

describe("the route table", () => {
  it("has an entry for every route of the app, and for none that is gone", () => {
    const mounted = harness.app.routes
      .filter(({ method, path }) => method !== "ALL" && !isPage(path))
      .map(({ method, path }) => `${method} ${path}`);
    expect([...new Set(mounted)].toSorted()).toEqual(Object.keys(ROUTES).toSorted());
  });
});

describe.each(apiRoutes)("$name", ({ name: address, method, entry }) => {
  // An address a route: all their failures together are more than one address may have in a minute.
  const send = (token: string | null, path = entry.path) =>
    harness.call(method, path, { token, body: entry.body, address });

  it("answers 401 without a token", async () => {
    expect((await expectProblem(send(null), 401)).code).toBe("UNAUTHENTICATED");
  });

  it.each(["andon_op_unknownunknownunknownunknown", "x", "a".repeat(600)])(
    "answers 401 to the bad token %s",
    async (token) => {
      await expectProblem(send(token), 401);
    },
  );

  it.each(["Basic YTpi", "Bearer", "Bearer a b", "andon_op_x"])(
    "answers 401 to the authorization %s",
    async (authorization) => {
      await expectProblem(
        harness.call(method, entry.path, {
          token: null,
          body: entry.body,
          headers: { authorization },
          address,
        }),
        401,
      );
    },
  );

  it.each(["sdk", "web"] as const)("answers 403 to a token of kind %s", async (kind) => {
    expect((await expectProblem(send(harness.tokens[kind]), 403)).code).toBe("FORBIDDEN");
  });

  const tooSmall = TOO_SMALL[entry.demand] ?? [];
  if (tooSmall.length > 0)
    it.each(tooSmall)("answers 403 to the token %s, whose role does not suffice", async (name) => {
      await expectProblem(send(harness.tokens[name]), 403);
    });

  if (entry.global !== true)
    it("answers 404 to an admin of another environment", async () => {
      await expectProblem(send(harness.tokens.otherAdmin), 404);
    });

  if (entry.demand === "tighten" || (entry.demand === "any" && entry.global !== true))
    it("answers 404 to a kill token of another environment", async () => {
      await expectProblem(send(harness.tokens.otherKill), 404);
    });

  if (entry.global !== true)
    it("answers an environment that is not there like one that may not be seen", async () => {
      const hidden = await expectProblem(send(harness.tokens.otherAdmin), 404);
      const missing = await expectProblem(
        send(harness.tokens.otherAdmin, entry.path.replace("production", "nowhere")),
        404,
      );
      expect(missing.detail.replace("nowhere", "production")).toBe(hidden.detail);
    });
});

describe("routes that need no operator", () => {
  it.each(routesWhere(({ demand }) => demand === "public"))("$name answers anybody", async ({ method, entry }) => {
    const response = await harness.call(method, entry.path, { token: null });
    expect(response.status).toBe(200);
  });

  it.each(routesWhere(({ demand }) => demand === "sdk"))(
    "$name answers 401 without a valid token and 403 to other kinds",
    async ({ method, entry }) => {
      await expectProblem(harness.call(method, entry.path, { token: null }), 401);
      await expectProblem(harness.call(method, entry.path, { token: "andon_sdk_unknown" }), 401);
      for (const kind of ["admin", "operator", "viewer", "kill", "web"] as const) {
        await expectProblem(harness.call(method, entry.path, { token: harness.tokens[kind] }), 403);
      }
    },
  );
});

describe("GET /metrics", () => {
  it("answers viewers and more, 401 without a token and 403 to all others", async () => {
    await expectProblem(harness.call("GET", "/metrics", { token: null }), 401);
    for (const kind of ["kill", "sdk", "web"] as const) {
      await expectProblem(harness.call("GET", "/metrics", { token: harness.tokens[kind] }), 403);
    }
    for (const kind of ["viewer", "operator", "admin"] as const) {
      await expectStatus(harness.call("GET", "/metrics", { token: harness.tokens[kind] }), 200);
    }
  });
});

describe("tokens of one environment", () => {
  it("see and manage only what reaches no further", async () => {
    const visible = z.object({ items: z.array(z.object({ key: z.string() })) });
    const { items } = await expectJson(
      harness.call("GET", "/v1/environments", { token: harness.tokens.otherAdmin }),
      visible,
    );
    expect(items.map(({ key }) => key)).toEqual(["staging"]);
    await expectProblem(
      harness.call("POST", "/v1/environments", { token: harness.tokens.otherAdmin, body: { key: "x", name: "X" } }),
      403,
    );
    const widening = { kind: "op", name: "wider", role: "admin" };
    await expectProblem(harness.call("POST", "/v1/tokens", { token: harness.tokens.otherAdmin, body: widening }), 403);
    const elsewhere = { kind: "kill", name: "elsewhere", environments: ["production"] };
    await expectProblem(harness.call("POST", "/v1/tokens", { token: harness.tokens.otherAdmin, body: elsewhere }), 422);
    const listed = z.object({ items: z.array(z.object({ environments: z.array(z.string()) })) });
    const { items: seen } = await expectJson(
      harness.call("GET", "/v1/tokens", { token: harness.tokens.otherAdmin }),
      listed,
    );
    for (const token of seen) expect(token.environments).toEqual(["staging"]);
  });

  it("stop working the moment they are revoked", async () => {
    const body = { kind: "op", name: "short", role: "viewer" };
    const made = await expectJson(harness.call("POST", "/v1/tokens", { body }), createdToken, 201);
    await expectStatus(harness.call("GET", "/v1/environments", { token: made.secret }), 200);
    await expectStatus(harness.call("DELETE", `/v1/tokens/${made.id}`), 200);
    await expectProblem(harness.call("GET", "/v1/environments", { token: made.secret }), 401);
  });
});

/** The board's pages have their own tests; they live outside `/v1`, `/sdk` and the documents. */
function isPage(path: string): boolean {
  return !/^\/(v1|sdk|healthz|readyz|openapi\.json|docs|metrics|ofrep)(\/|$)/.test(path);
}
