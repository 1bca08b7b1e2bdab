/** Budgets that reserve, through the public doors: the real SDK, a local Claude endpoint and a real server on PostgreSQL. */
import Anthropic from "@anthropic-ai/sdk";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Andon } from "../../sdk-client/src/andon.ts";
import { type GuardOptions, guard } from "../../sdk-client/src/anthropic.ts";
import { findFeatureDisabled } from "../../sdk-client/src/feature-disabled-error.ts";
import {
  type ClaudeEndpoint,
  OVERLOADED,
  startClaudeEndpoint,
} from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { LEASES_PATH } from "../../sdk-client/src/wire/lease-protocol.ts";
import { budgetWindows } from "../../src/db/schema/budgets.ts";
import { freshDatabase } from "../support/database.ts";
import { errorOf, gate, SILENT } from "../support/guard-world.ts";
import { jsonOf } from "../support/json.ts";
import { makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { startLosingRelay } from "../support/losing-relay.ts";
import { until } from "../support/until.ts";

const OPUS = "claude-opus-5-5";
const HAIKU = "claude-haiku-5-5";
/** One call of it may cost 0.2 USD for its answer, and little for its question. */
const ASK = { model: OPUS, max_tokens: 10_000, messages: [{ role: "user" as const, content: "Why?" }] };
const NANO = 1e9;

let server: TestServer;
let endpoint: ClaudeEndpoint;
let token: string;
let database: Awaited<ReturnType<typeof freshDatabase>>;
beforeAll(async () => {
  database = await freshDatabase("postgres");
  [server, endpoint] = await Promise.all([startTestServer({ database }), startClaudeEndpoint()]);
  token = await makeToken(server.deps, { kind: "sdk" });
  await api("PUT", "chains/answers", { steps: [{ model: OPUS }, { model: HAIKU }] });
}, 60_000);
afterAll(() => Promise.all([server.close(), endpoint.close()]));

async function api<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await server.api(method, `/v1/environments/production/${path}`, body);
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return jsonOf<T>(response);
}

function batch(items: number): Anthropic.Messages.BatchCreateParams {
  return { requests: Array.from({ length: items }, (_, index) => ({ custom_id: String(index), params: ASK })) };
}

interface Setting {
  flag: string;
  budgetId: string;
  andon: Andon;
  client: Anthropic;
  /** What the budget's window says. */
  money: () => Promise<{ spent: number; reserved: number; indeterminate: number }>;
}

let flags = 0;

/** A flag with a budget of its own, and a client that decides by both. */
async function setting(
  limitUsd: number,
  {
    budget = {},
    flag: fields = {},
    options = {},
    url = server.url,
  }: { budget?: object; flag?: object; options?: Partial<GuardOptions>; url?: string } = {},
): Promise<Setting> {
  flags += 1;
  const flag = `flag-${flags}`;
  await api("POST", "flags", { key: flag, name: flag, ...fields });
  const scope = { flag };
  const made = await api<{ id: string }>("POST", "budgets", {
    name: flag,
    scope,
    limitUsd,
    enforcement: "reserve",
    onUnavailable: "deny",
    ladder: [],
    ...budget,
  });
  const andon = new Andon({ url, token, logger: SILENT, flushIntervalMs: 50, instance: flag }, { env: {} });
  await andon.ready();
  await until("the budget to be known", () => andon.budgets.some(({ id }) => id === made.id));
  const middleware = [guard(andon, { flag, ...options })];
  const client = new Anthropic({ apiKey: "test", baseURL: endpoint.url, middleware, maxRetries: 0 });
  const money = async (): Promise<{ spent: number; reserved: number; indeterminate: number }> => {
    const [row] = await server.deps.db.select().from(budgetWindows).where(eq(budgetWindows.budgetId, made.id));
    return {
      spent: row?.spentNanoUsd ?? 0,
      reserved: row?.reservedNanoUsd ?? 0,
      indeterminate: row?.indeterminateNanoUsd ?? 0,
    };
  };
  return { flag, budgetId: made.id, andon, client, money };
}

/** The ids of the requests whose results a client reads, to the end. */
async function readAll(client: Anthropic, id: string): Promise<string[]> {
  const read: string[] = [];
  for await (const { custom_id } of await client.messages.batches.results(id)) read.push(custom_id);
  return read;
}

