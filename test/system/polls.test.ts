/** The client's poll, through a real port. */
import { gunzipSync } from "node:zlib";
import { Agent, type IncomingHttpHeaders, request } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseRevision } from "../../sdk-client/src/wire/revision.ts";
import type { Snapshot } from "../../sdk-client/src/wire/protocol.ts";
import { setMaster } from "../support/changes.ts";
import { makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { jsonOf } from "../support/json.ts";

let server: TestServer;
let token: string;

beforeAll(async () => {
  server = await startTestServer();
  token = await makeToken(server.deps, { kind: "sdk" });
});
afterAll(() => server.close());

const poll = (headers: Record<string, string> = {}, init: RequestInit = {}) =>
  fetch(`${server.url}/sdk/v1/snapshot`, { ...init, headers: { authorization: `Bearer ${token}`, ...headers } });
const served = () => {
  const snapshot = server.deps.snapshots.environmentByKey("production");
  if (snapshot === undefined) throw new Error("no snapshot");
  return snapshot;
};

/** As it comes over the wire: nothing is unpacked. */
const raw = (
  headers: Record<string, string>,
  { method = "GET", path = "/sdk/v1/snapshot", agent = new Agent() } = {},
) =>
  new Promise<{ headers: IncomingHttpHeaders; body: Buffer }>((resolve, reject) => {
    const sent = request(
      `${server.url}${path}`,
      { method, agent, headers: { authorization: `Bearer ${token}`, ...headers } },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(chunks) }));
      },
    );
    sent.on("error", reject).end();
  });

describe("GET /sdk/v1/snapshot", () => {
  it("answers the snapshot with its revision as ETag", async () => {
    const response = await poll();
    expect(response.status).toBe(200);
    const snapshot = await jsonOf<Snapshot>(response);
    expect(snapshot).toMatchObject({ version: 1, environment: "production", master: { state: "on" }, flags: {} });
    expect(response.headers.get("etag")).toBe(`"${snapshot.revision}"`);
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(response.headers.get("andon-stale")).toBeNull();
  });

  it("answers 304 without a body to a client that has it", async () => {
    const response = await poll({ "if-none-match": served().etag });
    expect(response.status).toBe(304);
    expect(response.headers.get("etag")).toBe(served().etag);
    expect(await response.text()).toBe("");
  });

  it("takes a malformed If-None-Match for none", async () => {
    for (const value of ["*", "garbage", '"no-dot"', '"a.b"', `"${"x".repeat(300)}.1"`]) {
      expect((await poll({ "if-none-match": value })).status).toBe(200);
    }
  });

  it("sends gzip only to those who take it, the same bytes inside", async () => {
    const [zipped, plain, refused] = await Promise.all(
      ["br, gzip", "identity", "gzip;q=0"].map((encoding) => raw({ "accept-encoding": encoding })),
    );
    if (zipped === undefined || plain === undefined) throw new Error("no answer");
    expect(zipped.headers["content-encoding"]).toBe("gzip");
    expect(plain.headers["content-encoding"]).toBeUndefined();
    expect(refused?.headers["content-encoding"]).toBeUndefined();
    expect(gunzipSync(zipped.body).equals(plain.body)).toBe(true);
  });

  it("refuses labels that are too long or not printable, naming the header", async () => {
    const response = await poll({ "andon-instance": "x".repeat(129) });
    expect(response.status).toBe(422);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(await response.json()).toMatchObject({ code: "INVALID", errors: [{ path: "Andon-Instance" }] });
  });

  it("is for sdk tokens only", async () => {
    const [op, kill] = await Promise.all([
      makeToken(server.deps, { kind: "op", role: "admin" }),
      makeToken(server.deps, { kind: "kill" }),
    ]);
    expect((await poll({ authorization: `Bearer ${op}` })).status).toBe(403);
    expect((await poll({ authorization: `Bearer ${kill}` })).status).toBe(403);
    expect((await poll({ authorization: "Bearer andon_sdk_unknown" })).status).toBe(401);
    expect((await poll({ authorization: "" })).status).toBe(401);
  });

  it("shows each token its own environment", async () => {
    const staging = await makeToken(server.deps, { kind: "sdk", environments: ["staging"] });
    const response = await poll({ authorization: `Bearer ${staging}` });
    expect(await response.json()).toMatchObject({ environment: "staging" });
  });
});

