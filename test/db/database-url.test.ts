/** What a DATABASE_URL may say, and what is wrong with it: told at the start, in words, without the password. */
import { pino } from "pino";
import { beforeAll, describe, expect, it } from "vitest";
import { connect } from "../../src/db/connect.ts";
import { StartError } from "../../src/start-error.ts";
import { freshPostgres } from "../support/database.ts";
import { startSharingPooler } from "../support/sharing-pooler.ts";

/** Below the half minute for which a database that is away is waited for. */
const AT_ONCE_MS = 20_000;
const lines: string[] = [];
const log = pino({ level: "warn" }, { write: (line: string) => lines.push(line) });

let url: string;
beforeAll(async () => {
  url = await freshPostgres();
});

/** What the start fails with; null when it does not. */
async function failureOf(databaseUrl: string): Promise<string | null> {
  const startedMs = performance.now();
  try {
    const database = await connect({ kind: "postgres", url: databaseUrl }, log);
    await database.close();
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(StartError);
    expect(performance.now() - startedMs).toBeLessThan(AT_ONCE_MS);
    return error instanceof Error ? error.message : "";
  }
}
const withParts = (parts: Partial<Pick<URL, "username" | "password" | "pathname">>) =>
  Object.assign(new URL(url), parts).href;

describe("a parameter that providers put into URLs", () => {
  it.each([
    "sslmode=prefer&channel_binding=prefer",
    "target_session_attrs=read-write",
    "target_session_attrs=any&connect_timeout=10&keepalives=1",
    "schema=public&pgbouncer=true&connection_limit=5",
    "options=-c%20work_mem%3D8MB&application_name=app",
    "ssl=false",
  ])("%s is taken or passed over", async (parameters) => {
    expect(await failureOf(`${url}?${parameters}`)).toBeNull();
  });

  it.each([
    ["channel_binding=require", "channel_binding: channel binding is not supported"],
    ["schema=app", "schema: Andon uses the default schema"],
    ["target_session_attrs=standby", "target_session_attrs: Andon writes"],
    ["sslmode=maybe", "sslmode: expected one of disable, allow"],
    ["sslmode=verify-ca&sslrootcert=/no/such/file.crt", "the file of sslrootcert cannot be read"],
    ["statement_timeout=5000", "statement_timeout: is not known"],
    ["sslmode=require", "offers no TLS"],
  ])("%s is refused in words", async (parameters, words) => {
    expect(await failureOf(`${url}?${parameters}`)).toContain(words);
  });

  it("is told when it is passed over", async () => {
    lines.length = 0;
    await failureOf(`${url}?pgbouncer=true`);
    expect(lines.join()).toContain('"parameters":["pgbouncer"]');
  });
});

describe("a database that cannot be used", () => {
  it("is named when it is not there", async () => {
    expect(await failureOf(withParts({ pathname: "/nowhere" }))).toContain('There is no database "nowhere"');
  });

  it.each([
    ["another password", { password: "wrong-5eed" }],
    ["another user", { username: "nobody", password: "wrong-5eed" }],
  ])("says that the user is not let in with %s, and not the password", async (_what, parts) => {
    const failure = await failureOf(withParts(parts));
    expect(failure).toContain("does not let the user");
    expect(failure).not.toContain("wrong-5eed");
  });
});

describe("a pooler that shares sessions between its clients", () => {
  it("is refused at once, with the reason and what to use instead", async () => {
    const pooler = await startSharingPooler(url);
    try {
      const failure = await failureOf(pooler.url);
      expect(failure).toContain("transaction mode");
      expect(failure).toContain("session mode");
    } finally {
      await pooler.close();
    }
  });
});
