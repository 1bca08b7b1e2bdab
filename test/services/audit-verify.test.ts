/** The audit can be shown: whatever is done to it in the database is found, and nothing else is called a fault. */
import postgres from "postgres";
import { z } from "zod";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { auditVerifiedSchema } from "../../src/api/audit.ts";
import { type Local, run } from "../../src/cli/program.ts";
import { freshPostgres } from "../support/database.ts";
import { jsonOf } from "../support/json.ts";
import { setMaster } from "../support/changes.ts";
import { ADMIN_TOKEN, makeToken, startTestServer, type TestServer } from "../support/server.ts";

const PATH = "/v1/environments/production/audit/verify";
const CHANGES_EACH = 10;

let sql: postgres.Sql;
let a: TestServer;
let b: TestServer;

async function many(server: TestServer): Promise<void> {
  for (let n = 0; n < CHANGES_EACH; n += 1) await setMaster(server, n % 2 === 0 ? "off" : "on");
}

/** Tokens of one environment are told in its audit too, by a transaction that is no change of it. */
async function tokens(server: TestServer): Promise<void> {
  for (let n = 0; n < CHANGES_EACH; n += 1) await makeToken(server.deps, { kind: "kill", name: `token ${String(n)}` });
}

beforeAll(async () => {
  const url = await freshPostgres();
  sql = postgres(url, { max: 1, onnotice: () => undefined });
  const database = { kind: "postgres", url } as const;
  a = await startTestServer({ database });
  b = await startTestServer({ database });
  await Promise.all([many(a), many(b), tokens(a), tokens(b)]);
  await a.api("POST", "/v1/environments", { key: "quiet", name: "Números, „quotes“ and \u2028" });
});
afterAll(async () => {
  await Promise.all([a.close(), b.close(), sql.end()]);
});

const verify = async (path = PATH) => {
  const response = await a.api("GET", path);
  expect(response.status).toBe(200);
  return auditVerifiedSchema.parse(await jsonOf<unknown>(response));
};

async function andon(...args: string[]): Promise<{ code: number; out: string }> {
  const out: string[] = [];
  const local: Local = { serve: async () => 0, demo: async () => 0, signInLink: async () => 0 };
  const code = await run(
    args,
    {
      env: { ANDON_URL: a.url, ANDON_OP_TOKEN: ADMIN_TOKEN },
      out: (line) => out.push(line),
      err: (line) => out.push(line),
      progress: null,
      ask: null,
      fetch,
      nowMs: () => Date.now(),
      monotonicMs: () => 0,
      sleep: async () => {},
    },
    local,
    "1.2.3",
  );
  return { code, out: out.join("\n") };
}

/** The ids of three rows in a row, in the middle of the chain. */
async function middle(): Promise<[number, number, number]> {
  const rows = await sql`
    select id::int from audit where environment_id = (select id from environments where key = 'production')
    order by id offset 8 limit 3`;
  return z.tuple([z.number(), z.number(), z.number()]).parse(rows.map(({ id }) => id));
}

describe("the audit", () => {
  it("is one whole chain when two servers write at once, of changes and of what is none", async () => {
    const found = await verify();
    expect(found).toMatchObject({ result: "intact", fault: null, segments: [{ state: "sealed" }] });
    expect(found.rows).toBeGreaterThan(3 * CHANGES_EACH);
    expect(found.end.seq).toBe(found.rows);
    for (const path of ["/v1/environments/quiet/audit/verify", "/v1/audit/verify"])
      expect(await verify(path)).toMatchObject({ result: "intact", segments: [{ state: "sealed" }] });
    expect(await andon("audit", "verify")).toEqual({ code: 0, out: expect.stringMatching(/^Intact: \d+ rows/) });
  });

  const bare = `environment_id, revision, at, actor, action, target_kind, target, reason, request_id`;
  const sealed = `${bare}, before, after, reverts, seq, seal_text, seal_key, seal`;
  it.each<[string, (ids: [number, number, number]) => string[], string, (ids: [number, number, number]) => number]>([
    [
      "an altered reason",
      ([, id]) => [`update audit set reason = 'nothing' where id = ${id}`],
      "altered",
      ([, id]) => id,
    ],
    [
      "an altered name of who did it",
      ([, id]) => [`update audit set actor = jsonb_set(actor, '{name}', '"mallory"') where id = ${id}`],
      "altered",
      ([, id]) => id,
    ],
    [
      "a row altered together with its text",
      ([, id]) => [
        `update audit set target = 'else', seal_text = replace(seal_text, '"target":"' || target || '"', '"target":"else"') where id = ${id}`,
      ],
      "altered",
      ([, id]) => id,
    ],
    ["a deleted row", ([, id]) => [`delete from audit where id = ${id}`], "missing", ([, , next]) => next],
    [
      "two rows in each other's place",
      ([first, second]) => [
        `update audit set id = -1 where id = ${first}`,
        `update audit set id = ${first} where id = ${second}`,
        `update audit set id = ${second} where id = -1`,
      ],
      "missing",
      ([first]) => first,
    ],
    [
      "a row written by another hand",
      ([, id]) => [
        `update audit set id = -id where id > ${id}`,
        `insert into audit (id, ${bare}) select ${id} + 1, ${bare} from audit where id = ${id}`,
        `update audit set id = 1 - id where id < 0`,
      ],
      "unsealed",
      ([, id]) => id + 1,
    ],
    [
      "a copy of a sealed row",
      ([, id]) => [`insert into audit (${sealed}) select ${sealed} from audit where id = ${id}`],
      "moved",
      () => 0,
    ],
    ["an end that was cut off", ([, id]) => [`delete from audit where id > ${id}`], "missing", () => -1],
    [
      "seals that were taken off",
      () => [`update audit set seq = null, seal = null, seal_text = null, seal_key = null`],
      "missing",
      () => -1,
    ],
  ])("has %s named", async (_what, statements, kind, at) => {
    const ids = await middle();
    await sql`create table kept as table audit`;
    try {
      for (const statement of statements(ids)) await sql.unsafe(statement);
      const [last] =
        await sql`select max(id)::int as id from audit where environment_id = (select id from environments where key = 'production')`;
      const wanted = { "-1": null, "0": Number(last?.["id"]) }[String(at(ids))];
      const id = wanted === undefined ? at(ids) : wanted;
      expect(await verify()).toMatchObject({ result: "broken", fault: { kind, id } });
      const { code, out } = await andon("audit", "verify");
      expect(code).toBe(1);
      expect(out).toContain(id === null ? "BROKEN at the end" : `BROKEN at #${String(id)} (`);
    } finally {
      await sql.unsafe(`delete from audit; insert into audit select * from kept; drop table kept`);
    }
    expect((await verify()).result).toBe("intact");
  });

  it("begins with rows from before there were seals, which are called no fault", async () => {
    await sql.unsafe(
      `insert into audit (id, ${bare}) select -id, ${bare} from audit where environment_id is not null and action like 'master.%'`,
    );
    const found = await verify();
    expect(found).toMatchObject({
      result: "intact",
      fault: null,
      segments: [{ state: "unsealed", key: null }, { state: "sealed" }],
    });
    expect((await andon("audit", "verify")).out).toContain("from before rows were sealed");
    await sql`delete from audit where id < 0`;
  });
});
