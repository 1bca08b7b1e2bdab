/**
 * Limits of a flag, its users and its sessions: what is promised of one process, through the real SDK. Clocks stand still
 * until a test moves them on.
 */
import type Anthropic from "@anthropic-ai/sdk";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { Andon } from "../../sdk-client/src/andon.ts";
import { findFeatureDisabled } from "../../sdk-client/src/anthropic.ts";
import type { SnapshotFlag } from "../../sdk-client/src/wire/protocol.ts";
import { type ClaudeEndpoint, startClaudeEndpoint } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { FLAG, flagOf, HAIKU, OPUS, snapshotOf, SONNET } from "../support/guard-snapshots.ts";
import { ASK, errorOf, makeClient, modelsSent, SDKS, SILENT } from "../support/guard-world.ts";
import { until } from "../support/until.ts";

const NOON_MS = Date.UTC(2026, 10, 27, 12);
const SDK = SDKS[0]?.Sdk;

let endpoint: ClaudeEndpoint;
const hosts: Andon[] = [];
beforeAll(async () => {
  endpoint = await startClaudeEndpoint();
});
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date", "performance"], now: NOON_MS });
});
afterEach(async () => {
  vi.useRealTimers();
  endpoint.reset();
  await Promise.all(hosts.splice(0).map((andon) => andon.close()));
});
afterAll(() => endpoint.close());

/** A process of its own with this flag. */
function host(flag: Partial<SnapshotFlag>, others: Record<string, SnapshotFlag> = {}): Andon {
  const bootstrap = snapshotOf({ flags: { [FLAG]: flagOf(flag), ...others } });
  const andon = new Andon({ bootstrap, logger: SILENT }, { env: {} });
  hosts.push(andon);
  return andon;
}

function clientOf(andon: Andon, options: Parameters<typeof makeClient>[3] = {}): Anthropic {
  if (SDK === undefined) throw new Error("no SDK");
  return makeClient(SDK, andon, endpoint.url, { maxRetries: 0, ...options });
}

const as = (user: string, session?: string) => ({
  headers: { "andon-user": user, ...(session !== undefined && { "andon-session": session }) },
});

function sentBody(at: number): unknown {
  return endpoint.calls[at]?.body;
}

/** What a refusal says of itself. */
async function refusal(call: PromiseLike<unknown>) {
  const error = findFeatureDisabled(await errorOf(call));
  if (error === null) throw new Error("not a refusal of ours");
  const { reason, limit, until: ends, message } = error;
  return { reason, limit: limit === undefined ? null : `${limit.scope}.${limit.name}`, until: ends ?? null, message };
}

describe.each(SDKS)("$name", ({ Sdk }) => {
  it("refuses by limit, with BUDGET, words for users and when it ends; nothing refused is sent", async () => {
    const client = makeClient(Sdk, host({ limits: { user: { requestsPerMinute: 2 } } }), endpoint.url);
    await client.messages.create(ASK, as("ada"));
    vi.advanceTimersByTime(20_000);
    await client.messages.create({ ...ASK, metadata: { user_id: "ada" } });
    const error = await errorOf(client.messages.create(ASK, as("ada")));
    expect(error).toMatchObject({
      reason: "BUDGET",
      flag: FLAG,
      message: "You have made many requests in a short time. Please try again in 40 seconds.",
      limit: { scope: "user", name: "requestsPerMinute", allowed: 2 },
      until: new Date(NOON_MS + 60_000),
    });
    await client.messages.create(ASK, as("bob"));
    await client.messages.create(ASK);
    vi.advanceTimersByTime(39_999);
    expect((await refusal(client.messages.stream(ASK, as("ada")).done())).reason).toBe("BUDGET");
    vi.advanceTimersByTime(1);
    await client.messages.create(ASK, as("ada"));
    expect(endpoint.calls).toHaveLength(5);
  });
});

