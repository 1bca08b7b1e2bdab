/**
 * A failover behind one endpoint: a standby becomes the primary, and the servers, which are not restarted, kill again
 * within ten seconds; a client of either hears of it.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type DatabaseProxy, startDatabaseProxy } from "../support/database-proxy.ts";
import { jsonOf } from "../support/json.ts";
import { type PollLoop, startPolling } from "../support/poll-loop.ts";
import { type Cluster, startCluster } from "../support/postgres.ts";
import { makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

/** From the moment at which the endpoint leads to the new primary. */
const KILL_WITHIN_MS = 10_000;

let primary: Cluster;
let standby: Cluster;
let endpoint: DatabaseProxy;
let servers: TestServer[];
let clients: PollLoop[];
let database: string;

beforeEach(async () => {
  primary = await startCluster();
  const url = await primary.createDatabase();
  database = new URL(url).pathname.slice(1);
  standby = await startCluster({ standbyOf: primary });
  endpoint = await startDatabaseProxy(url);
  servers = [];
  for (let n = 0; n < 2; n += 1) {
    servers.push(await startTestServer({ database: { kind: "postgres", url: endpoint.url }, jobs: true }));
  }
  const [first] = servers;
  if (first === undefined) throw new Error("no server");
  const token = await makeToken(first.deps, { kind: "sdk" });
  await until("both know the token", () => servers.every(({ deps }) => deps.tokens.find(token) !== null));
  clients = servers.map(({ url: at }, n) => startPolling({ url: () => at, token, instance: `i-${n}` }));
  await until("both clients have state", () => clients.every((client) => client.current() !== null));
  await until("the standby has all", async () => {
    const [row] = await standby.execute("select count(*)::int as n from tokens where name = 'test sdk'", database);
    return row?.["n"] === 1;
  });
}, 120_000);
afterEach(async () => {
  await Promise.all(clients.map((client) => client.stop()));
  await Promise.all(servers.map((server) => server.close()));
  await endpoint.close();
  await primary.thaw();
  await Promise.all([primary.stop(), standby.stop()]);
}, 60_000);

/** What `/readyz` of each server says of the database. */
const databaseStates = () =>
  Promise.all(
    servers.map(async ({ url }) => (await jsonOf<{ database: string }>(await fetch(`${url}/readyz`))).database),
  );

/** Presses again until it went through, as on-call does. Answers when that was and the revision that it made. */
async function killThrough(server: TestServer): Promise<{ atMs: number; revision: string }> {
  return until(
    "a kill goes through",
    async () => {
      const response = await server.api("POST", "/v1/environments/production/kill", { reason: "test" });
      if (response.status === 503) return undefined;
      expect(response.status).toBe(200);
      return { atMs: performance.now(), revision: (await jsonOf<{ revision: string }>(response)).revision };
    },
    2 * KILL_WITHIN_MS,
  );
}

async function expectKillsOnTheNewPrimary(flippedMs: number): Promise<void> {
  const kills = await Promise.all(servers.map(killThrough));
  for (const { atMs } of kills) expect(atMs - flippedMs).toBeLessThan(KILL_WITHIN_MS);
  const [row] = await standby.execute("select master_state from environments where key = 'production'", database);
  expect(row?.["master_state"]).toBe("off");
  await until("both clients are off", () => clients.every((client) => client.current()?.master.state === "off"));
  await until("both servers say ok", async () => (await databaseStates()).every((state) => state === "ok"));
  await until("both listen to the new primary", async () => {
    const listening = await standby.execute(
      `select pid from pg_stat_activity where datname = '${database}' and application_name = 'andon listen' and query ilike 'listen%'`,
    );
    return listening.length === 2;
  });
}

describe("a failover", () => {
  it("whose endpoint leads to the old primary first, which is read-only by then and keeps its sessions", async () => {
    await primary.execute("alter system set default_transaction_read_only = on");
    await primary.execute("select pg_reload_conf()");
    await standby.promote();
    await until("both servers say so", async () => (await databaseStates()).every((state) => state === "read-only"));
    endpoint.lead(standby.url(database));
    await expectKillsOnTheNewPrimary(performance.now());
  });

  it("from a primary that hangs: its connections stay open and say nothing more", async () => {
    await primary.freeze();
    await standby.promote();
    endpoint.lead(standby.url(database));
    await expectKillsOnTheNewPrimary(performance.now());
  });
});
