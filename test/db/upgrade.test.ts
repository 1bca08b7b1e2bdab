/**
 * What an installation of 0.1 has in its database stays, and is read by pages and API: the migrations since then are
 * applied to rows, not to empty tables.
 */
import { createHash } from "node:crypto";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate } from "drizzle-orm/postgres-js/migrator";
import { pino } from "pino";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { connect } from "../../src/db/connect.ts";
import { lineageColumns, lineageOf } from "../../src/db/lineage.ts";
import { migrationsFolder } from "../../src/db/migrate.ts";
import { environments, installation } from "../../src/db/schema/state.ts";
import { expectJson, expectStatus, type Harness, startHarness } from "../http/harness.ts";
import { FakeClock } from "../support/clock.ts";
import { emptyPostgres } from "../support/database.ts";
import { ADMIN_TOKEN } from "../support/server.ts";

/** The last migration of 0.1. */
const LAST_OF_0_1 = "0004_flag_checks";
const NOW = Date.parse("2026-11-21T14:00:00.000Z");
const hoursAgo = (hours: number) => new Date(NOW - hours * 3_600_000).toISOString();
const DAY = { starts: "2026-11-21T00:00:00.000Z", ends: "2026-11-22T00:00:00.000Z" };
const DAY_BEFORE = "2026-11-20T00:00:00.000Z";
const SDK_TOKEN = `andon_sdk_${"s".repeat(32)}`;
const ENV = "/v1/environments/production";

type Row = Readonly<Record<string, unknown>>;

let sql: postgres.Sql;
/** Its own connection: drizzle changes how a client writes dates and JSON. */
let orm: ReturnType<typeof drizzle>;
let harness: Harness;
let lineage: string;
/** Every row as 0.1 left it, by table. */
const left = new Map<string, readonly Row[]>();
const kept = new Map<string, readonly Row[]>();

beforeAll(async () => {
  const url = await emptyPostgres();
  sql = postgres(url, { max: 1, onnotice: () => undefined });
  const client = postgres(url, { max: 1, onnotice: () => undefined });
  orm = drizzle({ client });
  await migrateTo(LAST_OF_0_1);
  await fill();
  await client.end();
  const tables = await sql<{ name: string }[]>`
    select table_name as name from information_schema.tables where table_schema = 'public' order by 1`;
  for (const { name } of tables) left.set(name, await rowsOf(name));
  const log = pino({ level: "silent" });
  const database = await connect({ kind: "postgres", url }, log);
  await database.migrate();
  await database.close();
  for (const { name } of tables) kept.set(name, await rowsOf(name));
  harness = await startHarness({ database: { kind: "postgres", url }, clock: new FakeClock(NOW) });
});
afterAll(async () => {
  await harness.close();
  await sql.end();
});

