/** Message batches, from the real SDK through a real server on PostgreSQL: what they count, and how they are canceled. */
import Anthropic from "@anthropic-ai/sdk";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { Andon } from "../../sdk-client/src/andon.ts";
import { guard } from "../../sdk-client/src/anthropic.ts";
import { type ClaudeEndpoint, startClaudeEndpoint } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { messageBatches } from "../../src/db/schema/batches.ts";
import { budgetWindows } from "../../src/db/schema/budgets.ts";
import { usageMinutes, usageRecent } from "../../src/db/schema/usage.ts";
import { lastAsked, runningWords } from "../../src/domain/message-batch.ts";
import { cancelOfOff } from "../../src/services/batches/cancel.ts";
import { ShiftedClock } from "../support/clock.ts";
import { SILENT } from "../support/guard-world.ts";
import { jsonOf } from "../support/json.ts";
import { adminCtx, makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { pagesAs } from "../web/pages.ts";

const OPUS = "claude-opus-5-5";
const HAIKU = "claude-haiku-5-5";
const NANO = 1e9;
const MINUTE_MS = 60_000;
/** At batch prices its answer may cost 0.1 USD at most. */
const ASK = { model: OPUS, max_tokens: 10_000, messages: [{ role: "user" as const, content: "Why?" }] };
/** Half of 4 and 20 USD a million tokens. */
const USED = { input: 100, output: 50 };
const COST = 100 * 2_000 + 50 * 10_000;

const clock = new ShiftedClock();
let server: TestServer;
let endpoint: ClaudeEndpoint;
let token: string;
beforeAll(async () => {
  [server, endpoint] = await Promise.all([startTestServer({ clock }), startClaudeEndpoint()]);
  token = await makeToken(server.deps, { kind: "sdk" });
}, 60_000);
afterAll(() => Promise.all([server.close(), endpoint.close()]));

async function api<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await server.api(method, `/v1/environments/production/${path}`, body);
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return jsonOf<T>(response);
}

function batch(...models: string[]): Anthropic.Messages.BatchCreateParams {
  return { requests: models.map((model, index) => ({ custom_id: String(index), params: { ...ASK, model } })) };
}

let names = 0;

async function newFlag(fields: object = {}): Promise<string> {
  names += 1;
  const flag = `batches-${names}`;
  await api("POST", "flags", { key: flag, name: flag, ...fields });
  return flag;
}

/** A process with a guarded client of the flag. */
async function newProcess(flag: string, instance: string): Promise<{ andon: Andon; client: Anthropic }> {
  const andon = new Andon({ url: server.url, token, logger: SILENT, flushIntervalMs: 50, instance }, { env: {} });
  onTestFinished(() => andon.close());
  await andon.ready();
  await until("the flag to be known", () => andon.flag(flag) !== undefined);
  const middleware = [guard(andon, { flag })];
  return { andon, client: new Anthropic({ apiKey: "test", baseURL: endpoint.url, middleware, maxRetries: 0 }) };
}

async function readAll(client: Anthropic, id: string): Promise<number> {
  let n = 0;
  for await (const _ of await client.messages.batches.results(id)) n += 1;
  return n;
}

async function rowsOf(flag: string): Promise<(typeof messageBatches.$inferSelect)[]> {
  return server.deps.db.select().from(messageBatches).where(eq(messageBatches.flag, flag)).orderBy(messageBatches.id);
}

const minutesOf = (flag: string) => server.deps.db.select().from(usageMinutes).where(eq(usageMinutes.flag, flag));

const outcomes = async (flag: string): Promise<unknown[]> => (await rowsOf(flag)).map(({ outcome }) => outcome);

interface Listed {
  items: { id: string; state: string; standingNanoUsd: number; cancel: { askedBy: string; outcome: string } | null }[];
}

