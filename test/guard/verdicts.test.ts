/**
 * Budgets of users and sessions from end to end: real servers on PostgreSQL, clients, guards and the Anthropic SDK. Who is
 * over is refused everywhere within a second, and nobody else is.
 */
import Anthropic from "@anthropic-ai/sdk";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { z } from "zod";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { Andon } from "../../sdk-client/src/andon.ts";
import { FeatureDisabledError } from "../../sdk-client/src/anthropic.ts";
import { namesOf } from "../../sdk-client/src/evaluate/model-names.ts";
import { Verdicts } from "../../sdk-client/src/guard/verdicts.ts";
import type { Decision } from "../../sdk-client/src/wire/protocol.ts";
import type { AndonEvents } from "../../sdk-client/src/events.ts";
import { type ClaudeEndpoint, startClaudeEndpoint } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { freshDatabase } from "../support/database.ts";
import { ASK, errorOf, makeClient, SILENT } from "../support/guard-world.ts";
import { makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { callFor, report } from "../support/usage.ts";

const ENV = "/v1/environments/production";
const FLAG = "support-chat";
/** From a report's commit until every instance refuses. */
const WITHIN_MS = 1_000;

let servers: TestServer[];
let endpoint: ClaudeEndpoint;
let token: string;
let database: Awaited<ReturnType<typeof freshDatabase>>;

beforeAll(async () => {
  database = await freshDatabase("postgres");
  servers = [await startTestServer({ database }), await startTestServer({ database })];
  endpoint = await startClaudeEndpoint();
  token = await makeToken(first().deps, { kind: "sdk" });
  await first().api("PUT", `${ENV}/chains/all`, {
    steps: [{ model: "claude-opus-5-5" }, { model: "claude-sonnet-5-5" }, { model: "claude-haiku-5-5" }],
  });
  await first().api("POST", `${ENV}/flags`, { key: FLAG, name: "Support chat", chain: "all" });
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()));
  await endpoint.close();
});

function first(): TestServer {
  const [server] = servers;
  if (server === undefined) throw new Error("no server");
  return server;
}

/** A client of one of the servers, in force and hearing verdicts. */
async function instance(server: TestServer, url = server.url): Promise<{ andon: Andon; claude: Anthropic }> {
  const andon = new Andon({ url, token, logger: SILENT, flushIntervalMs: 100 }, { env: {} });
  onTestFinished(() => andon.close());
  await andon.ready();
  return { andon, claude: makeClient(Anthropic, andon, endpoint.url) };
}

async function makeBudget(fields: Record<string, unknown>): Promise<string> {
  const response = await first().api("POST", `${ENV}/budgets`, { name: crypto.randomUUID(), limitUsd: 1, ...fields });
  expect(response.status).toBe(201);
  const { id } = z.looseObject({ id: z.string() }).parse(await response.json());
  onTestFinished(async () => {
    await first().api("DELETE", `${ENV}/budgets/${id}`);
  });
  return id;
}

const ask = (claude: Anthropic, user: string, session?: string) =>
  claude.messages.create(
    { ...ASK, metadata: { user_id: user } },
    session === undefined ? {} : { headers: { "andon-session": session } },
  );

const spend = (usd: number, fields: Parameters<typeof callFor>[1]) => report(first().deps, [callFor(usd, fields)]);

/** Resolves when everybody decides by a revision that has the budget. */
const seen = (andons: readonly Andon[], id: string) =>
  until("the budget to be known", () => andons.every((one) => one.subjectBudgets.some((budget) => budget.id === id)));

describe("a user over the budget of each user", () => {
  it("alone is refused, with 403 and until when, within a second, on both instances of both servers", async () => {
    const [one, two] = await Promise.all(servers.map((server) => instance(server)));
    if (one === undefined || two === undefined) throw new Error("two servers");
    const id = await makeBudget({ scope: { flag: FLAG, user: "each" } });
    await seen([one.andon, two.andon], id);
    for (const { claude } of [one, two]) await ask(claude, "ann");
    await spend(1.5, { user: "ann" });
    const startedMs = performance.now();
    const isOver = (andon: Andon) => !andon.isEnabled(FLAG, { targetingKey: "ann" });
    await until("both to refuse", () => isOver(one.andon) && isOver(two.andon));
    expect(performance.now() - startedMs).toBeLessThan(WITHIN_MS);
    for (const { claude } of [one, two]) {
      const sent = endpoint.calls.length;
      const error = await errorOf(ask(claude, "ann"));
      expect(error).toBeInstanceOf(FeatureDisabledError);
      expect(error).toMatchObject({ reason: "BUDGET", status: 403, until: expect.any(Date), flag: FLAG });
      expect(error.message).toBe("You have reached your limit for now. Please try again later.");
      expect(endpoint.calls.length).toBe(sent);
      await ask(claude, "bob");
      expect(endpoint.calls.length).toBe(sent + 1);
    }
    await first().api("POST", `${ENV}/budgets/${id}/lift`, { user: "ann", reason: "a customer calls" });
    await until("ann to be let go", () => [one, two].every(({ andon }) => !isOver(andon)));
    await ask(one.claude, "ann");
  });

  it("is refused by a process that starts later and by a server that was started anew, from its first call", async () => {
    const id = await makeBudget({ scope: { user: "each" } });
    await spend(1.5, { user: "cid" });
    const again = await startTestServer({ database });
    onTestFinished(() => again.close());
    const { andon, claude } = await instance(again);
    expect(andon.subjectBudgets.map((budget) => budget.id)).toContain(id);
    expect(await errorOf(ask(claude, "cid"))).toMatchObject({ reason: "BUDGET" });
    await ask(claude, "dan");
  });

  it("is refused by a client that was cut off meanwhile, once it is back; until then the last it knew holds", async () => {
    const id = await makeBudget({ scope: { user: "each" } });
    const network = cuttable();
    const andon = new Andon({ url: first().url, token, logger: SILENT, fetch: network.fetch }, { env: {} });
    onTestFinished(() => andon.close());
    await andon.ready();
    const claude = makeClient(Anthropic, andon, endpoint.url);
    await seen([andon], id);
    await ask(claude, "eve");
    await spend(1.5, { user: "fay" });
    await until("fay to be refused", () => !andon.isEnabled(FLAG, { targetingKey: "fay" }));
    network.cut();
    await spend(1.5, { user: "eve" });
    expect(andon.isEnabled(FLAG, { targetingKey: "fay" })).toBe(false);
    expect(andon.isEnabled(FLAG, { targetingKey: "eve" })).toBe(true);
    network.mend();
    await until("eve to be refused", () => !andon.isEnabled(FLAG, { targetingKey: "eve" }));
  });
});

