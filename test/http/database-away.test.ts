/** What the API answers while the database is away: it still knows who asks, and a kill says what to do instead. */
import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../src/app.ts";
import * as schema from "../../src/db/schema/state.ts";
import { DATABASE_AWAY_ADVICE } from "../../src/errors.ts";
import { freePort } from "../support/postgres.ts";
import { type Harness, seed, startHarness } from "./harness.ts";
import { expectProblem } from "./problem-shape.ts";
import { isOperatorApi, routesWhere } from "./route-table.ts";

let harness: Harness;
let client: postgres.Sql;
let app: Harness["app"];

beforeAll(async () => {
  harness = await startHarness();
  await seed(harness);
  // A port on which nothing listens: every query is refused.
  client = postgres(`postgres://andon@127.0.0.1:${String(await freePort())}/andon`, {
    max: 1,
    connect_timeout: 1,
    // By default each failure waits three times as long as the one before.
    backoff: () => 0.01,
  });
  const db = drizzle({ client, schema });
  app = createApp({ ...harness.deps, db, reads: db });
});
afterAll(async () => {
  await client.end();
  await harness.close();
});

const send = (method: string, path: string, token: string, body?: unknown) =>
  app.request(path, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { "content-type": "application/json" }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });

describe("with the database away", () => {
  // Who asks is known from memory.
  const needing = routesWhere(isOperatorApi).filter(({ name }) => name !== "GET /v1/token");
  it.each(needing)("$name answers 503 and when to try again", async ({ method, entry }) => {
    const problem = await expectProblem(send(method, entry.path, harness.tokens.admin, entry.body), 503);
    expect(problem.code).toBe("DATABASE_AWAY");
    if (method === "GET") expect(problem.detail).not.toContain("change");
  });

  it.each(routesWhere(({ demand }) => demand === "tighten"))(
    "$name says how to stop calls without it",
    async ({ method, entry }) => {
      const problem = await expectProblem(send(method, entry.path, harness.tokens.kill, entry.body), 503);
      expect(problem.detail).toContain(DATABASE_AWAY_ADVICE);
    },
  );

  it("a token is still known or not", async () => {
    const caller = await send("GET", "/v1/token", harness.tokens.viewer);
    expect(await caller.json()).toMatchObject({ kind: "op", role: "viewer", environments: null });
    await expectProblem(send("GET", "/v1/environments", "andon_op_unknown"), 401);
    await expectProblem(send("GET", "/v1/tokens", harness.tokens.viewer), 403);
  });
});