describe("what a message batch counts", () => {
  it("is an estimate in the minute of its submission, and what its results say there, whoever reads them and however late", async () => {
    const flag = await newFlag();
    const budget = {
      name: flag,
      scope: { flag },
      limitUsd: 5,
      enforcement: "trip",
      ladder: [{ atPercent: 100, action: "kill" }],
    };
    const { id: budgetId } = await api<{ id: string }>("POST", "budgets", budget);
    const spent = async (): Promise<number[]> => {
      const rows = await server.deps.db.select().from(budgetWindows).where(eq(budgetWindows.budgetId, budgetId));
      return rows.map(({ spentNanoUsd }) => spentNanoUsd);
    };
    const { client, andon } = await newProcess(flag, `${flag}-a`);
    const { id } = await client.messages.batches.create(batch(OPUS, OPUS, HAIKU), {
      headers: { "andon-user": "u-1" },
    });
    await andon.flush();
    const [estimate = 0] = await spent();
    // Two answers of 0.1 USD and one of 0.0025 at most, and three short prompts.
    expect(estimate).toBeGreaterThan(0.2025 * NANO);
    expect(estimate).toBeLessThan(0.205 * NANO);
    const before = await minutesOf(flag);
    expect(before.map(({ attempts, output, exactNanoUsd }) => [attempts, output, exactNanoUsd])).toEqual([
      [0, 0, 0],
      [0, 0, 0],
    ]);
    expect(await server.deps.db.select().from(usageRecent).where(eq(usageRecent.flag, flag))).toEqual([]);
    await andon.close();
    clock.moveBy(26 * 60 * MINUTE_MS);
    onTestFinished(() => clock.moveBy(-26 * 60 * MINUTE_MS));
    endpoint.batches.end(id, { "0": USED, "2": USED });
    const other = await newProcess(flag, `${flag}-b`);
    expect(await readAll(other.client, id)).toBe(3);
    await readAll(other.client, id);
    await other.andon.close();
    const after = await minutesOf(flag);
    expect(new Set(after.map(({ minute }) => minute.getTime()))).toEqual(
      new Set(before.map(({ minute }) => minute.getTime())),
    );
    const haiku = COST / 40;
    const exact = after.toSorted((a, b) => b.exactNanoUsd - a.exactNanoUsd).map((row) => row.exactNanoUsd);
    expect(exact).toEqual([COST, haiku]);
    expect(after.map(({ attempts, estimatedNanoUsd }) => [attempts, estimatedNanoUsd])).toEqual([
      [1, 0],
      [1, 0],
    ]);
    expect(await spent()).toEqual([COST + haiku]);
    const [row] = await rowsOf(flag);
    expect(row).toMatchObject({ state: "settled", user: "u-1", requests: 3, left: [] });
    const recent = await server.deps.db.select().from(usageRecent).where(eq(usageRecent.flag, flag));
    expect(recent.map(({ user }) => user)).toEqual(["u-1", "u-1"]);
  });

  it("of results that were read before their client could tell of the batch is not counted twice", async () => {
    const flag = await newFlag();
    const { client, andon } = await newProcess(flag, `${flag}-a`);
    const away = new Andon({ url: server.url, token: "andon_sdk_unknown", logger: SILENT }, { env: {} });
    onTestFinished(() => away.close());
    const cutOff = client.withOptions({ middleware: [guard(away, { flag })] });
    const { id } = await cutOff.messages.batches.create(batch(OPUS));
    endpoint.batches.end(id, { "0": USED });
    await readAll(client, id);
    await andon.flush();
    const report = {
      id: `${id}:submitted:0`,
      at: clock.nowMs(),
      flag,
      model: OPUS,
      requestedModel: OPUS,
      outcome: "ok",
    };
    const usage = { input: 10, output: 10_000, cacheWrite5m: 0, cacheWrite1h: 0, cacheRead: 0, webSearches: 0 };
    const late = {
      ...report,
      exact: false,
      usage,
      batch: true,
      part: "batch",
      once: true,
      messageBatch: id,
      attempt: 1,
      latencyMs: 0,
    };
    const told = { batchId: "late", instance: "late", records: [late] };
    expect((await server.api("POST", "/sdk/v1/usage", told, token)).status).toBe(200);
    expect((await minutesOf(flag)).map((row) => row.exactNanoUsd + row.estimatedNanoUsd)).toEqual([COST]);
  });
});

