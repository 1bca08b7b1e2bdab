/** Instances whose connection is lost without a goodbye: shown within 3 s, never taken for stopped, never for applied. */
import { spawn } from "node:child_process";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { INSTANCE_PATH } from "../../sdk-client/src/wire/protocol.ts";
import { listAudit } from "../../src/services/shared/audit.ts";
import { writeHeard } from "../../src/services/instances/writes.ts";
import { listInstances } from "../../src/services/instances/instances.ts";
import { getReceipts } from "../../src/services/instances/receipts.ts";
import { setMaster } from "../support/changes.ts";
import { freshDatabase } from "../support/database.ts";
import { adminCtx, makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

/** More than what Node reads of one connection while its answers pile up. */
const MANY = 1000;
/** Below the silence after which a process counts as lost without a cut. */
const SHOWN_MS = 20_000;

let server: TestServer;
let token: string;

beforeAll(async () => {
  server = await startTestServer();
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
const isLost = (name: string) =>
  until(`${name} is lost`, async () => (await instance(name))?.state === "lost", SHOWN_MS);

interface Parked {
  answer: Promise<Response>;
  cut: () => void;
}

/** Parks a poll. */
async function park(name: string, headers: Record<string, string> = {}): Promise<Parked> {
  const parked = server.deps.snapshots.longPolls;
  const connection = new AbortController();
  const sent = { "if-none-match": etag(), prefer: "wait=25", ...headers };
  const answer = call(name, { signal: connection.signal }, sent);
  answer.catch(() => undefined);
  await until("the parked poll", () => server.deps.snapshots.longPolls > parked);
  return { answer, cut: () => connection.abort() };
}

it("a parked poll that is cut off is lost within seconds, counts in n, and as neither applied nor stopped", async () => {
  const { cut } = await park("cut");
  expect(await instance("cut")).toMatchObject({ state: "live", disconnectedSeconds: null });
  cut();
  await isLost("cut");
  await setMaster(server, "off");
  const receipts = await getReceipts(ctx(), "production");
  expect(receipts).toMatchObject({ live: 1, applied: 0, lost: 1, behind: 1, stopped: 0 });
  expect(receipts.stragglers).toMatchObject([{ instance: "cut", disconnectedSeconds: expect.any(Number) }]);
  await (await call("cut")).arrayBuffer();
  expect(await instance("cut")).toMatchObject({ state: "live", disconnectedSeconds: null });
  expect(await getReceipts(ctx(), "production")).toMatchObject({ live: 1, lost: 0 });
  await call("cut", { method: "DELETE" });
});

it("one that goes in the moment of the kill, answered and never heard of again, is lost within seconds; one that pauses is not", async () => {
  await (await call("pausing", {}, { connection: "close" })).arrayBuffer();
  expect((await call("pausing", {}, { "if-none-match": etag(), connection: "close" })).status).toBe(304);
  const { answer } = await park("answered");
  await setMaster(server, "on");
  expect((await answer).status).toBe(200);
  expect(await instance("answered")).toMatchObject({ state: "live" });
  await isLost("answered");
  expect(await getReceipts(ctx(), "production")).toMatchObject({ live: 2, applied: 0, lost: 1, behind: 2 });
  expect(await instance("pausing")).toMatchObject({ state: "live", disconnectedSeconds: null });
  for (const name of ["answered", "pausing"]) await call(name, { method: "DELETE" });
});

it("clients of a server that stops are lost, but for those that come to another one: a restart makes no ghosts", async () => {
  const database = await freshDatabase("postgres");
  const [stopping, other] = [await startTestServer({ database }), await startTestServer({ database })];
  try {
    const authorization = `Bearer ${await makeToken(stopping.deps, { kind: "sdk" })}`;
    const etagOf = stopping.deps.snapshots.environmentByKey("production")?.etag ?? "";
    const poll = (url: string, name: string, wait: number) =>
      fetch(`${url}/sdk/v1/snapshot`, {
        headers: { authorization, "andon-instance": name, "if-none-match": etagOf, prefer: `wait=${wait}` },
      });
    const parked = ["ends-meanwhile", "moves"].map((name) => poll(stopping.url, name, 25));
    await until("both are parked", () => stopping.deps.snapshots.longPolls === 2);
    await poll(stopping.url, "does-not-wait", 0);
    stopping.drain();
    await Promise.all(parked);
    await Promise.all([poll(stopping.url, "ends-meanwhile", 25), poll(other.url, "moves", 0)]);
    await stopping.close();
    const states = async () => {
      const { items } = await listInstances(adminCtx(other.deps), "production");
      return Object.fromEntries(items.map(({ instance: name, state }) => [name, state]));
    };
    await until("the loss shows", async () => (await states())["ends-meanwhile"] === "lost", SHOWN_MS);
    expect(await states()).toEqual({ "ends-meanwhile": "lost", moves: "live", "does-not-wait": "live" });
  } finally {
    await other.close();
  }
});

it("one that had applied a change and was lost since no longer counts as applied, and is no straggler", async () => {
  const { cut } = await park("proven");
  expect(await getReceipts(ctx(), "production")).toMatchObject({ live: 1, applied: 1, lost: 0 });
  cut();
  await isLost("proven");
  const receipts = await getReceipts(ctx(), "production");
  expect(receipts).toMatchObject({ live: 1, applied: 0, behind: 0, stragglers: [], lostInstances: ["proven"] });
  await call("proven", { method: "DELETE" });
});

it("an old connection that closes after the next poll has come marks nothing", async () => {
  const first = await park("moved");
  const again = await park("moved");
  first.cut();
  await until("the end of the old poll", () => server.deps.snapshots.longPolls === 1);
  await server.deps.instances.flush();
  expect(await instance("moved")).toMatchObject({ state: "live", disconnectedSeconds: null });
  again.cut();
  await until("the end of the poll", () => server.deps.snapshots.longPolls === 0);
  await call("moved", { method: "DELETE" });
});

it("an instance that says goodbye has stopped, whatever its connection did before", async () => {
  const { cut } = await park("leaving");
  cut();
  expect((await call("leaving", { method: "DELETE" })).status).toBe(204);
  await until("the end", async () => (await instance("leaving"))?.state === "stopped");
  expect(await instance("leaving")).toMatchObject({ stoppedBy: "goodbye", disconnectedSeconds: null });
});

it("two processes of one name are two; a third that comes after the loss of one takes its place", async () => {
  const names = async () => {
    const { items } = await listInstances(ctx(), "production");
    return items.filter((item) => item.instance.startsWith("twin")).map((item) => `${item.instance} ${item.state}`);
  };
  const first = await park("twin", { "andon-boot": "a" });
  await server.deps.instances.flush();
  const second = await park("twin", { "andon-boot": "b" });
  expect(await names()).toEqual(["twin live", "twin (2) live"]);
  expect(await getReceipts(ctx(), "production")).toMatchObject({ live: 2, applied: 2 });
  first.cut();
  await until("the loss", async () => (await names()).includes("twin lost"));
  expect(await names()).toEqual(["twin (2) live", "twin lost"]);
  const third = await park("twin", { "andon-boot": "c" });
  expect(await names()).toEqual(["twin live", "twin (2) live", "twin stopped"]);
  expect(await getReceipts(ctx(), "production")).toMatchObject({ live: 2, applied: 2, lost: 0 });
  for (const boot of ["b", "c"]) await call("twin", { method: "DELETE" }, { "andon-boot": boot });
  second.cut();
  third.cut();
  await until("the end of the polls", () => server.deps.snapshots.longPolls === 0);
  expect(await getReceipts(ctx(), "production")).toMatchObject({ live: 0 });
});

it("one under ANDON_KILL has applied a kill, and not the restore of what it holds off", async () => {
  const held = await park("held", { "andon-local": "some-flag,*" });
  const other = await park("other", { "andon-local": "some-flag" });
  await setMaster(server, "off");
  await Promise.all([held.answer, other.answer]);
  const again = await Promise.all(
    ["*", "some-flag"].map((local, n) => park(n === 0 ? "held" : "other", { "andon-local": local })),
  );
  expect(await getReceipts(ctx(), "production")).toMatchObject({ live: 2, applied: 2, local: 0 });
  await setMaster(server, "on");
  await Promise.all(again.map(({ answer }) => answer));
  const last = await Promise.all(
    ["*", "some-flag"].map((local, n) => park(n === 0 ? "held" : "other", { "andon-local": local })),
  );
  expect(await getReceipts(ctx(), "production")).toMatchObject({
    live: 2,
    applied: 1,
    behind: 0,
    local: 1,
    localInstances: ["held"],
  });
  expect(await instance("held")).toMatchObject({ local: ["*"] });
  for (const { cut } of last) cut();
  await until("the end of the polls", () => server.deps.snapshots.longPolls === 0);
});

it("a process that is killed with SIGKILL is marked at once", async () => {
  const headers = { authorization: `Bearer ${token}`, "andon-instance": "killed", prefer: "wait=25" };
  const request = { headers: { ...headers, "if-none-match": etag() } };
  const script = `fetch(${JSON.stringify(`${server.url}/sdk/v1/snapshot`)}, ${JSON.stringify(request)})`;
  const child = spawn(process.execPath, ["-e", script]);
  await until("the parked poll", () => server.deps.snapshots.longPolls === 1);
  child.kill("SIGKILL");
  await isLost("killed");
});

it("a process that is declared dead leaves every count; when it polls again it counts at once, and who was wrong is told", async () => {
  const operator = await makeToken(server.deps, { kind: "op", role: "operator" });
  const declare = (path: string, body: unknown = {}) =>
    fetch(`${server.url}/v1/environments/production/instances/${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${operator}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const first = await park("doomed", { "andon-boot": "a" });
  await server.deps.instances.flush();
  const second = await park("doomed", { "andon-boot": "b" });
  const stays = await park("stays");
  const id = (await instance("doomed"))?.id ?? "";
  expect((await declare(`${id}/dead`)).status, "one that is connected").toBe(409);
  first.cut();
  second.cut();
  await isLost("doomed");
  await isLost("doomed (2)");
  const before = await listInstances(ctx(), "production");
  const lost = before.items.filter(({ state, instance: name }) => state === "lost" && name.startsWith("doomed"));
  expect(lost.map(({ instance: name }) => name)).toEqual(["doomed", "doomed (2)"]);
  // The second one alone: its name is a number, not the process.
  const one = await declare(`${lost[1]?.id ?? ""}/dead`, { reason: "its node is gone" });
  expect(await one.json()).toMatchObject({ instances: ["doomed (2)"], declared: 1 });
  expect((await getReceipts(ctx(), "production")).live).toBe(before.live + before.lost - 1);
  expect((await declare("dead", { lostBefore: "2001-01-01T00:00:00Z" })).ok).toBe(true);
  expect((await getReceipts(ctx(), "production")).lost, "nobody was lost then").toBe(before.lost - 1);
  const all = await declare("dead", { lostBefore: (await listInstances(ctx(), "production")).at });
  expect(await all.json()).toMatchObject({ declared: before.lost - 1 });
  expect(await getReceipts(ctx(), "production")).toMatchObject({ live: 1, lost: 0, stragglers: [], silent: [] });
  const metrics = await server.api("GET", "/metrics");
  expect(await metrics.text()).toContain('andon_instances{environment="production",state="lost"} 0');
  expect((await instance("doomed"))?.stoppedBy).toBe("declared");

  // Another server that heard of the same loss late does not bring it back.
  const late = { environmentId: "", instance: "doomed", boot: "a" };
  late.environmentId = server.deps.snapshots.environmentByKey("production")?.environmentId ?? "";
  const heard = { ...late, app: null, sdk: null, local: null, applied: null, appliedAtMs: null, stopped: false };
  await writeHeard(server.deps.db, [{ ...heard, firstSeenMs: 0, lastSeenMs: 0, disconnectedAtMs: 0 }], 60_000);
  expect((await instance("doomed"))?.state).toBe("stopped");

  const again = await park("doomed", { "andon-boot": "a" });
  await until("it counts", async () => (await instance("doomed"))?.state === "live");
  expect(await getReceipts(ctx(), "production")).toMatchObject({ live: 2, applied: 2 });
  expect((await instance("doomed"))?.declaredDead).toMatchObject({ by: "test op", at: expect.any(String) });
  await server.deps.instances.flush();
  const { items } = await listAudit(ctx(), "production", { limit: 4 });
  expect(items.map(({ action, target, actor, reason }) => [action, target.key, actor.name, reason])).toEqual([
    ["instance.returned", "doomed", "fleet", "was declared dead by test op, and is heard of again"],
    ["instance.declared-dead", `all ${before.lost - 1} whose connection was lost`, "test op", null],
    ["instance.declared-dead", "doomed (2)", "test op", "its node is gone"],
    expect.anything(),
  ]);
  again.cut();
  stays.cut();
  await until("the end of the polls", () => server.deps.snapshots.longPolls === 0);
});

it("polls sent one behind the other on one connection have one place, which goes with it", async () => {
  const { port, hostname } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  let answers = "";
  socket.setEncoding("utf8").on("data", (text: string) => (answers += text));
  const poll = `GET /sdk/v1/snapshot HTTP/1.1\r\nHost: andon\r\nAuthorization: Bearer ${token}\r\nIf-None-Match: ${etag()}\r\nPrefer: wait=25\r\n\r\n`;
  socket.write(poll.repeat(MANY));
  await until("all but the last are answered", () => answers.split("HTTP/1.1 304").length >= MANY);
  expect(server.deps.snapshots.longPolls).toBeLessThanOrEqual(1);
  socket.write(poll.repeat(MANY), () => socket.destroy());
  await until("the place is free", () => server.deps.snapshots.longPolls === 0);
});