describe("after the upgrade of a database that has been in use", () => {
  it("no row is lost, and none says anything else", () => {
    expect(left.size).toBeGreaterThan(20);
    const changed: string[] = [];
    for (const [table, rows] of left) {
      expect(rows.length, `${table} was filled`).toBeGreaterThan(0);
      const now = kept.get(table) ?? [];
      expect(now, table).toHaveLength(rows.length);
      for (const row of rows) if (!now.some((one) => says(one, row))) changed.push(`${table} ${JSON.stringify(row)}`);
    }
    expect(changed).toEqual([]);
  });

  it("an undo is told as one by its link, and nothing else is", async () => {
    const entries = z.object({
      items: z.array(z.object({ id: z.number(), reason: z.string().nullable(), reverts: z.number().nullable() })),
    });
    const { items } = await expectJson(harness.call("GET", `${ENV}/audit`), entries);
    const old = items.filter(({ id }) => id <= 8).toSorted((a, b) => a.id - b.id);
    const links = old.map(({ id, reason, reverts }) => [id, reason, reverts]);
    expect(links).toEqual([
      [1, null, null],
      [2, "by mistake", null],
      [3, "undo of #2", 2],
      [4, "leaks prices", null],
      // Own words, and a number that is another flag's change.
      [5, "undo of #4 came too early", null],
      [6, "undo of #4", null],
      [8, null, null],
    ]);
    const staging = await expectJson(harness.call("GET", "/v1/environments/staging/audit"), entries);
    const other = staging.items.find(({ id }) => id === 7);
    expect(other, "a number of another environment").toMatchObject({ reason: "undo of #4", reverts: null });
  });

  it("an edit from before there was `chainOnly` can be taken back", async () => {
    await expectStatus(harness.call("POST", `${ENV}/audit/8/revert`, { body: {} }), 200);
    const flag = await expectJson(
      harness.call("GET", `${ENV}/flags/plain`),
      z.object({ name: z.string(), chainOnly: z.boolean() }),
    );
    expect(flag).toEqual({ name: "Plain", chainOnly: false });
  });

  it.each([
    ["killed", { state: "off", since: hoursAgo(5) }, { kind: "KILLED", by: "maria", reason: "leaks prices" }],
    [
      "tripped",
      { state: "off", since: hoursAgo(2) },
      { kind: "TRIPPED", budget: { id: "b-tripped", name: "Tripped" } },
    ],
    ["both", { state: "off", since: hoursAgo(3) }, { kind: "KILLED", by: "nils", reason: "to be sure" }],
    ["downgraded", { state: "downgraded", since: hoursAgo(4) }, { kind: "LEVEL", by: "maria", reason: "cost" }],
    ["let-run", { state: "over", since: hoursAgo(1) }, { kind: "OVERRIDE", by: "maria", at: hoursAgo(1) }],
    ["blocked", { state: "off", since: hoursAgo(6) }, { kind: "NO_MODEL", by: "nils", reason: "overloaded" }],
    ["plain", { state: "on" }, { kind: "ON" }],
  ])("%s: since when, by whom and why are told, before any change and after one", async (key, standing, cause) => {
    const flag = z.looseObject({ standing: z.looseObject({ cause: z.looseObject({}) }) });
    const read = () => expectJson(harness.call("GET", `${ENV}/flags/${key}`), flag);
    const before = await read();
    expect(before.standing).toMatchObject(standing);
    expect(before.standing.cause).toMatchObject(cause);
    await expectStatus(harness.call("PATCH", `${ENV}/flags/${key}`, { body: { owner: "team" } }), 200);
    expect((await read()).standing).toMatchObject({ ...standing, cause });
  });

  it("an incident knows its window: what tripped in it, and when that ends", async () => {
    const rows = await sql<{ id: string; at: Date | null }[]>`
      select id, window_starts_at as at from incidents order by id`;
    expect(rows.map(({ id, at }) => [id, at?.toISOString()])).toEqual([
      ["i-deleted", DAY_BEFORE],
      ["i-let-run", DAY.starts],
      ["i-old", DAY_BEFORE],
      ["i-tripped", DAY.starts],
    ]);
    const holds = /Off now, until [^:]*00:00[^:]*: tripped/;
    const before = await text("/e/production/incidents");
    expect(before).toContain("Tripped reached its limit");
    expect(before).toMatch(holds);
    expect(before.match(/Not in force now ?: overridden by/g), "what maria let run").toHaveLength(1);
    await expectStatus(harness.call("POST", `${ENV}/flags/tripped/restore`, { body: { reason: "enough" } }), 200);
    const after = await text("/e/production/incidents");
    expect(after).not.toMatch(holds);
    expect(after.match(/Not in force now ?: overridden by/g)).toHaveLength(2);
  });

  it("how fast the last change was applied, and by whom, is still known", async () => {
    const receipts = await expectJson(
      harness.call("GET", `${ENV}/receipts?revision=${lineage}.7`),
      z.looseObject({ stragglers: z.array(z.looseObject({ instance: z.string() })) }),
    );
    expect(receipts).toMatchObject({ applied: 1, live: 2, lost: 1, stopped: 1, p50Ms: 40, lastMs: 120 });
    const list = await expectJson(
      harness.call("GET", `${ENV}/instances`),
      z.object({ items: z.array(z.object({ instance: z.string(), state: z.string() })) }),
    );
    expect(list.items.map(({ instance, state }) => `${instance} ${state}`)).toEqual([
      "host-1 live",
      "host-3 lost",
      "host-2 stopped",
    ]);
  });

  it("a client that ran goes on with its token, its revision and the batch that it tries again", async () => {
    const headers = { "andon-instance": "host-1", "andon-boot": "new", "if-none-match": `"${lineage}.7"` };
    const polled = await harness.call("GET", "/sdk/v1/snapshot", { token: SDK_TOKEN, headers });
    expect([200, 304]).toContain(polled.status);
    const again = await expectJson(
      harness.call("POST", "/sdk/v1/usage", {
        token: SDK_TOKEN,
        body: { batchId: "batch-1", instance: "host-1", records: [] },
      }),
      z.looseObject({ duplicate: z.boolean() }),
    );
    expect(again.duplicate).toBe(true);
  });

  it("what was spent is still known, to the nano-dollar", async () => {
    const usage = await expectJson(
      harness.call("GET", `${ENV}/usage?from=${DAY_BEFORE}&to=${DAY.ends}&groupBy=flag`),
      z.looseObject({
        items: z.array(z.looseObject({ flag: z.string(), attempts: z.number(), costNanoUsd: z.number() })),
      }),
    );
    const spent = usage.items.map(({ flag, attempts, costNanoUsd }) => [flag, attempts, costNanoUsd]);
    expect(spent.toSorted(([a], [b]) => String(a).localeCompare(String(b)))).toEqual(
      ["let-run", "plain", "tripped"].map((flag) => [flag, 10, 1_000_000_001]),
    );
    const budget = await expectJson(
      harness.call("GET", `${ENV}/budgets/b-let-run`),
      z.looseObject({ now: z.looseObject({}) }),
    );
    expect(budget.now).toMatchObject({ spentNanoUsd: 2_000_000_001, limitNanoUsd: 1_000_000_000 });
  });

  it("every page of the board shows it", async () => {
    const board = await text("/e/production");
    for (const words of ["Killed", "leaks prices", "Let run", "overloaded"]) expect(board).toContain(words);
    for (const path of ["flags/killed", "flags/tripped", "budgets", "audit", "instances", "models", "channels"])
      expect((await page(`/e/production/${path}`)).status, path).toBe(200);
  });
});