describe("canceling message batches", () => {
  it("is offered by the incident of their trip, done by the client that submitted them, and told: 1 had ended", async () => {
    const flag = await newFlag();
    const ladder = [{ atPercent: 100, action: "kill" }];
    await api("POST", "budgets", { name: flag, scope: { flag }, limitUsd: 0.5, enforcement: "trip", ladder });
    const pages = await pagesAs(
      { server },
      await makeToken(server.deps, { kind: "op", role: "operator", name: "maria" }),
    );
    const { client, andon } = await newProcess(flag, `${flag}-a`);
    const ids: string[] = [];
    for (let n = 0; n < 3; n += 1) ids.push((await client.messages.batches.create(batch(OPUS, OPUS))).id);
    await andon.flush();
    const running = await rowsOf(flag);
    expect(runningWords(running, clock.nowMs())?.words).toMatch(
      /^3 batches are running, estimated at \$0\.6\d at most$/,
    );
    endpoint.batches.end(ids[0] ?? "");
    const offer = /3 batches are running, estimated at \$0\.6\d at most\. Cancel 3 batches/;
    expect(await pages.text("/e/production/incidents")).toMatch(offer);
    expect(await pages.text("/e/production")).toMatch(offer);
    const page = await pages.post(`/e/production/flags/${flag}/batches/cancel`, {});
    expect(page).toContain("Asked to cancel 3 batches.");
    await until("all to be answered", async () => (await outcomes(flag)).every((outcome) => outcome !== null));
    expect(endpoint.batches.canceled.filter((id) => ids.includes(id)).toSorted()).toEqual(ids.slice(1).toSorted());
    const rows = await rowsOf(flag);
    expect(lastAsked(rows)).toMatchObject({ batches: "3 batches", came: "canceled 2 of 3; 1 had ended" });
    expect(runningWords(rows, clock.nowMs())).toBe(null);
    expect(await pages.text(`/e/production/flags/${flag}`)).toMatch(
      /Cancel 3 batches, asked by maria \S.*: canceled 2 of 3; 1 had ended\./,
    );
    const listed = await api<Listed>("GET", `batches?flag=${flag}`);
    const came = listed.items.map(({ cancel }) => cancel?.outcome ?? "");
    expect(came.filter((outcome) => outcome === "canceled")).toHaveLength(2);
    expect(came).toContain("ended");
    expect((await api<Listed>("GET", `batches?flag=${flag}&running=true`)).items).toHaveLength(2);
    const again = await api<{ asked: number }>("POST", `flags/${flag}/batches/cancel`, {});
    expect(again.asked).toBe(0);
  });

  it("waits, in words, for the client that is gone; after a while another that asks Claude about batches does it", async () => {
    const flag = await newFlag();
    const first = await newProcess(flag, `${flag}-a`);
    const { id } = await first.client.messages.batches.create(batch(OPUS));
    await first.andon.close();
    await api("POST", `flags/${flag}/batches/cancel`, {});
    const words = lastAsked(await rowsOf(flag))?.came;
    expect(words).toBe(`1 waits for ${flag}-a to ask Claude, or another instance that has asked it about batches`);
    const second = await newProcess(flag, `${flag}-b`);
    // One that asks about another batch: it has a key.
    const own = (await second.client.messages.batches.create(batch(OPUS))).id;
    await second.andon.flush();
    expect(endpoint.batches.canceled).not.toContain(id);
    clock.moveBy(16_000);
    second.andon.reportNow();
    await until("it to be canceled", () => endpoint.batches.canceled.includes(id));
    await until("it to be told", async () => (await outcomes(flag)).includes("canceled"));
    expect(endpoint.batches.canceled).not.toContain(own);
  });

  it("happens by itself only for a flag that ends running calls, and not before the undo has passed", async () => {
    const [ends, stays] = [await newFlag({ abortInFlight: true }), await newFlag()];
    const [a, b] = [await newProcess(ends, `${ends}-a`), await newProcess(stays, `${stays}-a`)];
    for (const { client, andon } of [a, b]) {
      await client.messages.batches.create(batch(OPUS));
      await andon.flush();
    }
    for (const flag of [ends, stays]) await api("POST", `flags/${flag}/kill`, { reason: "test" });
    const environmentId = server.deps.snapshots.environmentByKey("production")?.environmentId ?? "";
    const ctx = adminCtx(server.deps);
    await cancelOfOff(ctx, environmentId);
    expect((await rowsOf(ends)).map(({ askedAt }) => askedAt)).toEqual([null]);
    clock.moveBy(10_001);
    await cancelOfOff(ctx, environmentId);
    expect((await rowsOf(stays)).map(({ askedAt }) => askedAt)).toEqual([null]);
    await until("it to be canceled", async () => (await outcomes(ends)).includes("canceled"));
    const { items } = await api<{ items: { action: string; reason: string }[] }>("GET", `audit?kind=flag&key=${ends}`);
    expect(items[0]).toMatchObject({ action: "batches.canceled", reason: "its flag is off and ends running calls" });
  });
});
