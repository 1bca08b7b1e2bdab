/** Several servers on one PostgreSQL are one Andon: a change through any reaches the clients of all. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import postgres from "postgres";
import type { InstanceList, Receipts } from "../../src/api/instance.ts";
import { setMaster } from "../support/changes.ts";
import { freshPostgres } from "../support/database.ts";
import { type PollLoop, startPolling } from "../support/poll-loop.ts";
import { makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { jsonOf } from "../support/json.ts";

const CLIENTS_EACH = 10;

let url: string;
let a: TestServer;
let b: TestServer;
let clients: PollLoop[];

beforeAll(async () => {
  url = await freshPostgres();
  const database = { kind: "postgres", url } as const;
  [a, b] = await Promise.all([startTestServer({ database }), startTestServer({ database })]);
  const token = await makeToken(a.deps, { kind: "sdk" });
  await until("B knows the token", () => b.deps.tokens.find(token));
  clients = [a, b].flatMap((server, index) =>
    Array.from({ length: CLIENTS_EACH }, (_, n) =>
      startPolling({ url: () => server.url, token, instance: `${index === 0 ? "a" : "b"}-${n}` }),
    ),
  );
  await until(
    "every client is parked",
    () => a.deps.snapshots.longPolls + b.deps.snapshots.longPolls === 2 * CLIENTS_EACH,
  );
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.stop()));
  await Promise.all([a.close(), b.close()]);
});

const allHave = (revision: string) => clients.every((client) => client.current()?.revision === revision);
const receiptsFrom = async (server: TestServer, revision: string): Promise<Receipts> => {
  const response = await server.api("GET", `/v1/environments/production/receipts?revision=${revision}`);
  expect(response.status).toBe(200);
  return jsonOf(response);
};

describe("a kill through A", () => {
  it("reaches the clients of A and B, and the receipts asked of either are complete", async () => {
    const revision = await setMaster(a, "off");
    await until("all clients have it", () => allHave(revision));
    for (const server of [a, b]) {
      const receipts = await until("the receipts are complete", async () => {
        const now = await receiptsFrom(server, revision);
        return now.applied === 2 * CLIENTS_EACH ? now : undefined;
      });
      expect(receipts).toMatchObject({ revision, live: 2 * CLIENTS_EACH, stragglers: [], silent: [], stopped: 0 });
      expect(receipts.p50Ms).toBeGreaterThanOrEqual(0);
      expect(receipts.lastMs).toBeGreaterThanOrEqual(receipts.p50Ms ?? Infinity);
    }
  });

  it("does not wait for receipts and usage of its environment that are being written", async () => {
    const writer = postgres(url, { max: 1 });
    await writer.begin(async (tx) => {
      const [environment] = await tx`select id from environments where key = 'production'`;
      const id = String(environment?.["id"]);
      await tx`insert into instances (environment_id, instance) values (${id}, 'being written')`;
      await tx`insert into usage_batches (environment_id, batch_id, received_at, accepted) values (${id}, 'being written', now(), 0)`;
      await setMaster(a, "on");
      await setMaster(a, "off");
      await tx`delete from instances where instance = 'being written'`;
      await tx`delete from usage_batches where batch_id = 'being written'`;
    });
    await writer.end();
  });

  it("reaches the clients of B within seconds when every LISTEN is cut", async () => {
    const admin = postgres(url, { max: 1 });
    const before =
      await admin`select pid from pg_stat_activity where datname = current_database() and application_name = 'andon listen'`;
    expect(before.length).toBe(2);
    await admin`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'andon listen'`;
    const revision = await setMaster(a, "on");
    await until("all clients have it", () => allHave(revision));
    const pids = before.map((row) => row["pid"]);
    await until("both listen again", async () => {
      const now =
        await admin`select pid from pg_stat_activity where datname = current_database() and application_name = 'andon listen' and query ilike 'listen%'`;
      return now.length === 2 && now.every((row) => !pids.includes(row["pid"]));
    });
    await admin.end();
  });

  it("reaches the clients of B within seconds when its NOTIFY is lost", async () => {
    const admin = postgres(url, { max: 1 });
    await admin`update environments set revision = revision + 1, master_state = 'off' where key = 'production'`;
    const revision = await until("A serves it", () => {
      const served = a.deps.snapshots.environmentByKey("production");
      return served?.snapshot.master.state === "off" ? served.revision : undefined;
    });
    await until("all clients have it", () => allHave(revision));
    await admin.end();
  });

  it("never makes any client go back", () => {
    expect(clients.filter((client) => client.wentBack())).toEqual([]);
  });
});

describe("a token revoked through A", () => {
  it("is refused by B within seconds", async () => {
    const token = await makeToken(a.deps, { kind: "sdk", name: "to be revoked" });
    await until("B knows it", () => b.deps.tokens.find(token));
    const { items } = await jsonOf<{ items: { id: string; name: string }[] }>(await a.api("GET", "/v1/tokens"));
    const id = items.find(({ name }) => name === "to be revoked")?.id;
    await a.api("DELETE", `/v1/tokens/${id}`);
    await until("B refuses it", () => b.deps.tokens.find(token) === null, 3000);
  });
});

describe("a client that says it stopped", () => {
  it("is counted as stopped, not as a straggler", async () => {
    const token = await makeToken(a.deps, { kind: "sdk", name: "stopping", environments: ["staging"] });
    await until("B knows the token", () => b.deps.tokens.find(token));
    const client = startPolling({ url: () => a.url, token, instance: "s-1" });
    await until("it is parked", () => a.deps.snapshots.longPolls === CLIENTS_EACH + 1);
    await client.stop();
    const stop = await fetch(`${b.url}/sdk/v1/instance`, {
      method: "DELETE",
      headers: { authorization: `Bearer ${token}`, "andon-instance": "s-1" },
    });
    expect(stop.status).toBe(204);
    await setMaster(a, "off", "staging");
    const receipts = await jsonOf<Receipts>(await b.api("GET", "/v1/environments/staging/receipts"));
    expect(receipts).toMatchObject({ stopped: 1, live: 0, applied: 0, stragglers: [], silent: [] });
    const stopped = await until("A knows it too", async () => {
      const list = await jsonOf<InstanceList>(await a.api("GET", "/v1/environments/staging/instances"));
      return list.items.find(({ state }) => state === "stopped");
    });
    expect(stopped).toMatchObject({ instance: "s-1", app: "test" });
  });
});

describe("a client whose polls go to one server and the other in turn", () => {
  it("is never called lost by the one that it did not come back to; one that vanishes is, by both", async () => {
    const token = await makeToken(a.deps, { kind: "sdk", name: "moving", environments: ["staging"] });
    await until("B knows the token", () => b.deps.tokens.find(token));
    const { etag } = a.deps.snapshots.environmentByKey("staging") ?? { etag: "" };
    const gone = new AbortController();
    const poll = (server: TestServer, instance: string, seconds: number) =>
      fetch(`${server.url}/sdk/v1/snapshot`, {
        signal: gone.signal,
        headers: {
          authorization: `Bearer ${token}`,
          "andon-instance": instance,
          "if-none-match": etag,
          prefer: `wait=${seconds}`,
        },
      });
    const parked = await Promise.all(["mover", "vanisher"].map((instance) => poll(a, instance, 1)));
    expect(parked.map(({ status }) => status)).toEqual([304, 304]);
    const onB = poll(b, "mover", 25).catch(() => undefined);
    for (const server of [a, b]) {
      const states = await until("the other is lost", async () => {
        const list = await jsonOf<InstanceList>(await server.api("GET", "/v1/environments/staging/instances"));
        const now = new Map(list.items.map(({ instance, state }) => [instance, state]));
        return now.get("vanisher") === "lost" ? now : undefined;
      });
      expect(states.get("mover")).toBe("live");
    }
    gone.abort();
    await onB;
  });
});