async function page(path: string): Promise<Response> {
  const form = {
    method: "POST",
    headers: { origin: "http://localhost" },
    body: new URLSearchParams({ token: ADMIN_TOKEN }),
  };
  const signedIn = await harness.app.request("/sign-in", form);
  const cookie = signedIn.headers
    .getSetCookie()
    .map((one) => one.split(";")[0])
    .join("; ");
  return harness.app.request(path, { headers: { cookie } });
}

async function text(path: string): Promise<string> {
  return (await (await page(path)).text()).replaceAll(/<[^>]*>/g, " ").replaceAll(/\s+/g, " ");
}

/** Applies the migrations up to and with `last`, as that release did. */
async function migrateTo(last: string): Promise<void> {
  const folder = migrationsFolder();
  const journal = z
    .looseObject({ entries: z.array(z.looseObject({ tag: z.string() })) })
    .parse(JSON.parse(await readFile(join(folder, "meta", "_journal.json"), "utf8")));
  const entries = journal.entries.slice(0, journal.entries.findIndex(({ tag }) => tag === last) + 1);
  expect(entries.length).toBeGreaterThan(0);
  const old = await mkdtemp(join(tmpdir(), "andon-old-migrations-"));
  try {
    await mkdir(join(old, "meta"));
    await writeFile(join(old, "meta", "_journal.json"), JSON.stringify({ ...journal, entries }));
    for (const { tag } of entries) await cp(join(folder, `${tag}.sql`), join(old, `${tag}.sql`));
    await migrate(orm, { migrationsFolder: old });
  } finally {
    await rm(old, { recursive: true });
  }
}