describe("calls at a time", () => {
  const cases = {
    flag: { as: [as("ada", "1"), as("bob", "2")], free: null, words: /busy/ },
    user: { as: [as("ada", "1"), as("ada", "2")], free: as("bob", "1"), words: /earlier requests/ },
    session: { as: [as("ada", "1"), as("bob", "1")], free: as("ada", "2"), words: /of this conversation/ },
  } as const;
  it.each(["flag", "user", "session"] as const)(
    "of a %s are counted until they end, streams to their last event",
    async (scope) => {
      const {
        as: [first, second],
        free,
        words,
      } = cases[scope];
      const client = clientOf(host({ limits: { [scope]: { concurrent: 1 } } }));
      endpoint.behaveNext("*", { kind: "hang", after: 3 });
      const stream = client.messages.stream(ASK, first);
      const ended = errorOf(stream.done());
      await until("the stream runs", () => (endpoint.calls[0]?.tokensSent ?? 0) >= 3);
      const refused = await refusal(client.messages.create(ASK, second));
      expect(refused).toMatchObject({ reason: "BUDGET", limit: `${scope}.concurrent`, until: null });
      expect(refused.message).toMatch(words);
      if (free !== null) await client.messages.create(ASK, free);
      stream.abort();
      await ended;
      await client.messages.create(ASK, second);
      await client.messages.create(ASK, second);
    },
  );

  it("are given back by calls that fail, are killed, are aborted or refused by the API", async () => {
    const andon = host({ limits: { flag: { concurrent: 1 } }, chain: null });
    const client = clientOf(andon, { deadlineMs: 60_000 });
    for (const behaviour of [
      { kind: "error", status: 529, type: "overloaded_error" },
      { kind: "error", status: 400, type: "invalid_request_error" },
      { kind: "reset" },
      { kind: "truncate", afterTokens: 2 },
    ] as const) {
      endpoint.behaveNext("*", behaviour);
      const error = await errorOf(client.messages.stream(ASK).done());
      expect(findFeatureDisabled(error)?.reason, behaviour.kind).not.toBe("BUDGET");
    }
    endpoint.behaveNext("*", { kind: "hang", after: "request" });
    const abort = new AbortController();
    const aborted = errorOf(client.messages.create(ASK, { signal: abort.signal }));
    await until("it is sent", () => endpoint.calls.length === 5);
    abort.abort();
    await aborted;
    await client.messages.create(ASK);
  });

  it("hold for the SDK's retries too, which are no further requests", async () => {
    const client = clientOf(host({ limits: { flag: { concurrent: 1, requestsPerMinute: 1 } }, chain: null }), {
      maxRetries: 2,
    });
    endpoint.behaveNext("*", { kind: "error", status: 503, type: "api_error", headers: { "retry-after-ms": "1" } });
    await client.messages.create(ASK);
    expect(endpoint.calls).toHaveLength(2);
    expect((await refusal(client.messages.create(ASK))).limit).toBe("flag.requestsPerMinute");
  });
});

describe("tokens a day", () => {
  it("stop new calls once used, till the day (UTC) ends, counted over whole answers and streams", async () => {
    const client = clientOf(host({ limits: { user: { tokensPerDay: 30 }, flag: { tokensPerDay: 1_000 } } }));
    endpoint.behave("*", { kind: "answer", text: "one two three four five", usage: { input: 10 } });
    await client.messages.create(ASK, as("ada"));
    await client.messages.stream(ASK, as("ada")).finalMessage();
    expect(await refusal(client.messages.create(ASK, as("ada")))).toEqual({
      reason: "BUDGET",
      limit: "user.tokensPerDay",
      until: new Date(Date.UTC(2026, 10, 28)),
      message: "You have reached your limit for today. Please try again in 12 hours.",
    });
    await client.messages.create(ASK, as("bob"));
    vi.setSystemTime(Date.UTC(2026, 10, 28));
    await client.messages.create(ASK, as("ada"));
  });
});