describe("a session near its budget", () => {
  it("is told to the application at 80 %, by an event and by the decision, and steps down where its ladder says so", async () => {
    const { andon, claude } = await instance(first());
    const events: AndonEvents["budget"][] = [];
    andon.on("budget", (event) => events.push(event));
    const id = await makeBudget({
      scope: { flag: FLAG, session: "each" },
      ladder: [
        { atPercent: 80, action: "alert" },
        { atPercent: 90, action: "downgrade" },
        { atPercent: 100, action: "kill" },
      ],
    });
    await seen([andon], id);
    await ask(claude, "ann", "s1");
    await spend(0.85, { user: "ann", session: "s1" });
    await until("the warning", () => events.length > 0);
    expect(events).toMatchObject([{ action: "warn", session: "s1", budget: { id } }]);
    const decision = andon.evaluate(FLAG, { session: "s1" });
    expect(decision).toMatchObject({ enabled: true, level: 0, budget: { id, action: "warn", about: "session" } });
    expect(andon.evaluate(FLAG, { session: "s2" }).budget).toBeUndefined();
    await spend(0.1, { user: "ann", session: "s1" });
    await until("the step down", () => andon.evaluate(FLAG, { session: "s1" }).level === 1);
    await ask(claude, "ann", "s1");
    expect(endpoint.calls.at(-1)?.model).toBe("claude-sonnet-5-5");
    await ask(claude, "ann", "s2");
    expect(endpoint.calls.at(-1)?.model).toBe("claude-opus-5-5");
  });
});

describe("a guard", () => {
  it("that has heard of a million users keeps 50,000 of them at most, in bounded memory, and decides by the newest", () => {
    const hears: ((answer: Readonly<Record<string, unknown>>) => void)[] = [];
    const verdicts = new Verdicts({
      subjectBudgets: [{ id: "b", name: "each", user: "each" }],
      link: null,
      flag: () => undefined,
      chain: () => [],
      models: namesOf({ blocked: [] }),
      onApplied: () => () => undefined,
      onClose: () => undefined,
      onAnswer: (listener) => void hears.push(listener),
      judgeBy: () => undefined,
      tell: () => undefined,
      logger: SILENT,
    });
    const untilText = new Date(Date.now() + 3_600_000).toISOString();
    const tell = (from: number, count: number) =>
      hears[0]?.({
        verdicts: Array.from({ length: count }, (_, i) => {
          const n = from + i;
          return { n, budgetId: "b", subject: `user-${n}`, action: "stop", until: untilText };
        }),
      });
    tell(0, 100_000);
    const before = heapMb();
    for (let from = 100_000; from < 1_000_000; from += 10_000) tell(from, 10_000);
    expect(verdicts.size).toBeLessThanOrEqual(50_000);
    expect(heapMb() - before).toBeLessThan(10);
    const asked = (user: string) => verdicts.judge(ON, { targetingKey: user }).reason;
    expect([asked("user-999999"), asked("user-1")]).toEqual(["BUDGET", "ON"]);
  });
});

const ON: Decision = {
  flag: FLAG,
  enabled: true,
  reason: "ON",
  models: [],
  level: 0,
  message: "",
  revision: null,
  staleMs: null,
};

function heapMb(): number {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect === "function") collect();
  return process.memoryUsage().heapUsed / 1e6;
}

/** A `fetch` whose requests, running ones too, fail while the network is cut. */
function cuttable() {
  let isCut = false;
  const cutters = new Set<() => void>();
  const cutFetch: typeof fetch = async (...args) => {
    if (isCut) throw new Error("no network");
    const gone = new Promise<never>((_, reject) => {
      cutters.add(() => reject(new Error("the network went")));
    });
    return Promise.race([fetch(...args), gone]);
  };
  return {
    fetch: cutFetch,
    cut: () => {
      isCut = true;
      for (const cut of cutters) cut();
      cutters.clear();
    },
    mend: () => {
      isCut = false;
    },
  };
}