async function rowsOf(table: string): Promise<Row[]> {
  const rows = await sql<{ row: Row }[]>`select to_jsonb(t) as row from ${sql(table)} as t`;
  return rows.map(({ row }) => row);
}

/** Whether a row still has all that it had. */
function says(now: Row, before: Row): boolean {
  return Object.entries(before).every(([column, value]) => JSON.stringify(now[column]) === JSON.stringify(value));
}

async function insert(table: string, rows: readonly Row[]): Promise<void> {
  for (const row of rows) await sql`insert into ${sql(table)} ${sql(row)}`;
}

/** An installation of 0.1 after a bad day. */
async function fill(): Promise<void> {
  const e = "env-production";
  const json = (value: postgres.JSONValue) => sql.json(value);
  await insert("installation", [{ id: 1, lineage_salt: "salt", tokens_version: 4 }]);
  // When the receipts were, by the database's clock, as the state of instances is.
  const [{ at } = { at: new Date() }] = await sql<{ at: Date }[]>`select now() - interval '60 seconds' as at`;
  const later = (ms: number) => new Date(at.getTime() + ms);
  const name = { created_at: hoursAgo(500) };
  await insert("environments", [
    { id: e, key: "production", name: "Production", revision: 7, committed_at: at, ...name },
    { id: "env-staging", key: "staging", name: "Staging", ...name },
  ]);
  const [parts] = await orm
    .select(lineageColumns)
    .from(environments)
    .innerJoin(installation, eq(installation.id, 1))
    .where(eq(environments.id, e));
  lineage = (parts === undefined ? null : lineageOf(parts)) ?? "";
  await insert("tokens", [
    {
      id: "t-maria",
      kind: "op",
      name: "maria",
      hash: hash("andon_op_x"),
      role: "operator",
      created_by: "server start",
    },
    { id: "t-sdk", kind: "sdk", name: "shop", hash: hash(SDK_TOKEN), environment_ids: json([e]), created_by: "maria" },
  ]);
  await insert("sign_in_links", [{ hash: hash("link"), token_id: "t-maria", expires_at: hoursAgo(-1) }]);

  await insert("chains", [
    {
      environment_id: e,
      name: "opus-first",
      steps: json([{ model: "claude-opus-5-5" }, { model: "claude-sonnet-5-5" }]),
    },
    { environment_id: e, name: "haiku-only", steps: json([{ model: "claude-haiku-4-5" }]) },
  ]);
  const flag = (key: string, more: Row = {}) => {
    return { environment_id: e, key, name: title(key), chain: "opus-first", salt: key, since: hoursAgo(400), ...more };
  };
  const off = (by: string, reason: string, hours: number) => ({
    state: "off",
    cause: "manual",
    by,
    reason,
    since: hoursAgo(hours),
  });
  await insert("flags", [
    flag("killed", off("maria", "leaks prices", 5)),
    flag("tripped"),
    flag("both", off("nils", "to be sure", 1.5)),
    flag("downgraded", {
      level: 1,
      level_model: "claude-sonnet-5-5",
      level_by: "maria",
      level_reason: "cost",
      level_since: hoursAgo(4),
    }),
    flag("let-run"),
    flag("blocked", { chain: "haiku-only" }),
    flag("plain", { name: "Renamed" }),
  ]);
  await insert("model_blocks", [
    { environment_id: e, model: "claude-haiku-4-5", by: "nils", reason: "overloaded", since: hoursAgo(6) },
  ]);
  await fillAudit(e, json);
  await fillMoney(e, json);

  const seen = { environment_id: e, app: "shop", sdk: "andon/0.1.0", first_seen: hoursAgo(24 * 40), lineage };
  await insert("instances", [
    { ...seen, instance: "host-1", revision: 7, applied_at: later(40), last_seen: later(55_000) },
    { ...seen, instance: "host-2", revision: 7, applied_at: later(120), last_seen: later(900), stopped_at: later(900) },
    { ...seen, instance: "host-3", revision: 6, last_seen: later(30_000), disconnected_at: later(30_000) },
  ]);
  await insert("revisions", [
    { environment_id: e, revision: 6, committed_at: later(-60_000) },
    { environment_id: e, revision: 7, committed_at: at },
  ]);
  const receipt = (instance: string, revision: number, ms: number) => ({
    environment_id: e,
    lineage,
    instance,
    revision,
    applied_at: later(ms),
  });
  await insert("receipts", [
    receipt("host-1", 7, 40),
    receipt("host-2", 7, 120),
    receipt("host-3", 6, -59_000),
    receipt("forgotten", 6, -58_000),
  ]);
}

