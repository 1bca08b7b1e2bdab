/**
 * What was seen going wrong in other products that count the money of AI calls, each made impossible: through the real SDK,
 * a local Claude endpoint and a real server. The list of all, with the tests of the others, is in docs/money.md.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Andon } from "../../sdk-client/src/andon.ts";
import { guard } from "../../sdk-client/src/anthropic.ts";
import { findFeatureDisabled } from "../../sdk-client/src/feature-disabled-error.ts";
import { type ClaudeEndpoint, startClaudeEndpoint } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import type { Answer } from "../../src/demo/claude-endpoint/behaviour.ts";
import { errorOf, gate, SILENT } from "../support/guard-world.ts";
import { jsonOf } from "../support/json.ts";
import { makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const OPUS = "claude-opus-5-5";
/** USD per million tokens is as many thousand nano-USD a token. */
const NANO_PER_TOKEN = { input: 4_000, output: 20_000, cacheWrite5m: 5_000, cacheWrite1h: 8_000, cacheRead: 200 };
const ASK = { model: OPUS, max_tokens: 1_000, messages: [{ role: "user" as const, content: "Why?" }] };
const NANO = 1e9;
const words = (n: number): string => Array.from({ length: n }, () => "word").join(" ");

let server: TestServer;
let endpoint: ClaudeEndpoint;
let token: string;
let count = 0;

beforeAll(async () => {
  [server, endpoint] = await Promise.all([startTestServer(), startClaudeEndpoint()]);
  token = await makeToken(server.deps, { kind: "sdk" });
});
afterAll(() => Promise.all([server.close(), endpoint.close()]));

async function api<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await server.api(method, `/v1/environments/production/${path}`, body);
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return jsonOf<T>(response);
}

interface Sums {
  calls: number;
  costNanoUsd: number;
  exactNanoUsd: number;
  promptTokens: number;
  outputTokens: number;
}

/** A flag of its own with a client that reports to the server; its `budget` reserves. */
async function setting({ limitUsd, fetch }: { limitUsd?: number; fetch?: typeof globalThis.fetch } = {}) {
  count += 1;
  const flag = `seen-${count}`;
  await api("POST", "flags", { key: flag, name: flag });
  let id = "";
  if (limitUsd !== undefined) {
    const fields = { enforcement: "reserve", onUnavailable: "deny", ladder: [], reserveWaitMs: 10_000 };
    ({ id } = await api<{ id: string }>("POST", "budgets", { name: flag, scope: { flag }, limitUsd, ...fields }));
  }
  const options = { url: server.url, token, logger: SILENT, flushIntervalMs: 50, instance: flag };
  const andon = new Andon({ ...options, ...(fetch !== undefined && { fetch }) }, { env: {} });
  await andon.ready();
  await until("its state to be known", () => andon.evaluate(flag).reason === "ON");
  if (id !== "") await until("the budget to be known", () => andon.budgets.some((budget) => budget.id === id));
  const middleware = [guard(andon, { flag })];
  const client = new Anthropic({ apiKey: "test", baseURL: endpoint.url, middleware, maxRetries: 0 });
  const used = async () => (await api<{ items: Sums[] }>("GET", `usage?flag=${flag}`)).items[0];
  const budget = async () => {
    const { now } = await api<{ now: { spentNanoUsd: number; leases: { heldNanoUsd: number } } }>(
      "GET",
      `budgets/${id}`,
    );
    return { spent: now.spentNanoUsd, held: now.leases.heldNanoUsd };
  };
  return { flag, andon, client, used, budget };
}

/** Calls by `create` and as a stream, each answered like this. */
async function bothWays(client: Anthropic, answer: Omit<Answer, "kind">): Promise<void> {
  endpoint.behaveNext(OPUS, { kind: "answer", ...answer });
  await client.messages.create(ASK);
  endpoint.behaveNext(OPUS, { kind: "answer", ...answer });
  await client.messages.stream(ASK).finalMessage();
}

describe("tokens and prices", () => {
  it("stream usage is not left out: a stream costs what the same answer costs as a whole", async () => {
    const { andon, client, used } = await setting();
    await bothWays(client, { text: words(90), usage: { input: 500 } });
    await andon.close();
    const each = 500 * NANO_PER_TOKEN.input + 90 * NANO_PER_TOKEN.output;
    expect(await used()).toMatchObject({ calls: 2, outputTokens: 180, costNanoUsd: 2 * each, exactNanoUsd: 2 * each });
  });

  it("a placeholder of 1 token is not what a stream used: one that breaks off counts what was written", async () => {
    const { andon, client, used } = await setting();
    // Its beginning says `output_tokens: 1`, and it ends before anything else is said.
    endpoint.behaveNext(OPUS, { kind: "truncate", afterTokens: 12 });
    await errorOf(client.messages.stream(ASK).finalMessage());
    await andon.close();
    expect((await used())?.outputTokens).toBeGreaterThanOrEqual(12);
  });

  it("1-hour cache writes are not charged at the 5-minute price", async () => {
    const { andon, client, used } = await setting();
    await bothWays(client, { text: words(10), usage: { input: 5, cacheWrite5m: 1_000, cacheWrite1h: 3_000 } });
    await andon.close();
    const { input, output, cacheWrite5m, cacheWrite1h } = NANO_PER_TOKEN;
    const each = 5 * input + 1_000 * cacheWrite5m + 3_000 * cacheWrite1h + 10 * output;
    expect(await used()).toMatchObject({ costNanoUsd: 2 * each, exactNanoUsd: 2 * each });
  });

  it("cache reads are not counted twice, as reads and again as input", async () => {
    const { andon, client, used } = await setting();
    await bothWays(client, { text: words(10), usage: { input: 7, cacheRead: 50_000 } });
    await andon.close();
    const { input, output, cacheRead } = NANO_PER_TOKEN;
    const each = 7 * input + 50_000 * cacheRead + 10 * output;
    expect(await used()).toMatchObject({ costNanoUsd: 2 * each, promptTokens: 2 * 50_007 });
  });

  it("an unknown model is not free: it costs the dearest rate", async () => {
    const { andon, client, used } = await setting();
    endpoint.behaveNext("gpt-unheard-of", { kind: "answer", text: words(100), usage: { input: 100 } });
    await client.messages.create({ ...ASK, model: "gpt-unheard-of" });
    await andon.close();
    // Claude Opus 4: 15 USD in, 75 USD out.
    expect((await used())?.costNanoUsd).toBeGreaterThanOrEqual(100 * 15_000 + 100 * 75_000);
  });
});