describe("a budget that reserves", () => {
  it("lets a call through with its worst case set aside, and ends with what it cost as spent and nothing reserved", async () => {
    const { client, andon, money } = await setting(1);
    const held = gate();
    endpoint.behaveNext(OPUS, { kind: "answer", text: "because", hold: { beforeToken: 0, until: held.opened } });
    const answer = client.messages.create(ASK);
    await until("the call to be under way", async () => (await money()).reserved >= 0.2 * NANO);
    held.open();
    const { usage } = await answer;
    await andon.close();
    const cost = usage.input_tokens * 4_000 + usage.output_tokens * 20_000;
    await until("what it cost to be counted", async () => (await money()).spent > 0);
    expect(await money()).toEqual({ spent: cost, reserved: 0, indeterminate: 0 });
  });

  it("never lets more run at once than its limit covers, whoever asks first, and refuses the others as held", async () => {
    const { client, andon, money } = await setting(1, { budget: { reserveWaitMs: 2_000 } });
    const held = gate();
    endpoint.behave(OPUS, { kind: "answer", hold: { beforeToken: 0, until: held.opened } });
    const calls = Array.from({ length: 9 }, () => client.messages.create(ASK));
    const ends = Promise.allSettled(calls);
    await Promise.any(
      calls.map((call) =>
        call.then(
          () => Promise.reject(new Error("answered")),
          () => true,
        ),
      ),
    );
    expect((await money()).reserved).toBeLessThanOrEqual(1 * NANO);
    held.open();
    const settled = await ends;
    endpoint.reset();
    const refused = settled.flatMap((end) => (end.status === "rejected" ? [findFeatureDisabled(end.reason)] : []));
    expect(settled.filter(({ status }) => status === "fulfilled")).toHaveLength(4);
    expect(refused.map((error) => error?.because)).toEqual(Array(5).fill("held"));
    expect(refused[0]).toMatchObject({ reason: "BUDGET", status: 403, until: null });
    expect(refused[0]?.hint).toMatch(/holds \d\.\d+ USD for calls; this budget runs 4 such calls at once$/);
    await andon.close();
    await until("all to be settled", async () => (await money()).reserved === 0);
  });

  it("gives the money of a call that ended to the one that waits for it", async () => {
    const { client, andon, money } = await setting(0.25, { budget: { reserveWaitMs: 5_000 } });
    const held = gate();
    endpoint.behaveNext(OPUS, { kind: "answer", hold: { beforeToken: 0, until: held.opened } });
    const first = client.messages.create(ASK);
    await until("the first to be sent", async () => (await money()).reserved > 0);
    const second = client.messages.create(ASK);
    held.open();
    expect((await first).role).toBe("assistant");
    expect((await second).role).toBe("assistant");
    await andon.close();
  });

  it("steps down to what fits where a call may cost more than is left, and refuses at once where nothing fits", async () => {
    const chained = await setting(0.1, { flag: { chain: "answers" } });
    expect((await chained.client.messages.create(ASK)).model).toBe(HAIKU);
    const alone = await setting(0.1);
    const error = findFeatureDisabled(await errorOf(alone.client.messages.create(ASK)));
    expect(error).toMatchObject({ because: "tooLarge", reason: "BUDGET" });
    expect(error?.hint).toMatch(/needs 0\.20\d\d USD, 0\.1000 are left/);
    await Promise.all([chained.andon.close(), alone.andon.close()]);
  });

  it("lets calls go on with the state that has a raise, not when what was refused before is forgotten", async () => {
    const { client, andon, flag, budgetId } = await setting(0.1);
    expect(findFeatureDisabled(await errorOf(client.messages.create(ASK)))?.because).toBe("tooLarge");
    const raise = { addUsd: 1, until: new Date(Date.now() + 3_600_000).toISOString(), reason: "launch" };
    const { revision } = await api<{ revision: string }>("POST", `budgets/${budgetId}/raise`, raise);
    await until("the raise to be known", () => andon.evaluate(flag).revision === revision);
    expect(await client.messages.create(ASK)).toMatchObject({ role: "assistant" });
    await andon.close();
  });

  it("lowers max_tokens to what is left where the flag allows it, and not below minTokens", async () => {
    const clamps = await setting(0.1, { flag: { clampMaxTokens: true } });
    await clamps.client.messages.create(ASK);
    const sent = endpoint.calls.at(-1)?.body["max_tokens"];
    expect(sent).toBeGreaterThan(4_000);
    expect(sent).toBeLessThan(5_001);
    const tooFew = await setting(0.1, { flag: { clampMaxTokens: true }, budget: { minTokens: 6_000 } });
    const error = await errorOf(tooFew.client.messages.create(ASK));
    expect(findFeatureDisabled(error)?.because).toBe("tooLarge");
    await Promise.all([clamps.andon.close(), tooFew.andon.close()]);
  });

  it("ends a wait at a kill, at the deadline and at an abort, and gives nothing away then", async () => {
    const { client, andon, flag, money } = await setting(0.25, {
      budget: { reserveWaitMs: 30_000 },
      options: { deadlineMs: 60_000 },
    });
    const held = gate();
    endpoint.behaveNext(OPUS, { kind: "answer", hold: { beforeToken: 0, until: held.opened } });
    const running = client.messages.create(ASK);
    await until("it to run", async () => (await money()).reserved > 0);
    const abort = new AbortController();
    const aborted = errorOf(client.messages.create(ASK, { signal: abort.signal }));
    const hasty = new Anthropic({
      apiKey: "test",
      baseURL: endpoint.url,
      middleware: [guard(andon, { flag, deadlineMs: 200 })],
      maxRetries: 0,
    });
    const late = errorOf(hasty.messages.create(ASK));
    const killed = errorOf(client.messages.create(ASK));
    expect(await late).toMatchObject({ code: "ANDON_DEADLINE" });
    abort.abort();
    expect((await aborted).constructor.name).toBe("APIUserAbortError");
    await api("POST", `flags/${flag}/kill`, { reason: "test" });
    expect(findFeatureDisabled(await killed)?.reason).toBe("KILLED");
    held.open();
    expect((await running).role).toBe("assistant");
    await andon.close();
    await until("all to be settled", async () => (await money()).reserved === 0);
  });

  it("refuses in words what nobody can bound, and takes the bound that the guard is given", async () => {
    const { client, andon, flag } = await setting(5);
    const search = {
      ...ASK,
      max_tokens: 100,
      tools: [{ type: "web_search_20250305" as const, name: "web_search" as const }],
    };
    const error = findFeatureDisabled(await errorOf(client.messages.create(search)));
    expect(error).toMatchObject({ because: "unbounded", reason: "BUDGET" });
    expect(error?.hint).toMatch(/web_search_20250305 states no `max_uses`/);
    const bounded = {
      ...search,
      tools: [{ ...search.tools[0], type: "web_search_20250305" as const, name: "web_search" as const, max_uses: 1 }],
    };
    expect((await client.messages.create(bounded)).role).toBe("assistant");
    const trusting = new Anthropic({
      apiKey: "test",
      baseURL: endpoint.url,
      middleware: [guard(andon, { flag, toolUses: 1 })],
      maxRetries: 0,
    });
    expect((await trusting.messages.create(search)).role).toBe("assistant");
    await andon.close();
  });

  it("counts a long prompt by the API's own count before it waits: its bytes say four times as much", async () => {
    const { client, andon, money } = await setting(0.12);
    const long = {
      ...ASK,
      max_tokens: 100,
      messages: [{ role: "user" as const, content: "Why did it stop? ".repeat(4_000) }],
    };
    const before = endpoint.calls.length;
    expect((await client.messages.create(long)).role).toBe("assistant");
    const paths = endpoint.calls.slice(before).map(({ path }) => path);
    expect(paths).toEqual(["/v1/messages/count_tokens", "/v1/messages"]);
    await andon.close();
    await until("it to be settled", async () => (await money()).reserved === 0);
  });

  it("steps down at once for money that others hold only where the budget says so, else it waits its turn", async () => {
    const ends: string[][] = [];
    for (const [whenHeld, reserveWaitMs] of [
      ["stepDown", 30_000],
      ["wait", 1_000],
    ] as const) {
      const { client, andon } = await setting(0.25, {
        budget: { reserveWaitMs, whenHeld },
        flag: { chain: "answers" },
      });
      const held = gate();
      endpoint.behaveNext(OPUS, { kind: "answer", text: "because", hold: { beforeToken: 0, until: held.opened } });
      const first = client.messages.create(ASK);
      await until("the first call to be under way", () => endpoint.calls.some(({ status }) => status === null));
      const second = client.messages.create(ASK).then(
        ({ model }) => model,
        (error: unknown) => findFeatureDisabled(error)?.because ?? "",
      );
      ends.push([await second]);
      held.open();
      ends.at(-1)?.push((await first).model);
      await andon.close();
    }
    expect(ends).toEqual([
      [HAIKU, OPUS],
      ["held", OPUS],
    ]);
  });

  it("sets a batch aside at batch prices when it is submitted, and refuses one, and other work, that it cannot cover", async () => {
    const { client, andon, money } = await setting(0.25);
    const error = findFeatureDisabled(await errorOf(client.messages.batches.create(batch(3))));
    expect(error).toMatchObject({ because: "tooLarge", reason: "BUDGET" });
    await client.messages.batches.create(batch(2));
    const { spent, reserved } = await money();
    expect(spent + reserved).toBeGreaterThanOrEqual(0.2 * NANO);
    const work = client.post("/v1/sessions", { body: { agent: "a" } });
    expect(findFeatureDisabled(await errorOf(work))).toMatchObject({ because: "unbounded" });
    await andon.close();
  });

  it("sets each attempt of the SDK aside anew and once, also where none waits: what failed is free for the next", async () => {
    const { client, andon, money } = await setting(0.25, { budget: { reserveWaitMs: 0 } });
    endpoint.behaveNext(OPUS, OVERLOADED);
    const before = endpoint.calls.length;
    const ask = (): Promise<Anthropic.Message> => client.messages.create(ASK, { maxRetries: 1 });
    // Where none waits, the first answer of a busy server may come too late; the next call has its money.
    const { usage } = await ask().catch(ask);
    expect(endpoint.calls.length - before).toBe(2);
    await andon.close();
    const cost = usage.input_tokens * 4_000 + usage.output_tokens * 20_000;
    expect(await money()).toEqual({ spent: cost, reserved: 0, indeterminate: 0 });
  });

  it("sets aside once for guards inside each other: for a call, and for a batch", async () => {
    const { client, andon, flag, money } = await setting(0.25);
    const nested = client.withOptions({ middleware: [guard(andon, { flag }), guard(andon, { flag })] });
    const { usage } = await nested.messages.create(ASK);
    const cost = usage.input_tokens * 4_000 + usage.output_tokens * 20_000;
    await nested.messages.batches.create(batch(2));
    await andon.close();
    const { spent, reserved } = await money();
    expect(reserved).toBe(0);
    expect(spent - cost).toBeGreaterThanOrEqual(0.2 * NANO);
    expect(spent - cost).toBeLessThan(0.21 * NANO);
  });

  it("lets a call that is made inside of another one not wait for what that holds", async () => {
    const { client, andon, flag, money } = await setting(0.25, { budget: { reserveWaitMs: 60_000 } });
    const inner: unknown[] = [];
    const around = client.withOptions({
      middleware: [
        guard(andon, { flag }),
        async (request, next) => {
          inner.push(await errorOf(client.messages.create(ASK)));
          return next(request);
        },
      ],
    });
    expect((await around.messages.create(ASK)).role).toBe("assistant");
    expect(inner.map((error) => findFeatureDisabled(error)?.because)).toEqual(["held"]);
    await andon.close();
    expect((await money()).reserved).toBe(0);
  });

  describe("of a message batch", () => {
    /** What each request used, by its id; null: it was not answered. */
    type Results = Record<string, { input: number; output: number } | null>;

    /** What the endpoint does not serve: the batch that it took, and its results. `later`: null until it has ended. */
    function batchApi(later: () => Results | null): (input: unknown, init?: RequestInit) => Promise<Response> {
      return async (input, init) => {
        const url = input instanceof Request ? input.url : String(input);
        const [, id] = /\/batches\/([^/?]+)/.exec(url) ?? [];
        if (id === undefined) return fetch(input instanceof Request ? input : url, init);
        const results = later();
        if (url.includes("/results")) return new Response(linesOf(results ?? {}));
        const succeeded = Object.values(results ?? {}).filter((each) => each !== null).length;
        return Response.json({
          id,
          type: "message_batch",
          processing_status: results === null ? "in_progress" : "ended",
          request_counts: { processing: 0, succeeded, errored: 0, canceled: 0, expired: 0 },
          results_url: results === null ? null : `${endpoint.url}/v1/messages/batches/${id}/results`,
        });
      };
    }

    function linesOf(results: Results): string {
      const lines = Object.entries(results).map(([custom_id, used]) => {
        if (used === null) return { custom_id, result: { type: "expired" } };
        const usage = { input_tokens: used.input, output_tokens: used.output, service_tier: "batch" };
        const message = { id: `msg_${custom_id}`, type: "message", role: "assistant", model: OPUS, content: [], usage };
        return { custom_id, result: { type: "succeeded", message: { ...message, stop_reason: "end_turn" } } };
      });
      return lines.map((line) => JSON.stringify(line)).join("\n");
    }

    async function submitted(results: Results): Promise<Setting & { id: string; other: Anthropic; end: () => void }> {
      const world = await setting(1);
      let ended: Results | null = null;
      const answering = batchApi(() => ended);
      const client = world.client.withOptions({ fetch: answering });
      const other = new Anthropic({ apiKey: "test", baseURL: endpoint.url, fetch: answering });
      const { id } = await client.messages.batches.create(batch(Object.keys(results).length));
      return { ...world, client, other, id, end: () => (ended = results) };
    }

    /** At batch prices: half of 4 and 20 USD a million tokens. */
    const COST = 100 * 2_000 + 50 * 10_000;
    const USED = { input: 100, output: 50 };

    it("is spent as an estimate at once, and corrected by its results when all were read, each once however often", async () => {
      const { client, andon, money, id, end } = await submitted({ "0": USED, "1": null, "2": USED });
      await client.messages.batches.retrieve(id);
      await until("its estimate to be counted", async () => (await money()).spent >= 0.3 * NANO);
      const estimated = await money();
      expect(estimated.reserved).toBeLessThan(0.1 * NANO);
      end();
      for await (const { custom_id } of await client.messages.batches.results(id)) if (custom_id === "0") break;
      await andon.flush();
      expect((await money()).spent).toBe(estimated.spent);
      expect(await readAll(client, id)).toEqual(["0", "1", "2"]);
      await readAll(client, id);
      await andon.close();
      expect(await money()).toEqual({ spent: 2 * COST, reserved: 0, indeterminate: 0 });
    });

    it("costs nothing when it has ended without an answer, as one that was canceled or expired", async () => {
      const { client, andon, money, id, end } = await submitted({ "0": null, "1": null });
      end();
      expect((await client.messages.batches.retrieve(id)).processing_status).toBe("ended");
      await andon.close();
      expect(await money()).toEqual({ spent: 0, reserved: 0, indeterminate: 0 });
    });

    it("is corrected by whoever reads its results, when the client that submitted it is gone", async () => {
      const { other, andon, flag, money, id, end } = await submitted({ "0": USED, "1": USED });
      await andon.close();
      end();
      const elsewhere = new Andon({ url: server.url, token, logger: SILENT, instance: `${flag}-b` }, { env: {} });
      await elsewhere.ready();
      await readAll(other.withOptions({ middleware: [guard(elsewhere, { flag })] }), id);
      await elsewhere.close();
      expect(await money()).toEqual({ spent: 2 * COST, reserved: 0, indeterminate: 0 });
    });

    it("stays spent as an estimate while nobody reads it, also when its client goes", async () => {
      const { andon, money } = await submitted({ "0": USED, "1": USED });
      await andon.close();
      const { spent, reserved } = await money();
      expect(reserved).toBe(0);
      expect(spent).toBeGreaterThanOrEqual(0.2 * NANO);
      expect(spent).toBeLessThan(0.21 * NANO);
    });
  });

  it("a stream that its reader leaves leaks no reservation: it settles, and gives back most of the prompt's part at its beginning", async () => {
    const { client, andon, money } = await setting(1);
    const held = gate();
    endpoint.behaveNext(OPUS, { kind: "answer", text: "a b c d", hold: { beforeToken: 2, until: held.opened } });
    const stream = await client.messages.create({ ...ASK, stream: true });
    for await (const event of stream) if (event.type === "content_block_delta") break;
    held.open();
    await andon.close();
    await until("it to be settled", async () => (await money()).spent > 0 && (await money()).reserved === 0);
    expect((await money()).spent).toBeLessThan(0.2 * NANO);
  });

  it("gives back at its close what was granted by answers that were lost", async () => {
    const relay = await startLosingRelay(server.url, LEASES_PATH);
    const { andon, client, money } = await setting(3, { url: relay.url, options: { deadlineMs: 500 } });
    relay.loses = true;
    await errorOf(client.messages.create(ASK));
    await until("an answer to be lost", () => relay.lost > 0);
    expect((await money()).reserved).toBeGreaterThan(0);
    relay.loses = false;
    await andon.close();
    expect(await money()).toEqual({ spent: 0, reserved: 0, indeterminate: 0 });
    await relay.close();
  });

  it("spends what its lease still holds while no server answers, then does as the budget's onUnavailable says", async () => {
    const other = await startTestServer({ database });
    const denies = await setting(3, { url: other.url });
    const allows = await setting(3, { url: other.url, budget: { onUnavailable: "allow" } });
    await denies.client.messages.create(ASK);
    await other.close();
    const error = await errorOf(
      (async () => {
        // The slice that it has is worth a few calls, not all of the budget.
        for (let call = 0; call < 20; call += 1) await denies.client.messages.create({ ...ASK, max_tokens: 20_000 });
      })(),
    );
    expect(findFeatureDisabled(error)).toMatchObject({ because: "unavailable", reason: "BUDGET" });
    expect((await allows.client.messages.create(ASK)).role).toBe("assistant");
    await Promise.all([denies.andon.close(), allows.andon.close()]);
  });
});