async function fillAudit(e: string, json: (value: postgres.JSONValue) => unknown): Promise<void> {
  const actor = json({ kind: "op", id: "t-maria", name: "maria" });
  const [on, dark] = [json(switchOf("on", null, 400)), json(switchOf("off", "leaks prices", 5))];
  const entry = (action: string, target: string, reason: string | null, more: Row = {}) => ({
    environment_id: e,
    revision: 5,
    at: hoursAgo(5),
    actor,
    action,
    target_kind: "flag",
    target,
    reason,
    request_id: "r",
    before: on,
    after: dark,
    ...more,
  });
  await insert("audit", [
    entry("flag.created", "killed", null, { before: null, after: json(definition("Killed")) }),
    entry("flag.killed", "plain", "by mistake"),
    entry("flag.killed", "plain", "undo of #2", { before: dark, after: on }),
    entry("flag.killed", "killed", "leaks prices"),
    entry("flag.killed", "killed", "undo of #4 came too early"),
    entry("flag.killed", "plain", "undo of #4"),
    entry("flag.killed", "killed", "undo of #4", { environment_id: "env-staging" }),
    entry("flag.edited", "plain", null, { before: json(definition("Plain")), after: json(definition("Renamed")) }),
  ]);
}

async function fillMoney(e: string, json: (value: postgres.JSONValue) => unknown): Promise<void> {
  const ladder = [
    { atPercent: 80, action: "alert" },
    { atPercent: 100, action: "kill" },
  ];
  const keys = ["tripped", "both", "let-run"];
  await insert(
    "budgets",
    keys.map((key) => ({
      id: `b-${key}`,
      environment_id: e,
      name: title(key),
      flag: key,
      limit_nano_usd: 1_000_000_000,
      period: "day",
      timezone: "UTC",
      enforcement: "trip",
      ladder: json(ladder),
      on_reset: "restore",
      created_at: hoursAgo(400),
      updated_at: hoursAgo(400),
    })),
  );
  await insert("budget_raises", [
    {
      id: "r-1",
      budget_id: "b-tripped",
      add_nano_usd: 500_000_000,
      until: hoursAgo(20),
      reason: "launch",
      by: "maria",
      at: hoursAgo(30),
      ended_at: hoursAgo(20),
    },
  ]);
  const acted = ["alert@80", "kill@100"].map((step) => ({ step, limitNanoUsd: 1_000_000_000 }));
  await insert(
    "budget_windows",
    keys.map((key) => ({
      budget_id: `b-${key}`,
      starts_at: DAY.starts,
      ends_at: DAY.ends,
      spent_nano_usd: 2_000_000_001,
      exact_nano_usd: 2_000_000_001,
      ladder_state: json({ standing: acted.map(({ step }) => step), acted, overrides: {} }),
    })),
  );
  const since = { tripped: 2, both: 3, "let-run": 2.5 };
  await insert(
    "trips",
    Object.entries(since).map(([key, hours]) => ({
      id: `trip-${key}`,
      environment_id: e,
      flag: key,
      budget_id: `b-${key}`,
      window_starts_at: DAY.starts,
      step: "kill@100",
      at_percent: 100,
      action: "kill",
      since: hoursAgo(hours),
      until: DAY.ends,
      ...(key === "let-run" && { overridden_at: hoursAgo(1), overridden_by: "maria" }),
    })),
  );
  const incident = (id: string, budget: string | null, window: string, hours: number, more: Row = {}) => ({
    id: `i-${id}`,
    environment_id: e,
    budget_id: budget,
    opened_at: hoursAgo(hours),
    cause: `budget:${budget ?? "b-deleted"}:${String(Date.parse(window))}`,
    title: `${title(id)} reached its limit`,
    steps: json([{ at: hoursAgo(hours), atPercent: 100, action: "kill", text: "100 % of 1 USD are spent." }]),
    ...more,
  });
  await insert("incidents", [
    incident("tripped", "b-tripped", DAY.starts, 2),
    incident("let-run", "b-let-run", DAY.starts, 2.5, { acknowledged_at: hoursAgo(2), acknowledged_by: "maria" }),
    incident("old", "b-tripped", DAY_BEFORE, 26, { resolved_at: hoursAgo(14) }),
    incident("deleted", null, DAY_BEFORE, 27, { resolved_at: hoursAgo(14) }),
  ]);
  await insert("channels", [
    {
      id: "c-1",
      environment_id: e,
      kind: "webhook",
      name: "Hook",
      url: "http://127.0.0.1:9/",
      created_at: hoursAgo(400),
    },
  ]);
  await insert("outbox", [
    {
      environment_id: e,
      channel_id: "c-1",
      incident_id: "i-tripped",
      dedup_key: "d",
      message_id: "msg_1",
      payload: json({ type: "incident.step" }),
      created_at: hoursAgo(2),
      next_attempt_at: hoursAgo(2),
      delivered_at: hoursAgo(2),
    },
  ]);
  await insert("price_rows", [{ id: "p-1", row: json({ model: "ours-1" }), created_by: "maria" }]);
  const latency = [1, ...Array.from({ length: 23 }, () => 0)];
  const minute = (hours: number, flagKey: string, nanoUsd: number) => ({
    environment_id: e,
    minute: hoursAgo(hours),
    flag: flagKey,
    model: "claude-opus-5-5",
    calls: 10,
    attempts: 10,
    exact_nano_usd: nanoUsd,
    latency,
  });
  await insert("usage_minutes", [
    minute(2, "tripped", 1_000_000_001),
    minute(3, "let-run", 1_000_000_001),
    minute(30, "plain", 1_000_000_001),
  ]);
  await insert("usage_recent", [
    {
      environment_id: e,
      at: hoursAgo(2),
      flag: "tripped",
      model: "claude-opus-5-5",
      outcome: "ok",
      exact: true,
      requested_model: "claude-opus-5-5",
      latency_ms: 900,
      attempt: 1,
      instance: "host-1",
    },
  ]);
  await insert("usage_batches", [
    { environment_id: e, batch_id: "batch-1", received_at: hoursAgo(0.1), accepted: 3, rejected: json([]) },
  ]);
  await insert("flag_checks", [
    { environment_id: e, flag: "killed", checked_at: hoursAgo(1), on_count: 12, off_count: 3 },
  ]);
}

const switchOf = (state: "on" | "off", reason: string | null, hours: number) => ({
  state,
  cause: state === "off" ? "manual" : null,
  reason,
  by: "maria",
  since: hoursAgo(hours),
  until: null,
  ramp: null,
  levelModel: null,
  level: null,
  levelReason: null,
  levelBy: null,
  levelSince: null,
  levelUntil: null,
});

const definition = (name: string) => ({
  name,
  description: "",
  owner: "",
  runbookUrl: null,
  chain: "opus-first",
  offMode: "error",
  offMessage: null,
  abortInFlight: false,
  clampMaxTokens: false,
  rules: [],
  rollout: 100,
});

function title(key: string): string {
  return `${key.slice(0, 1).toUpperCase()}${key.slice(1).replace("-", " ")}`;
}

function hash(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}
