/** An instance whose connection closes without a goodbye: said in receipts, and never taken for stopped. */
import { spawn } from "node:child_process";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { INSTANCE_PATH } from "../../sdk-client/src/protocol.ts";
import { listInstances } from "../../src/services/instances.ts";
import { getReceipts } from "../../src/services/receipts.ts";
import { setMaster } from "../support/changes.ts";
import { adminCtx, makeToken } from "../support/server-deps.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

/** More than what Node reads of one connection while its answers pile up. */
const MANY = 1000;

let server: TestServer;
let token: string;

beforeAll(async () => {
  server = await startServer();
  token = await makeToken(server.deps, { kind: "sdk" });
});
afterAll(() => server.close());

const ctx = () => adminCtx(server.deps);
const call = (instance: string, init: RequestInit = {}, headers: Record<string, string> = {}) =>
  fetch(`${server.url}${init.method === "DELETE" ? INSTANCE_PATH : "/sdk/v1/snapshot"}`, {
    ...init,
    headers: { authorization: `Bearer ${token}`, "andon-instance": instance, ...headers },
  });
const etag = () => server.deps.snapshots.environmentByKey("production")?.etag ?? "";
const instance = async (name: string) =>
  (await listInstances(ctx(), "production")).items.find((item) => item.instance === name);

/** Parks a poll; the function that breaks its connection. */
async function park(name: string): Promise<() => void> {
  const parked = server.deps.snapshots.parkedPolls;
  const connection = new AbortController();
  const poll = call(name, { signal: connection.signal }, { "if-none-match": etag(), prefer: "wait=25" });
  poll.catch(() => undefined);
  await until("the parked poll", () => server.deps.snapshots.parkedPolls > parked);
  return () => connection.abort();
}

it("a parked poll that is cut off marks its instance, which counts as live and as one that has not applied", async () => {
  const cut = await park("cut");
  expect(await instance("cut")).toMatchObject({ state: "live", disconnectedSeconds: null });
  cut();
  await until("the mark", async () => (await instance("cut"))?.disconnectedSeconds !== null);
  await setMaster(server, "off");
  const receipts = await getReceipts(ctx(), "production");
  expect(receipts).toMatchObject({ live: 1, applied: 0, stopped: 0 });
  expect(receipts.stragglers).toMatchObject([{ instance: "cut", disconnectedSeconds: expect.any(Number) }]);
  await (await call("cut")).arrayBuffer();
  expect(await instance("cut")).toMatchObject({ state: "live", disconnectedSeconds: null });
});

it("an old connection that closes after the next poll has come marks nothing", async () => {
  const cut = await park("moved");
  const again = await park("moved");
  cut();
  await until("the end of the old poll", () => server.deps.snapshots.parkedPolls === 1);
  await server.deps.instances.flush();
  expect(await instance("moved")).toMatchObject({ state: "live", disconnectedSeconds: null });
  again();
  await until("the end of the poll", () => server.deps.snapshots.parkedPolls === 0);
});

it("an instance that says goodbye has stopped, whatever its connection did before", async () => {
  const cut = await park("leaving");
  cut();
  expect((await call("leaving", { method: "DELETE" })).status).toBe(204);
  await until("the end", async () => (await instance("leaving"))?.state === "stopped");
  expect(await instance("leaving")).toMatchObject({ state: "stopped", disconnectedSeconds: null });
});

it("a poll that ends by itself, or by a change, marks nothing", async () => {
  const poll = call("patient", {}, { "if-none-match": etag(), prefer: "wait=1" });
  expect((await poll).status).toBe(304);
  await park("patient");
  await setMaster(server, "on");
  await until("the end of the poll", () => server.deps.snapshots.parkedPolls === 0);
  expect(await instance("patient")).toMatchObject({ state: "live", disconnectedSeconds: null });
});

it("a process that is killed with SIGKILL is marked at once", async () => {
  const headers = { authorization: `Bearer ${token}`, "andon-instance": "killed", prefer: "wait=25" };
  const request = { headers: { ...headers, "if-none-match": etag() } };
  const script = `fetch(${JSON.stringify(`${server.url}/sdk/v1/snapshot`)}, ${JSON.stringify(request)})`;
  const child = spawn(process.execPath, ["-e", script]);
  await until("the parked poll", () => server.deps.snapshots.parkedPolls === 1);
  child.kill("SIGKILL");
  await until("the mark", async () => (await instance("killed"))?.disconnectedSeconds !== null);
  expect(await instance("killed")).toMatchObject({ state: "live" });
});

it("polls sent one behind the other on one connection have one place, which goes with it", async () => {
  const { port, hostname } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  let answers = "";
  socket.setEncoding("utf8").on("data", (text: string) => (answers += text));
  const poll = `GET /sdk/v1/snapshot HTTP/1.1\r\nHost: andon\r\nAuthorization: Bearer ${token}\r\nIf-None-Match: ${etag()}\r\nPrefer: wait=25\r\n\r\n`;
  socket.write(poll.repeat(MANY));
  await until("all but the last are answered", () => answers.split("HTTP/1.1 304").length >= MANY);
  expect(server.deps.snapshots.parkedPolls).toBeLessThanOrEqual(1);
  socket.write(poll.repeat(MANY), () => socket.destroy());
  await until("the place is free", () => server.deps.snapshots.parkedPolls === 0);
});