describe("money that is set aside", () => {
  it("a call without max_tokens does not take all headroom: it is refused in words, and others go on", async () => {
    const { andon, client, budget } = await setting({ limitUsd: 1 });
    const held = gate();
    endpoint.behaveNext(OPUS, { kind: "answer", hold: { beforeToken: 0, until: held.opened } });
    const running = client.messages.create(ASK);
    await until("it is sent", async () => (await budget()).held > 0);
    const before = endpoint.calls.length;
    // Other languages' SDKs, and plain JSON, may leave it out.
    const bare = client.messages.create({ ...ASK, max_tokens: JSON.parse("null") });
    const refused = findFeatureDisabled(await errorOf(bare));
    expect(refused).toMatchObject({ because: "unbounded", hint: expect.stringContaining("it has no `max_tokens`") });
    expect(endpoint.calls.length).toBe(before);
    expect(await client.messages.create(ASK)).toMatchObject({ role: "assistant" });
    held.open();
    await running;
    await andon.close();
    await until("nothing to be held", async () => (await budget()).held === 0);
  });

  it("no phantom enforcement at twice the real spend: what is settled is not held as well, and all of the limit can be spent", async () => {
    const { andon, client, budget } = await setting({ limitUsd: 0.1 });
    // Each uses its whole worst case, 0.02 USD and its prompt: four of them fit, and the fifth by less than its prompt not.
    endpoint.behave(OPUS, { kind: "answer", text: words(1_000), usage: { input: 20 } });
    const ends: string[] = [];
    for (let n = 0; n < 5; n += 1) {
      const end = await client.messages.create(ASK).then(
        () => "answered",
        (error: unknown) => findFeatureDisabled(error)?.because ?? String(error),
      );
      ends.push(end);
      await andon.flush();
    }
    endpoint.reset();
    expect(ends).toEqual(["answered", "answered", "answered", "answered", "tooLarge"]);
    await andon.close();
    const spent = 4 * (20 * NANO_PER_TOKEN.input + 1_000 * NANO_PER_TOKEN.output);
    await until("nothing to be held", async () => (await budget()).held === 0);
    expect(await budget()).toEqual({ spent, held: 0 });
    expect(spent).toBeGreaterThan(0.08 * NANO);
  });
});

describe("spend on its way to the ledger", () => {
  it("is not gone from the queue before its commit: lost before it, or its answer lost after it, each call counts once", async () => {
    let tries = 0;
    const lossy: typeof globalThis.fetch = async (input, init) => {
      const url = input instanceof Request ? input.url : String(input);
      if (!url.includes("/sdk/v1/usage")) return fetch(input, init);
      tries += 1;
      if (tries === 1) return new Response("{}", { status: 503 });
      const answer = await fetch(input, init);
      if (tries > 2) return answer;
      // Committed; the client never hears of it.
      await answer.arrayBuffer();
      throw new TypeError("fetch failed");
    };
    const { andon, client, used } = await setting({ fetch: lossy });
    endpoint.behave(OPUS, { kind: "answer", text: words(10), usage: { input: 100 } });
    for (let n = 0; n < 3; n += 1) await client.messages.create(ASK);
    endpoint.reset();
    await until("all to be counted", async () => (await used())?.calls === 3);
    await andon.close();
    expect(tries).toBeGreaterThan(2);
    expect(await used()).toMatchObject({ calls: 3, costNanoUsd: 3 * (100 * 4_000 + 10 * 20_000) });
  });
});

it("each failure that docs/money.md lists has its test", () => {
  const root = join(import.meta.dirname, "../..");
  const [, list = ""] = readFileSync(join(root, "docs/money.md"), "utf8").split("## Seen going wrong elsewhere");
  const rows = [...list.matchAll(/\| `(test\/\S+\.test\.ts)`: (.*\S) +\|$/gm)];
  expect(rows).toHaveLength(list.split("\n").filter((line) => line.startsWith("| ")).length - 2);
  expect(rows.length).toBeGreaterThan(16);
  for (const [, file = "", title = ""] of rows) expect(readFileSync(join(root, file), "utf8")).toContain(title);
});
