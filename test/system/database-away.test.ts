/** The database away, frozen or shut down: polls go on from memory, changes are refused with advice, recovery heals. */
import type { Receipts } from "../../src/api/instance.ts";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { setMaster } from "../support/changes.ts";
import { type PollLoop, startPolling } from "../support/poll-loop.ts";
import { type Cluster, startCluster } from "../support/postgres.ts";
import { makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { jsonOf } from "../support/json.ts";

/** Below what a poll asks to be parked for. */
const NOT_PARKED_MS = 20_000;

let cluster: Cluster;
let database: string;
let server: TestServer;
let client: PollLoop;
let token: string;
/** A poll that was parked when the database went away. */
let parked: Promise<unknown>;

beforeAll(async () => {
  cluster = await startCluster();
  const url = await cluster.createDatabase();
  database = new URL(url).pathname.slice(1);
  server = await startTestServer({ database: { kind: "postgres", url }, jobs: true });
  token = await makeToken(server.deps, { kind: "sdk" });
  client = startPolling({ url: () => server.url, token, instance: "i-1", waitSeconds: 0 });
  await until("the client has state", () => client.current());
});
afterAll(async () => {
  await client.stop();
  await server.close();
  await cluster.stop();
});

const etag = () => server.deps.snapshots.environmentByKey("production")?.etag ?? "";
const pollFor25s = async (): Promise<void> => {
  const headers = { authorization: `Bearer ${token}`, "if-none-match": etag(), prefer: "wait=25" };
  await (await fetch(`${server.url}/sdk/v1/snapshot`, { headers })).arrayBuffer();
};

describe.each([
  { how: "frozen", isFrozen: true, away: () => cluster.freeze(), back: () => cluster.thaw() },
  { how: "shut down", isFrozen: false, away: () => cluster.shutDown(), back: () => cluster.start() },
])("the database $how", ({ isFrozen, away, back }) => {
  it("leaves polls going with Andon-Stale, and the server ready", async () => {
    parked = pollFor25s();
    await until("the poll is parked", () => server.deps.snapshots.longPolls === 1);
    await away();
    await until("polls say how old the state is", () => Number(client.last()?.stale ?? 0) > 0);
    expect(client.last()?.status).toBe(304);
    const ready = await fetch(`${server.url}/readyz`);
    expect(ready.status).toBe(200);
    expect(await ready.json()).toMatchObject({ status: "ready", database: "away" });
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  });

  it("lets a parked poll go within seconds and parks none: another server may know more", async () => {
    await until("no poll is parked", () => server.deps.snapshots.longPolls === 0, NOT_PARKED_MS);
    await parked;
    const response = await fetch(`${server.url}/sdk/v1/snapshot`, {
      headers: { authorization: `Bearer ${token}`, "if-none-match": etag(), prefer: "wait=25" },
      signal: AbortSignal.timeout(NOT_PARKED_MS),
    });
    expect(response.status).toBe(304);
    expect(Number(response.headers.get("andon-stale"))).toBeGreaterThan(0);
  });

  it("lets no page and no /metrics wait for it as long as a change does, which has a deadline", async () => {
    const answered: string[] = [];
    const ask = async (method: string, path: string, body?: unknown) => {
      const response = await server.api(method, path, body);
      const text = await response.text();
      answered.push(path);
      return { status: response.status, text };
    };
    const change = ask("POST", "/v1/environments/production/restore", { reason: "test" });
    const [metrics, page] = await Promise.all([
      ask("GET", "/metrics"),
      ask("GET", "/v1/environments/production/audit"),
    ]);
    expect(metrics.text).toContain("andon_database_up 0");
    expect(page.status).toBe(503);
    expect((await change).status).toBe(503);
    if (isFrozen) expect(answered.at(-1)).toBe("/v1/environments/production/restore");
  });

  it("refuses a kill in time, saying what to do instead", async () => {
    const response = await server.api("POST", "/v1/environments/production/kill", { reason: "test" });
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
    const problem = await jsonOf<{ code: string; detail: string }>(response);
    expect(problem.code).toBe("DATABASE_AWAY");
    expect(problem.detail).toContain("ANDON_KILL=*");
  });

  it("keeps a client of an unknown lineage on its own state", async () => {
    const response = await fetch(`${server.url}/sdk/v1/snapshot`, {
      headers: { authorization: `Bearer ${token}`, "if-none-match": '"ffffffffffff.7"' },
    });
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("1");
  });

  it("heals by itself when the database is back: a kill reaches the client, its receipt is counted", async () => {
    await back();
    await until("the server is current", () => server.deps.snapshots.staleSeconds() === 0);
    const revision = await until("a kill goes through", async () => {
      try {
        return await setMaster(server, "off");
      } catch (error) {
        if (!(error instanceof Error && error.message.includes("503"))) throw error;
        return undefined;
      }
    });
    await until("the client has it", () => client.current()?.revision === revision);
    await until("the receipt is counted", async () => {
      const response = await server.api("GET", `/v1/environments/production/receipts?revision=${revision}`);
      return response.ok && (await jsonOf<Receipts>(response)).applied === 1;
    });
    expect(client.last()?.stale).toBeNull();
    expect(client.wentBack()).toBe(false);
    await setMaster(server, "on");
  });
});

describe("pages that the database is slow to answer", () => {
  it("keep no kill waiting, whoever opened them and however many", async () => {
    const admin = postgres(cluster.url(database), { max: 1, onnotice: () => undefined });
    try {
      await admin.begin(async (held) => {
        await held`lock table channels in access exclusive mode`;
        const pages = Array.from({ length: 30 }, () => server.api("GET", "/v1/environments/production/channels"));
        await until("pages wait", async () => {
          const [row] = await cluster.execute(
            "select count(*)::int as n from pg_stat_activity where application_name = 'andon pages' and wait_event_type = 'Lock'",
          );
          return row?.["n"] === 3;
        });
        const order: string[] = [];
        for (const page of pages) void page.then(() => order.push("page"));
        await setMaster(server, "on");
        order.push("kill");
        await Promise.all(pages);
        expect(order.at(-1)).toBe("page");
        const statuses = (await Promise.all(pages)).map(({ status }) => status);
        expect(new Set(statuses)).toEqual(new Set([503]));
      });
    } finally {
      await admin.end();
    }
  });
});