describe("guards inside each other", () => {
  it("count a call of one flag once, and tokens under each flag", async () => {
    const limits = { flag: { concurrent: 1, requestsPerMinute: 3, tokensPerDay: 1_000_000 } };
    const other = flagOf({ limits: { flag: { tokensPerDay: 1 } } });
    const andon = host({ limits }, { outer: other });
    const { guard } = await import("../../sdk-client/src/anthropic.ts");
    if (SDK === undefined) throw new Error("no SDK");
    const middleware = (...flags: string[]) => ({
      apiKey: "test",
      baseURL: endpoint.url,
      maxRetries: 0,
      middleware: flags.map((flag) => guard(andon, { flag })),
    });
    const twice = new SDK(middleware(FLAG, FLAG));
    await twice.messages.create(ASK);
    await twice.messages.create(ASK);
    const nested = new SDK(middleware("outer", FLAG));
    await nested.messages.create(ASK);
    expect((await refusal(nested.messages.create(ASK))).limit).toBe("flag.tokensPerDay");
    expect((await refusal(twice.messages.create(ASK))).limit).toBe("flag.requestsPerMinute");
  });
});

describe("what a refusal looks like", () => {
  it("is the flag's off message, as an answer, where the flag says so", async () => {
    const flag = { offMode: "message", limits: { flag: { requestsPerMinute: 1 } } } as const;
    const own = clientOf(host(flag));
    const written = clientOf(host({ ...flag, offMessage: "Our assistant is resting." }));
    const texts: unknown[] = [];
    for (const client of [own, written]) {
      await client.messages.create(ASK);
      texts.push((await client.messages.create(ASK)).content[0]);
      texts.push((await client.messages.stream(ASK).finalMessage()).content[0]);
    }
    const busy = { type: "text", text: "This feature is busy at the moment. Please try again in 60 seconds." };
    const resting = { type: "text", text: "Our assistant is resting." };
    expect(texts).toMatchObject([busy, busy, resting, resting]);
    expect(endpoint.calls).toHaveLength(2);
  });

  it("comes after a kill and before a missing model, as the order of authority says", async () => {
    const limits = { flag: { requestsPerMinute: 1 } };
    const andon = host({ limits });
    const client = clientOf(andon);
    await client.messages.create(ASK);
    const blocked = new Andon(
      { bootstrap: snapshotOf({ flags: { [FLAG]: flagOf({ limits }) }, blockedModels: [OPUS] }), logger: SILENT },
      { env: { ANDON_KILL: FLAG } },
    );
    hosts.push(blocked);
    expect((await refusal(client.messages.create(ASK))).reason).toBe("BUDGET");
    expect((await refusal(clientOf(blocked).messages.create(ASK))).reason).toBe("LOCAL");
  });
});

it("a call that a limit or a block refuses counts as off, and the first also as limited", async () => {
  const reports: unknown[] = [];
  const server = async (_url: string, init?: { method?: string; body?: unknown }) => {
    if (init?.method === "POST") reports.push(JSON.parse(String(init.body)));
    return Response.json({ accepted: 0 });
  };
  const bootstrap = snapshotOf({ flags: { [FLAG]: flagOf({ limits: { flag: { requestsPerMinute: 1 } } }) } });
  const url = "http://andon.test";
  const andon = new Andon({ url, token: "andon_sdk_test", fetch: server, bootstrap, logger: SILENT }, { env: {} });
  hosts.push(andon);
  const client = clientOf(andon);
  await client.messages.create(ASK);
  await errorOf(client.messages.create(ASK));
  await errorOf(client.messages.create(ASK));
  await andon.flush();
  const blocked = new Andon(
    {
      url,
      token: "andon_sdk_test",
      fetch: server,
      bootstrap: snapshotOf({ blockedModels: [OPUS, SONNET, HAIKU] }),
      logger: SILENT,
    },
    { env: {} },
  );
  hosts.push(blocked);
  await errorOf(clientOf(blocked).messages.create(ASK));
  await blocked.flush();
  expect(reports).toMatchObject([
    { checks: { [FLAG]: { on: 1, off: 2, limited: 2 } } },
    { checks: { [FLAG]: { on: 0, off: 1 } } },
  ]);
});

