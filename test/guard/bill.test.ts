/** The true bill: what is not billed costs nothing, what is missing is estimated, what cannot be seen is bounded. */
import Anthropic from "@anthropic-ai/sdk";
import { describe, expect, it } from "vitest";
import type { UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";
import { FLAG, flagOf, HAIKU, OPUS } from "../support/guard-snapshots.ts";
import { ASK, type ClientOptions } from "../support/guard-world.ts";
import { sse } from "../../src/demo/claude-endpoint/shapes.ts";
import { startUsageWorld, type UsageWorld } from "../support/usage-world.ts";

const FABLE = "claude-fable-5-2";
const NOTHING = { input: 0, output: 0, cacheWrite5m: 0, cacheWrite1h: 0, cacheRead: 0, webSearches: 0 };
const TEXT = { type: "text", text: "word ".repeat(400) };

interface Answer {
  model?: string;
  content?: readonly Record<string, unknown>[];
  usage?: unknown;
  stop_reason?: string;
  stop_details?: unknown;
}

/** The same answer whole, or as the events of a stream that tells its output at the end. */
function responseOf(answer: Answer, isStream: boolean): Response {
  const { content = [{ type: "text", text: "ok" }], usage, stop_reason = "end_turn", stop_details = null } = answer;
  const message = { id: "msg_1", type: "message", role: "assistant", model: OPUS, ...answer, content, stop_reason };
  if (!isStream) return Response.json({ ...message, stop_details });
  const start = { ...message, content: [], stop_reason: null, usage };
  const blocks = content.flatMap((block, index) => blockEvents(block, index));
  const end = { type: "message_delta", delta: { stop_reason, stop_details }, usage };
  const events = [{ type: "message_start", message: start }, ...blocks, end, { type: "message_stop" }];
  return new Response(events.map(sse).join(""), { headers: { "content-type": "text/event-stream" } });
}

function blockEvents(block: Record<string, unknown>, index: number): Record<string, unknown>[] {
  const text = block["text"];
  const opened = typeof text === "string" ? { ...block, text: "" } : block;
  const delta = { type: "content_block_delta", index, delta: { type: "text_delta", text } };
  const open = { type: "content_block_start", index, content_block: opened };
  return [open, ...(text === undefined ? [] : [delta]), { type: "content_block_stop", index }];
}

/** The records of calls that are answered so, one call after the other, by the name of their user. */
async function recordsOf(
  calls: Record<string, { answer: (isStream: boolean) => Promise<Response>; ask?: object; stream?: boolean }>,
  options: ClientOptions = {},
): Promise<Record<string, UsageRecord[]>> {
  const world = await startUsageWorld();
  await world.change({ flags: { [FLAG]: flagOf({ chain: null }) } });
  for (const [user, { answer, ask = {}, stream = false }] of Object.entries(calls)) {
    const fetch = (): Promise<Response> => answer(stream);
    const client = world.client(Anthropic, { fetch, maxRetries: 0, timeout: 60_000, ...options });
    const body = { ...ASK, max_tokens: 4_000, ...ask, stream } as Anthropic.MessageCreateParams;
    try {
      const result = await client.messages.create(body, { headers: { "andon-user": user } });
      if (Symbol.asyncIterator in result) for await (const _ of result) continue;
    } catch (error) {
      // A call that fails has its record all the same.
      if (!(error instanceof Error)) throw error;
    }
  }
  return grouped(await world.finish());
}

function grouped(records: readonly UsageRecord[]): Record<string, UsageRecord[]> {
  const byUser: Record<string, UsageRecord[]> = {};
  for (const record of records) (byUser[record.user ?? ""] ??= []).push(record);
  return byUser;
}

const answers = (answer: Answer) => (isStream: boolean) => Promise.resolve(responseOf(answer, isStream));

const withUsage = (usage: unknown, stream: boolean) => ({ answer: answers({ content: [TEXT], usage }), stream });
const tokens = (input_tokens: number, output_tokens: number) => ({ input_tokens, output_tokens });
const entry = (type: string, model: string | null, input_tokens: number, output_tokens: number) => {
  const counts = { cache_read_input_tokens: 0, cache_creation_input_tokens: 0, input_tokens, output_tokens };
  return model === null ? { type, ...counts } : { type, model, ...counts };
};
const hang = (): Promise<Response> => new Promise(() => undefined);
/** A call that is never answered, and ends by its limit. */
const timesOut = (ask: object = {}) => ({ answer: hang, ask });
const pdf = (pages: number, padding: number): string =>
  btoa(`%PDF-1.4\n${"<< /Type /Page >>\n".repeat(pages)}<< /Type /Pages /Count ${pages} >>${" ".repeat(padding)}`);
const documentAsk = (source: object) => ({ messages: [{ role: "user", content: [{ type: "document", source }] }] });
const inline = (data: string) => timesOut(documentAsk({ type: "base64", media_type: "application/pdf", data }));
const continues = (previous_message_id: string) => timesOut({ thread: { type: "continue", previous_message_id } });

const WAYS = [
  ["whole", false],
  ["streamed", true],
] as const;

describe.each(WAYS)("%s", (_name, stream) => {
  it("a refusal before any output costs what the provider bills of its category, and nothing where it waives", async () => {
    const usage = { input_tokens: 50_000, output_tokens: 1 };
    const refusal = (category: unknown, more: Answer = {}) => ({
      answer: answers({
        content: [],
        usage,
        stop_reason: "refusal",
        stop_details: { type: "refusal", category },
        ...more,
      }),
      stream,
    });
    const records = await recordsOf({
      cyber: refusal("cyber"),
      general: refusal("general_harms"),
      unnamed: refusal(null),
      bio: refusal("bio"),
      frontier: refusal("frontier_llm"),
      reasoning: refusal("reasoning_extraction"),
      newer: refusal("of_next_year"),
      untold: refusal("cyber", { stop_details: null }),
      late: refusal("cyber", { content: [{ type: "text", text: "Sure" }] }),
      thought: refusal("cyber", { usage: { input_tokens: 50_000, output_tokens: 700 } }),
    });
    for (const waived of ["cyber", "general", "unnamed"]) {
      expect(records[waived]).toMatchObject([{ outcome: "refused", exact: true, usage: NOTHING }]);
    }
    for (const billed of ["bio", "frontier", "reasoning", "late"]) {
      expect(records[billed]).toMatchObject([{ outcome: "refused", exact: true, usage: { input: 50_000, output: 1 } }]);
    }
    expect(records["thought"]).toMatchObject([{ exact: true, usage: { input: 50_000, output: 700 } }]);
    // What the table does not know is counted, as an estimate.
    for (const open of ["newer", "untold"]) {
      expect(records[open]).toMatchObject([{ exact: false, usage: { input: 50_000 } }]);
    }
  });

  it("each attempt of a fallback is its own model's, and one that was waived costs nothing", async () => {
    const fallback = (category?: string) => ({
      type: "fallback",
      from: { model: FABLE },
      to: { model: OPUS },
      ...(category === undefined ? {} : { trigger: { type: "refusal", category } }),
    });
    const turn = (category: string | undefined, declinedOutput: number) => ({
      answer: answers({
        model: OPUS,
        content: [fallback(category), { type: "text", text: "Hi!" }],
        usage: {
          input_tokens: 412,
          output_tokens: 264,
          iterations: [
            entry("compaction", null, 9_000, 90),
            entry("message", FABLE, 535, declinedOutput),
            entry("advisor_message", HAIKU, 70, 30),
            entry("fallback_message", OPUS, 412, 264),
          ],
        },
      }),
      ask: { model: FABLE },
      stream,
    });
    const records = await recordsOf({
      waived: turn("cyber", 0),
      billed: turn("frontier_llm", 0),
      written: turn("cyber", 77),
      untold: turn(undefined, 0),
    });
    const told = (user: string) =>
      records[user]?.map(({ part, model, usage, exact }) => [part, model, usage.input, usage.output, exact]);
    const declined = (user: string) => told(user)?.find(([part]) => part === "declined");
    expect(told("waived")).toEqual(
      expect.arrayContaining([
        [undefined, OPUS, 412, 264, true],
        ["compaction", FABLE, 9_000, 90, false],
        ["declined", FABLE, 0, 0, true],
        ["advisor", HAIKU, 70, 30, true],
      ]),
    );
    expect(declined("billed")).toEqual(["declined", FABLE, 535, 0, false]);
    expect(declined("written")).toEqual(["declined", FABLE, 535, 77, true]);
    expect(declined("untold")).toEqual(["declined", FABLE, 535, 0, false]);
  });

  it("usage that is missing is estimated: absent, null, empty, zeros, a placeholder, or half of it", async () => {
    const records = await recordsOf({
      absent: withUsage(undefined, stream),
      null: withUsage(null, stream),
      empty: withUsage({}, stream),
      nulls: withUsage({ input_tokens: null, output_tokens: null }, stream),
      zeros: withUsage({ input_tokens: 0, output_tokens: 0 }, stream),
      placeholder: withUsage({ input_tokens: 90, output_tokens: 1 }, stream),
      onlyOutput: withUsage({ output_tokens: 400 }, stream),
      onlyInput: withUsage({ input_tokens: 90 }, stream),
      cached: withUsage({ input_tokens: 0, cache_read_input_tokens: 90, output_tokens: 400 }, stream),
    });
    for (const missing of ["absent", "null", "empty", "nulls", "zeros", "onlyOutput"]) {
      const [record] = records[missing] ?? [];
      expect(record, missing).toMatchObject({ outcome: "ok", exact: false });
      expect(record?.usage.input, missing).toBeGreaterThan(JSON.stringify(ASK).length);
      expect(record?.usage.output, missing).toBeGreaterThanOrEqual(400);
    }
    for (const half of ["placeholder", "onlyInput"]) {
      expect(records[half]).toMatchObject([{ exact: false, usage: { input: 90 } }]);
      expect(records[half]?.[0]?.usage.output).toBeGreaterThanOrEqual(400);
    }
    expect(records["cached"]).toMatchObject([{ exact: true, usage: { input: 0, cacheRead: 90, output: 400 } }]);
  });
});

it("an error in place of an answer costs nothing, whatever its status", async () => {
  const body = { type: "error", error: { type: "overloaded_error", message: "Overloaded" } };
  const records = await recordsOf({ lied: { answer: () => Promise.resolve(Response.json(body)) } });
  for (const record of records["lied"] ?? []) expect(record).toMatchObject({ exact: true, usage: NOTHING });
  expect(records["lied"]).toHaveLength(1);
});

it("a delta that knows no prompt does not take back the one that was told", async () => {
  const start = {
    type: "message_start",
    message: { id: "msg_1", type: "message", model: OPUS, usage: { input_tokens: 100, output_tokens: 1 } },
  };
  const end = {
    type: "message_delta",
    delta: { stop_reason: "end_turn" },
    usage: { input_tokens: 0, output_tokens: 3 },
  };
  const events = [start, ...blockEvents({ type: "text", text: "ok" }, 0), end, { type: "message_stop" }].map(sse);
  const response = (): Promise<Response> => Promise.resolve(new Response(events.join("")));
  const records = await recordsOf({ a: { answer: response, stream: true } });
  expect(records["a"]).toMatchObject([{ exact: true, usage: { input: 100, output: 3 } }]);
});

it("a first model that declines while it writes has its own output, the model that goes on the rest", async () => {
  const message = { id: "msg_1", type: "message", model: FABLE, usage: tokens(535, 1) };
  const trigger = { type: "refusal", category: "cyber" };
  const handover = { type: "fallback", from: { model: FABLE }, to: { model: OPUS }, trigger };
  const iterations = [
    { type: "message", model: FABLE, ...tokens(535, 40) },
    { type: "fallback_message", model: OPUS, ...tokens(600, 20) },
  ];
  const events = [
    { type: "message_start", message },
    ...blockEvents({ type: "text", text: "Here is the" }, 0),
    ...blockEvents(handover, 1),
    ...blockEvents({ type: "text", text: "rest of it" }, 2),
    { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { ...tokens(600, 20), iterations } },
    { type: "message_stop" },
  ].map(sse);
  const answer = (): Promise<Response> => Promise.resolve(new Response(events.join("")));
  const records = await recordsOf({ a: { answer, ask: { model: FABLE }, stream: true } });
  expect(records["a"]?.map(({ model, usage: used, exact }) => [model, used.input, used.output, exact])).toEqual([
    [OPUS, 600, 20, true],
    [FABLE, 535, 40, true],
  ]);
});

describe("what cannot be seen", () => {
  it("is bounded by time: 500 tokens a second where nothing was seen, at most max_tokens", async () => {
    const limit = { attemptTimeoutMs: 400 };
    const records = await recordsOf(
      { long: timesOut({ max_tokens: 32_000 }), short: timesOut({ max_tokens: 20 }) },
      limit,
    );
    const output = records["long"]?.[0]?.usage.output;
    expect(records["long"]).toMatchObject([{ outcome: "error", errorType: "timeout", exact: false }]);
    expect(output).toBeGreaterThanOrEqual(200);
    expect(output).toBeLessThan(20_000);
    expect(records["short"]?.[0]?.usage.output).toBe(20);
  });

  it("is bounded by twice the fastest that was seen of that model, and of no other", async () => {
    const many = { content: [TEXT], usage: { input_tokens: 10, output_tokens: 100_000 } };
    const records = await recordsOf(
      {
        seen: { answer: answers(many) },
        same: timesOut({ max_tokens: 900_000 }),
        other: timesOut({ max_tokens: 900_000, model: HAIKU }),
      },
      { attemptTimeoutMs: 300 },
    );
    expect(records["same"]?.[0]?.usage.output).toBeGreaterThan(100_000);
    expect(records["other"]?.[0]?.usage.output).toBeLessThan(100_000);
  });

  it("is bounded where a model thinks out of sight, in a stream that is broken off", async () => {
    const world = await startUsageWorld();
    const start = {
      type: "message_start",
      message: { id: "m", type: "message", model: OPUS, usage: { input_tokens: 9, output_tokens: 1 } },
    };
    const think = {
      type: "content_block_start",
      index: 0,
      content_block: { type: "thinking", thinking: "", signature: "" },
    };
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode([start, think].map(sse).join("")));
      },
    });
    const fetch = (): Promise<Response> => Promise.resolve(new Response(body));
    const client = world.client(Anthropic, { fetch, maxRetries: 0, idleTimeoutMs: 400 });
    const stream = await client.messages.create({ ...ASK, max_tokens: 9_000, model: HAIKU, stream: true });
    await expect(consume(stream)).rejects.toMatchObject({ origin: expect.stringContaining("idle limit") });
    const [record] = await world.finish();
    expect(record).toMatchObject({ exact: false, usage: { input: 9 } });
    expect(record?.usage.output).toBeGreaterThanOrEqual(200);
    expect(record?.usage.output).toBeLessThanOrEqual(9_000);
  });

  it("a PDF counts its pages, a named document its bound, and the bytes of neither", async () => {
    const records = await recordsOf(
      {
        large: inline(pdf(2, 900_000)),
        small: inline(pdf(40, 0)),
        packed: inline(btoa("/Type /ObjStm".padEnd(2_560))),
        url: timesOut(documentAsk({ type: "url", url: "https://example.com/a.pdf" })),
        file: timesOut(documentAsk({ type: "file", file_id: "file_1" })),
      },
      { attemptTimeoutMs: 30, documentTokens: 70_000 },
    );
    const input = (user: string): number => records[user]?.[0]?.usage.input ?? 0;
    expect(input("large")).toBeGreaterThan(16_000);
    expect(input("large")).toBeLessThan(17_000);
    expect(input("small")).toBeGreaterThan(320_000);
    expect(input("packed")).toBeGreaterThan(80_000);
    for (const named of ["url", "file"]) {
      expect(input(named)).toBeGreaterThan(70_000);
      expect(input(named)).toBeLessThan(71_000);
    }
  });

  it("a document without a bound counts the largest window", async () => {
    const source = { type: "file", file_id: "file_1" };
    const ask = { messages: [{ role: "user", content: [{ type: "document", source }] }] };
    const records = await recordsOf({ file: timesOut(ask) }, { attemptTimeoutMs: 30 });
    expect(records["file"]?.[0]?.usage.input).toBe(1_000_000);
  });

  it("a turn that continues a thread counts what the thread had before, or the window where that is not known", async () => {
    const usage = { input_tokens: 30_000, output_tokens: 500, cache_creation_input_tokens: 0 };
    const records = await recordsOf(
      {
        first: { answer: answers({ usage }), ask: { thread: { type: "create" } } },
        next: continues("msg_1"),
        stranger: continues("msg_of_another_process"),
      },
      { attemptTimeoutMs: 30 },
    );
    expect(records["next"]?.[0]?.usage.input).toBeGreaterThan(30_500);
    expect(records["next"]?.[0]?.usage.input).toBeLessThan(31_000);
    expect(records["stranger"]?.[0]?.usage.cacheWrite1h).toBe(1_000_000);
  });

  it("models and tools that only the body names count as well", async () => {
    const tools = [
      { type: "web_search_20250305", name: "web_search", max_uses: 2 },
      { type: "advisor_20260301", name: "advisor", model: FABLE, max_tokens: 50, max_uses: 1 },
    ];
    const records = await recordsOf(
      { tools: timesOut({ tools }), fallbacks: timesOut({ fallbacks: [{ model: HAIKU }] }) },
      { attemptTimeoutMs: 1_100 },
    );
    const [main, advisor] = records["tools"] ?? [];
    expect(main?.usage.webSearches).toBe(3);
    expect(main?.usage.input).toBeGreaterThan(3 * JSON.stringify(ASK).length);
    expect(advisor).toMatchObject({ part: "advisor", model: FABLE, exact: false, usage: { output: 150 } });
    const [, fallback] = records["fallbacks"] ?? [];
    expect(fallback).toMatchObject({ part: "declined", model: HAIKU, exact: false });
    expect(fallback?.usage.input).toBeGreaterThan(JSON.stringify(ASK).length);
  });
});

