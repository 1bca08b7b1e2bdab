/** Rewound history gets a new lineage, which clients follow; nobody is answered with something older in the same one. */
import { beforeEach, describe, expect, it } from "vitest";
import postgres from "postgres";
import { parseRevision } from "../../sdk-client/src/wire/revision.ts";
import type { Snapshot } from "../../sdk-client/src/wire/protocol.ts";
import { setMaster } from "../support/changes.ts";
import { freshPostgres } from "../support/database.ts";
import { startPolling } from "../support/poll-loop.ts";
import { makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { jsonOf } from "../support/json.ts";

let url: string;
let admin: postgres.Sql;
let server: TestServer;
let token: string;

beforeEach(async () => {
  url = await freshPostgres();
  admin = postgres(url, { max: 1 });
  server = await startTestServer({ database: { kind: "postgres", url } });
  token = await makeToken(server.deps, { kind: "sdk" });
  return async () => {
    await server.close();
    await admin.end();
  };
});

const served = () => {
  const snapshot = server.deps.snapshots.environmentByKey("production");
  if (snapshot === undefined) throw new Error("no snapshot");
  return snapshot;
};

const pollWith = (revision: string, at = server) =>
  fetch(`${at.url}/sdk/v1/snapshot`, {
    headers: { authorization: `Bearer ${token}`, "if-none-match": `"${revision}"` },
  });

describe("a table that was rewound under a running server", () => {
  it("gets a new lineage, which a client follows to the older state, and is audited", async () => {
    await setMaster(server, "off");
    await setMaster(server, "on");
    const client = startPolling({ url: () => server.url, token, instance: "i-1" });
    await until("the client is current", () => client.current()?.revision === served().revision);
    const before = parseRevision(served().revision);
    await admin`update environments set revision = 1, master_state = 'off' where key = 'production'`;
    await until("the client has the state there is", () => client.current()?.master.state === "off");
    const after = parseRevision(client.current()?.revision ?? "");
    expect(after?.n).toBe(1);
    expect(after?.lineage).not.toBe(before?.lineage);
    const [entry] = await admin`select action from audit order by id desc limit 1`;
    expect(entry).toEqual({ action: "environment.lineage_replaced" });
    await client.stop();
  });
});

describe("a client that has seen a later revision than the database has", () => {
  it("gets the state there is in a new lineage", async () => {
    const { lineage } = served();
    const response = await pollWith(`${lineage}.999`);
    expect(response.status).toBe(200);
    const after = parseRevision((await jsonOf<Snapshot>(response)).revision);
    expect(after?.lineage).not.toBe(lineage);
  });

  it("cannot cause more than one new lineage an hour, at whatever server: after it, it is told to keep its state", async () => {
    await pollWith(`${served().lineage}.999`);
    const { lineage } = served();
    const again = await pollWith(`${lineage}.999`);
    expect(again.status).toBe(503);
    const other = await startTestServer({ database: { kind: "postgres", url } });
    const there = await pollWith(`${lineage}.999`, other);
    expect(there.status).toBe(503);
    expect(other.deps.snapshots.environmentByKey("production")?.lineage).toBe(lineage);
    await other.close();
  });

  it("is believed again after that hour", async () => {
    await pollWith(`${served().lineage}.999`);
    const { lineage } = served();
    await admin`update audit set at = at - interval '61 minutes'`;
    const other = await startTestServer({ database: { kind: "postgres", url } });
    const response = await pollWith(`${lineage}.999`, other);
    expect(response.status).toBe(200);
    expect(other.deps.snapshots.environmentByKey("production")?.lineage).not.toBe(lineage);
    await other.close();
  });

  it("is believed for its own environment only: the others keep their lineage", async () => {
    await server.api("POST", "/v1/environments", { key: "staging", name: "Staging" });
    const staging = server.deps.snapshots.environmentByKey("staging")?.revision;
    await pollWith(`${served().lineage}.999`);
    await server.deps.snapshots.refresh();
    expect(server.deps.snapshots.environmentByKey("staging")?.revision).toBe(staging);
  });

  it("does not keep this server from believing itself a moment later", async () => {
    await pollWith(`${served().lineage}.999`);
    const { lineage } = served();
    await setMaster(server, "off");
    await admin`update environments set revision = 1 where key = 'production'`;
    await until("a new lineage", () => served().lineage !== lineage);
    expect(served().n).toBe(1);
  });
});

describe("a server that lags behind a client", () => {
  it("reads afresh and answers with what the client has, never with something older", async () => {
    const other = await startTestServer({ database: { kind: "postgres", url } });
    const revision = await setMaster(other, "off");
    const response = await fetch(`${server.url}/sdk/v1/snapshot`, {
      headers: { authorization: `Bearer ${token}`, "if-none-match": `"${revision}"` },
    });
    expect(response.status).toBe(304);
    expect(served().revision).toBe(revision);
    await other.close();
  });
});

describe("a database restored from a dump", () => {
  it("has another lineage, though all rows are the same", async () => {
    const copy = await freshPostgres();
    const [from] = await admin`select * from installation`;
    const environments = await admin`select * from environments`;
    const target = postgres(copy, { max: 1 });
    await target`insert into installation ${target(from ?? {})}`;
    await target`insert into environments ${target(environments)}`;
    // Template copies keep oids; a dump makes its tables anew.
    await target`create table moved (like environments including all)`;
    await target`insert into moved select * from environments`;
    await target`alter table environments rename to former`;
    await target`alter table moved rename to environments`;
    await target.end();
    const restored = await startTestServer({ database: { kind: "postgres", url: copy } });
    const snapshot = restored.deps.snapshots.environmentByKey("production");
    expect(snapshot?.n).toBe(served().n);
    expect(snapshot?.lineage).not.toBe(served().lineage);
    const response = await fetch(`${restored.url}/readyz`);
    expect(response.status).toBe(200);
    await restored.close();
  });
});
