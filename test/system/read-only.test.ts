/**
 * A database that answers and takes no changes, as providers leave one whose disk is full or whose role moved: no change
 * is promised meanwhile, and the first one after it goes through, on whatever sessions there were.
 */
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freshPostgres } from "../support/database.ts";
import { jsonOf } from "../support/json.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

let admin: postgres.Sql;
let name: string;
let server: TestServer;

beforeAll(async () => {
  const url = await freshPostgres();
  name = new URL(url).pathname.slice(1);
  server = await startTestServer({ database: { kind: "postgres", url } });
  admin = postgres(url, { max: 1, onnotice: () => undefined, connection: { default_transaction_read_only: false } });
});
afterAll(async () => {
  await server.close();
  await admin.end();
});

const ready = async () => jsonOf<{ database: string }>(await fetch(`${server.url}/readyz`));
const kill = () => server.api("POST", "/v1/environments/production/kill", { reason: "test" });
const cutAll = () =>
  admin`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name} and pid <> pg_backend_pid()`;
const listenPid = async () => {
  const rows = await admin`
    select pid from pg_stat_activity
    where datname = ${name} and application_name = 'andon listen' and query ilike 'listen%'`;
  return rows[0]?.["pid"];
};

describe("a database that is closed for writing and opened again", () => {
  it("is told by /readyz and by a kill, in words of its own", async () => {
    await admin.unsafe(`alter database ${name} set default_transaction_read_only = on`);
    await cutAll();
    await until("/readyz tells", async () => (await ready()).database === "read-only");
    const refused = await kill();
    expect(refused.status).toBe(503);
    const { code, detail } = await jsonOf<{ code: string; detail: string }>(refused);
    expect(code).toBe("DATABASE_AWAY");
    expect(detail).toContain("takes no changes");
    expect(detail).toContain("ANDON_KILL=*");
  });

  it("takes a kill at once, and the session that listens is a new one", async () => {
    const before = await listenPid();
    await admin.unsafe(`alter database ${name} reset default_transaction_read_only`);
    expect((await kill()).status).toBe(200);
    await until("/readyz tells", async () => (await ready()).database === "ok");
    await until("it listens anew", async () => {
      const now = await listenPid();
      return now !== undefined && now !== before;
    });
  });
});
