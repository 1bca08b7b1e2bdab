/** Two hundred clients report over HTTP to two servers and cross one budget: one trip, one incident, and the exact sum. */
import { eq, sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { budgetWindows, trips } from "../../src/db/schema/budgets.ts";
import { usageMinutes } from "../../src/db/schema/usage.ts";
import { createBudget } from "../../src/services/budgets/budgets.ts";
import { createFlag } from "../../src/services/flags/flags.ts";
import { listIncidents } from "../../src/services/incidents/view.ts";
import { adminCtx, makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { batchOf, callFor, dailyBudget } from "../support/usage.ts";

const REPORTERS = 200;
const ROUNDS = 3;
const PATIENCE_MS = 60_000;

let servers: [TestServer, TestServer];

beforeAll(async () => {
  const a = await startTestServer();
  servers = [a, await startTestServer({ database: a.deps.config.database })];
});
afterAll(async () => {
  for (const server of servers.toReversed()) await server.close();
});

describe("two hundred concurrent reporters on two servers", () => {
  it("cross each step of one budget once, each batch counted once though it was sent to both", async () => {
    const [a, b] = servers;
    const ctx = adminCtx(a.deps);
    await createFlag(ctx, "production", { key: "support-chat", name: "Support chat" });
    await createBudget(
      ctx,
      "production",
      dailyBudget({
        ladder: [
          { atPercent: 50, action: "alert" },
          { atPercent: 100, action: "kill" },
        ],
      }),
    );
    const token = await makeToken(a.deps, { kind: "sdk" });
    await until("both servers know the token", () => b.deps.tokens.find(token));
    // Sends until it is acknowledged, as clients do: a busy machine may answer 503, and then nothing was counted.
    const post = (server: TestServer, batch: unknown): Promise<"counted" | "duplicate"> =>
      until(
        "the batch is acknowledged",
        async () => {
          const response = await server.api("POST", "/sdk/v1/usage", batch, token);
          const text = await response.text();
          if (response.status === 503) return undefined;
          const answer: { accepted: number; duplicate: boolean } = JSON.parse(text);
          expect({ status: response.status, accepted: answer.accepted }).toEqual({ status: 200, accepted: 2 });
          return answer.duplicate ? "duplicate" : "counted";
        },
        PATIENCE_MS,
      );
    await Promise.all(
      Array.from({ length: REPORTERS }, async () => {
        for (let round = 0; round < ROUNDS; round += 1) {
          const batch = batchOf([callFor(0.2), callFor(0.1, { exact: false })]);
          const answers = await Promise.all([post(a, batch), post(b, batch)]);
          expect(answers.toSorted()).toEqual(["counted", "duplicate"]);
        }
      }),
    );
    const { db } = a.deps;
    const environmentId = a.deps.snapshots.environmentByKey("production")?.environmentId ?? "";
    const spent = REPORTERS * ROUNDS * 300_000_000;
    expect(await db.select({ spent: budgetWindows.spentNanoUsd }).from(budgetWindows)).toEqual([{ spent }]);
    const [ledger] = await db
      .select({
        exact: sql`sum(${usageMinutes.exactNanoUsd})`.mapWith(Number),
        estimated: sql`sum(${usageMinutes.estimatedNanoUsd})`.mapWith(Number),
      })
      .from(usageMinutes)
      .where(eq(usageMinutes.environmentId, environmentId));
    expect(ledger).toEqual({ exact: (spent / 3) * 2, estimated: spent / 3 });
    expect(await db.select({ step: trips.step }).from(trips)).toEqual([{ step: "kill@100" }]);
    const { items } = await listIncidents(ctx, "production");
    expect(items.map(({ steps }) => steps.map(({ action }) => action))).toEqual([["alert", "kill"]]);
    for (const server of servers) {
      await until("the server serves the trip", () => {
        const flag = server.deps.snapshots.current(environmentId)?.snapshot.flags["support-chat"];
        return flag?.state === "off" && flag.cause === "budget";
      });
    }
  }, 120_000);
});