describe("caps on a request", () => {
  const long = { ...ASK, messages: [{ role: "user" as const, content: "ü".repeat(600) }] };

  it("refuse a body of more bytes than allowed, in a message or in any request of a batch", async () => {
    const client = clientOf(host({ maxInputBytes: 1_000, offMessage: "Not now." }));
    const words = "This request is too long. Please shorten it and try again.";
    const tooLong = { reason: "BUDGET", limit: "request.maxInputBytes", until: null, message: words };
    expect(await refusal(client.messages.create(long))).toEqual(tooLong);
    const requests = [ASK, long].map((params, at) => ({ custom_id: String(at), params }));
    expect(await refusal(client.messages.batches.create({ requests }))).toEqual(tooLong);
    const short = Array.from({ length: 9 }, (_, at) => ({ custom_id: String(at), params: ASK }));
    await client.messages.batches.create({ requests: short });
    await client.messages.create(ASK);
    expect(endpoint.calls.filter(({ model }) => model === OPUS)).toHaveLength(1);
  });

  const asking: Record<string, object> = {
    max_tokens: { max_tokens: 500 },
    "a fallback": { fallbacks: [{ model: SONNET, max_tokens: 500 }] },
    "an advisor": { tools: [{ type: "advisor_20260301", name: "advisor", model: OPUS, max_tokens: 500 }] },
  };
  it.each(Object.entries(asking))("hold %s of a request to the flag's largest", async (_, more) => {
    const body = Object.assign({}, ASK, more);
    const strict = clientOf(host({ maxOutputTokens: 100 }));
    expect((await refusal(strict.messages.create(body))).limit).toBe("request.maxOutputTokens");
    expect(endpoint.calls).toHaveLength(0);
    const lowering = clientOf(host({ maxOutputTokens: 100, clampMaxTokens: true }));
    await lowering.messages.create(body);
    expect(JSON.stringify(sentBody(0))).toBe(JSON.stringify(body).replaceAll("500", "100"));
    await lowering.messages.create(ASK);
    expect(sentBody(1)).toEqual(ASK);
  });

  it("hold a text completion, which asks by another name", async () => {
    const body = { model: OPUS, prompt: "x", max_tokens_to_sample: 500 };
    const strict = clientOf(host({ maxOutputTokens: 100 }));
    expect((await refusal(strict.post("/v1/complete", { body }))).limit).toBe("request.maxOutputTokens");
    const sent: unknown[] = [];
    const fetching = async (_url: unknown, init?: { body?: unknown }): Promise<Response> => {
      sent.push(JSON.parse(String(init?.body)));
      return Response.json({ type: "completion", completion: "y", model: OPUS, stop_reason: "stop_sequence" });
    };
    const lowering = host({ maxOutputTokens: 100, clampMaxTokens: true });
    await clientOf(lowering, { fetch: fetching }).post("/v1/complete", { body });
    expect(sent).toMatchObject([{ max_tokens_to_sample: 100 }]);
  });

  it.each([
    { cap: 2_000, sent: { type: "enabled", budget_tokens: 1_999 } },
    { cap: 1_000, sent: { type: "disabled" } },
  ])("lower thinking with max_tokens: $cap", async ({ cap, sent }) => {
    const client = clientOf(host({ maxOutputTokens: cap, clampMaxTokens: true }));
    const thinking = { type: "enabled" as const, budget_tokens: 4_000 };
    await client.messages.create({ ...ASK, max_tokens: 8_000, thinking });
    expect(sentBody(0)).toMatchObject({ max_tokens: cap, thinking: sent });
  });

  it("hold a step that sets more, and each request of a batch", async () => {
    const flag = flagOf({ maxOutputTokens: 100, clampMaxTokens: true });
    const chains = { default: { steps: [{ model: OPUS, set: { max_tokens: 900 } }] } };
    const andon = new Andon(
      { bootstrap: snapshotOf({ flags: { [FLAG]: flag }, chains }), logger: SILENT },
      { env: {} },
    );
    hosts.push(andon);
    const client = clientOf(andon);
    await client.messages.create(ASK);
    expect(sentBody(0)).toMatchObject({ max_tokens: 100 });
    expect(modelsSent({ endpoint })).toEqual([OPUS]);
  });
});
