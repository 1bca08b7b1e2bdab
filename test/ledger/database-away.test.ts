/** The ledger while the database is away: nothing is acknowledged, and the retry counts everything once. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { usageMinutes } from "../../src/db/schema/usage.ts";
import { type Cluster, startCluster } from "../support/postgres.ts";
import { makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { batchOf, callFor } from "../support/usage.ts";

let cluster: Cluster;
let server: TestServer;
let token: string;

beforeAll(async () => {
  cluster = await startCluster();
  server = await startTestServer({ database: { kind: "postgres", url: await cluster.createDatabase() } });
  token = await makeToken(server.deps, { kind: "sdk" });
});
afterAll(async () => {
  await server.close();
  await cluster.stop();
});

it("spend is not lost when its commit fails: 503 and when to try again, and the retry counts each batch once", async () => {
  const post = (batch: unknown) => server.api("POST", "/sdk/v1/usage", batch, token);
  const batches = Array.from({ length: 5 }, () => batchOf([callFor(0.1), callFor(0.2)]));
  const [acknowledged] = batches;
  expect((await post(acknowledged)).status).toBe(200);
  await cluster.shutDown();
  for (const response of await Promise.all(batches.map(post))) {
    expect(response.status).toBe(503);
    expect(response.headers.has("retry-after")).toBe(true);
  }
  await cluster.start();
  for (const batch of batches) {
    await until("the batch is taken", async () => {
      const response = await post(batch);
      await response.arrayBuffer();
      return response.status === 200;
    });
  }
  const rows = await server.deps.db.select().from(usageMinutes);
  const calls = rows.reduce((sum, row) => sum + row.calls, 0);
  const spentNanoUsd = rows.reduce((sum, row) => sum + row.exactNanoUsd, 0);
  expect({ calls, spentNanoUsd }).toEqual({ calls: 10, spentNanoUsd: 1_500_000_000 });
}, 60_000);
