/** What an alert on receipts sees over time: it does not heal by itself, and it does not last for days. */
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, it } from "vitest";
import { INSTANCE_PATH } from "../../sdk-client/src/wire/protocol.ts";
import { instances } from "../../src/db/schema/state.ts";
import { setMaster } from "../support/changes.ts";
import { makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

let server: TestServer;
let token: string;
beforeAll(async () => {
  server = await startTestServer();
  token = await makeToken(server.deps, { kind: "sdk" });
});
afterAll(() => server.close());

const etag = () => server.deps.snapshots.environmentByKey("production")?.etag ?? "";
let isOn = true;
const makeChange = async () => {
  isOn = !isOn;
  await setMaster(server, isOn ? "on" : "off");
};

async function call(boot: string, headers: Record<string, string> = {}, init: RequestInit = {}): Promise<Response> {
  const path = init.method === "DELETE" ? INSTANCE_PATH : "/sdk/v1/snapshot";
  const sent = { authorization: `Bearer ${token}`, "andon-instance": "host", "andon-boot": boot, ...headers };
  const response = await fetch(`${server.url}${path}`, { ...init, headers: sent });
  await response.arrayBuffer();
  return response;
}
/** It decides by the newest revision, and waits; the function that breaks its connection. */
async function waits(boot: string): Promise<{ cut: () => void; answer: Promise<unknown> }> {
  const parked = server.deps.snapshots.longPolls;
  const connection = new AbortController();
  const answer = call(boot, { "if-none-match": etag(), prefer: "wait=25" }, { signal: connection.signal });
  const settled = answer.catch(() => undefined);
  await until("the parked poll", () => server.deps.snapshots.longPolls > parked);
  return { cut: () => connection.abort(), answer: settled };
}
/** It decides by the newest revision, and pauses between its polls. */
const applies = (boot: string) => call(boot, { "if-none-match": etag() });

const MINUTE = 60;
/** Time passes for the database: everything that is remembered is older. */
async function later(seconds: number): Promise<void> {
  await server.deps.instances.flush();
  const older = (column: string) => sql.raw(`${column} = ${column} - interval '${seconds} seconds'`);
  const columns = ["first_seen", "last_seen", "applied_at", "disconnected_at", "stopped_at"].map(older);
  await server.deps.db.execute(sql`update instances set ${sql.join(columns, sql`, `)}`);
}

interface Gauges {
  behind: number;
  current: number;
  live: number;
  lost: number;
  silent: number;
}

async function gauges(): Promise<Gauges> {
  await server.deps.instances.flush();
  const text = await (await server.api("GET", "/metrics")).text();
  const value = (name: string, labels = "") =>
    Number(new RegExp(`^${name}\\{environment="production"${labels}\\} (\\S+)$`, "m").exec(text)?.[1]);
  return {
    behind: value("andon_instances_behind"),
    current: value("andon_instances_current"),
    live: value("andon_instances", ',state="live"'),
    lost: value("andon_instances", ',state="lost"'),
    silent: value("andon_instances", ',state="silent"'),
  };
}
const isLost = () => until("the loss", async () => (await gauges()).lost === 1);

const AWAY = [1, 1, 1, 0];
const FINE = [0, 0, 0, 0];
const cases: [string, () => Promise<void>, number[]][] = [
  [
    "killed while it waits, before a change",
    async () => {
      (await waits("a")).cut();
      await isLost();
      await makeChange();
    },
    AWAY,
  ],
  [
    "killed, or frozen, in the moment of a change",
    async () => {
      const { answer } = await waits("a");
      await makeChange();
      await answer;
      await isLost();
    },
    AWAY,
  ],
  [
    "frozen between polls that do not wait",
    async () => {
      await applies("a");
      await makeChange();
    },
    AWAY,
  ],
  [
    "restarted under its name",
    async () => {
      (await waits("a")).cut();
      await isLost();
      await makeChange();
      await applies("b");
    },
    FINE,
  ],
  [
    "stopped with a goodbye",
    async () => {
      await applies("a");
      await call("a", {}, { method: "DELETE" });
      await makeChange();
    },
    FINE,
  ],
];

it.each(cases)("%s: behind after 5 s, 2 min, 50 min, 2 h", async (_how, happens, behind) => {
  await server.deps.instances.flush();
  await server.deps.db.delete(instances);
  await happens();
  const seen: number[] = [];
  for (const seconds of [5, 2 * MINUTE - 5, 48 * MINUTE, 70 * MINUTE]) {
    await later(seconds);
    seen.push((await gauges()).behind);
  }
  expect(seen).toEqual(behind);
});

it("a process that was killed is not live and current, and one that comes back is", async () => {
  await server.deps.db.delete(instances);
  const { cut } = await waits("a");
  expect(await gauges()).toMatchObject({ behind: 0, current: 1, live: 1, lost: 0 });
  cut();
  await isLost();
  expect(await gauges()).toMatchObject({ behind: 0, current: 0, live: 0, lost: 1 });
  await makeChange();
  expect(await gauges()).toMatchObject({ behind: 1, lost: 1 });
  await applies("a");
  expect(await gauges()).toMatchObject({ behind: 0, current: 1, live: 1, lost: 0 });
});