it("tells the region of a cloud's endpoint, by the model, the URL or the guard's option; a global one is none", async () => {
  const world = await startUsageWorld();
  await world.change({ flags: { [FLAG]: flagOf({ chain: null }) } });
  const usage = { input_tokens: 10, output_tokens: 1 };
  const fetch = (): Promise<Response> => Promise.resolve(responseOf({ usage, content: [] }, false));
  const ask = async (user: string, url: string, model: string, region?: string): Promise<void> => {
    const client = world.client(Anthropic, { fetch, ...(region === undefined ? {} : { region }) });
    await client.withOptions({ baseURL: url }).messages.create({ ...ASK, model }, { headers: { "andon-user": user } });
  };
  const here = world.endpoint.url;
  await ask("none", here, OPUS);
  await ask("profile", here, "eu.anthropic.claude-opus-5-5-v1:0");
  await ask("global", "https://bedrock-runtime.us-east-1.amazonaws.com", "global.anthropic.claude-opus-5-5-v1:0");
  await ask("mantle", "https://bedrock-mantle.us-west-2.api.aws/anthropic", "anthropic.claude-opus-5-5");
  await ask("vertex", "https://us-east5-aiplatform.googleapis.com/v1", OPUS);
  await ask("multi", "https://aiplatform.eu.rep.googleapis.com/v1", OPUS);
  await ask("vertexGlobal", "https://aiplatform.googleapis.com/v1/projects/p/locations/global", OPUS);
  await ask("option", here, OPUS, "europe-west1");
  await ask("optionGlobal", here, "us.anthropic.claude-opus-5-5", "global");
  const records = await placesOf(world);
  expect(records).toEqual({
    none: undefined,
    profile: "cloud:eu",
    global: undefined,
    mantle: "cloud:us-west-2",
    vertex: "cloud:us-east5",
    multi: "cloud:eu",
    vertexGlobal: undefined,
    option: "cloud:europe-west1",
    optionGlobal: undefined,
  });
});

async function placesOf(world: UsageWorld): Promise<Record<string, string | undefined>> {
  return Object.fromEntries((await world.finish()).map(({ user, geo }) => [user ?? "", geo]));
}

async function consume(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream) continue;
}