describe("a poll with Prefer: wait", () => {
  it("is answered with the new snapshot as soon as it changes", async () => {
    const before = served();
    const parked = poll({ "if-none-match": before.etag, prefer: "wait=25" });
    await until("the poll is parked", () => server.deps.snapshots.longPolls === 1);
    await setMaster(server, "off");
    const response = await parked;
    expect(response.status).toBe(200);
    const snapshot = await jsonOf<Snapshot>(response);
    expect(snapshot.master.state).toBe("off");
    expect(parseRevision(snapshot.revision)?.n).toBe(before.n + 1);
    expect(server.deps.snapshots.longPolls).toBe(0);
  });

  it.each([
    ["gzip", "gzip", "GET", ""],
    ["without compression", "identity", "GET", ""],
    ["to HEAD, without a body", "gzip", "HEAD", ""],
    ["at an address with a query", "gzip", "GET", "?x=1"],
  ])("is answered with what one that does not wait gets: %s", async (_how, encoding, method, query) => {
    const path = `/sdk/v1/snapshot${query}`;
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const waiting = { "accept-encoding": encoding, "if-none-match": served().etag, prefer: "wait=25" };
    const parked = raw(waiting, { method, path, agent });
    await until("the poll is parked", () => server.deps.snapshots.longPolls === 1);
    await setMaster(server, served().snapshot.master.state === "on" ? "off" : "on");
    const answer = await parked;
    const { date: _then, ...headers } = answer.headers;
    // On the same connection: an answer that was sent twice or cut short would be in its way.
    const { date: _now, ...expected } = (await raw({ "accept-encoding": encoding }, { method, path, agent })).headers;
    expect(headers).toEqual(expected);
    expect(headers.etag).toBe(served().etag);
    const body = method === "HEAD" ? Buffer.alloc(0) : encoding === "gzip" ? served().gzip : served().json;
    expect(answer.body.equals(body)).toBe(true);
    agent.destroy();
  });

  it("is parked however long the client is ready to wait", async () => {
    const away = new AbortController();
    const headers = { "if-none-match": served().etag, prefer: "wait=1000000000" };
    const parked = poll(headers, { signal: away.signal });
    await until("the poll is parked", () => server.deps.snapshots.longPolls === 1);
    away.abort();
    await expect(parked).rejects.toThrow();
    await until("the poll is forgotten", () => server.deps.snapshots.longPolls === 0);
  });

  it("is not parked when the client is behind", async () => {
    const { lineage, n } = served();
    const response = await poll({ "if-none-match": `"${lineage}.${n - 1}"`, prefer: "wait=25" });
    expect(response.status).toBe(200);
  });

  it("leaves nothing behind when the client goes away", async () => {
    const away = new AbortController();
    const parked = poll({ "if-none-match": served().etag, prefer: "wait=25" }, { signal: away.signal });
    await until("the poll is parked", () => server.deps.snapshots.longPolls === 1);
    away.abort();
    await expect(parked).rejects.toThrow();
    await until("the poll is forgotten", () => server.deps.snapshots.longPolls === 0);
  });

  it("is refused when the token was revoked while it waited", async () => {
    const revoked = await makeToken(server.deps, { kind: "sdk", name: "revoked" });
    const parked = poll({ authorization: `Bearer ${revoked}`, "if-none-match": served().etag, prefer: "wait=25" });
    await until("the poll is parked", () => server.deps.snapshots.longPolls === 1);
    const { items } = await jsonOf<{ items: { id: string; name: string }[] }>(await server.api("GET", "/v1/tokens"));
    const id = items.find(({ name }) => name === "revoked")?.id;
    expect((await server.api("DELETE", `/v1/tokens/${id}`)).ok).toBe(true);
    await setMaster(server, "on");
    expect((await parked).status).toBe(401);
  });

  it("is answered at once with 304 when the server drains", async () => {
    const draining = await startTestServer();
    const sdk = await makeToken(draining.deps, { kind: "sdk" });
    const etag = draining.deps.snapshots.environmentByKey("production")?.etag ?? "";
    const parked = fetch(`${draining.url}/sdk/v1/snapshot`, {
      headers: { authorization: `Bearer ${sdk}`, "if-none-match": etag, prefer: "wait=25" },
    });
    await until("the poll is parked", () => draining.deps.snapshots.longPolls === 1);
    draining.drain();
    expect((await parked).status).toBe(304);
    expect((await fetch(`${draining.url}/readyz`)).status).toBe(503);
    await draining.close();
  });
});
