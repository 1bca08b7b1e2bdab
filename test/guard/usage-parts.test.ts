/** Usage in shapes that the local endpoint does not speak: several models in one call, odd answers, images, caches. */
import type Anthropic from "@anthropic-ai/sdk";
import { describe, expect, it } from "vitest";
import type { UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";
import { HAIKU, OPUS } from "../support/guard-snapshots.ts";
import { ASK, errorOf, SDKS } from "../support/guard-world.ts";
import { startUsageWorld } from "../support/usage-world.ts";

const USAGE = { input_tokens: 10, output_tokens: 5 };
const MESSAGE = { id: "msg_1", type: "message", role: "assistant", model: OPUS, content: [], stop_reason: "end_turn" };

type Request = Anthropic.MessageCreateParamsNonStreaming;

/** The records of one call that is answered with this body. */
async function recordsOf(Sdk: typeof Anthropic, answer: unknown, request: object = {}): Promise<UsageRecord[]> {
  const world = await startUsageWorld();
  const body = typeof answer === "string" ? answer : JSON.stringify(answer);
  const type = typeof answer === "string" ? "text/plain" : "application/json";
  const fetch = (): Promise<Response> => Promise.resolve(new Response(body, { headers: { "content-type": type } }));
  const client = world.client(Sdk, { fetch, maxRetries: 0 });
  // What is no answer is an error to the caller; it is counted all the same.
  await client.messages
    .create({ ...ASK, ...request } as Request)
    .catch((error: Error) => expect(error).toHaveProperty("code"));
  return world.finish();
}

const breaksOff = (): Promise<Response> => Promise.reject(new TypeError("terminated"));
const cached = (cache: object): object => ({ system: [{ type: "text", text: "rules", cache_control: cache }] });

/** The record of one call that breaks off before any answer. */
async function brokenOff(Sdk: typeof Anthropic, request: object): Promise<UsageRecord | undefined> {
  const world = await startUsageWorld();
  const ask = { ...ASK, model: HAIKU, ...request } as Request;
  await errorOf(world.client(Sdk, { fetch: breaksOff, maxRetries: 0 }).messages.create(ask));
  const [record] = await world.finish();
  return record;
}

describe.each(SDKS)("$name", ({ Sdk }) => {
  it("makes one record per model and kind of work, of which one is the attempt", async () => {
    const iterations = [
      { type: "compaction", input_tokens: 100, output_tokens: 20 },
      { type: "message", ...USAGE },
      { type: "advisor_message", model: HAIKU, input_tokens: 7, output_tokens: 3 },
    ];
    const records = await recordsOf(Sdk, { ...MESSAGE, usage: { ...USAGE, iterations } });
    expect(records.map(({ part, model, usage }) => [part, model, usage.input, usage.output])).toEqual([
      [undefined, OPUS, 10, 5],
      ["compaction", OPUS, 100, 20],
      ["advisor", HAIKU, 7, 3],
    ]);
    expect(new Set(records.map(({ id }) => id)).size).toBe(3);
  });

  it("tells the modifiers of the price: batch, speed, where inference ran, and the model that answered", async () => {
    const usage = { ...USAGE, service_tier: "batch", inference_geo: "us" };
    const model = `${OPUS}-20261001`;
    const [record] = await recordsOf(Sdk, { ...MESSAGE, model, usage }, { speed: "fast" });
    expect(record).toMatchObject({ model, requestedModel: OPUS, batch: true, fast: true, geo: "us", exact: true });
    const [standard] = await recordsOf(Sdk, { ...MESSAGE, usage: { ...USAGE, speed: "standard" } }, { speed: "fast" });
    expect(standard).not.toHaveProperty("fast");
  });

  it("an answer without usage is not free: it is estimated", async () => {
    for (const [answer, outcome] of [
      [{ ...MESSAGE, usage: null }, "ok"],
      ["not JSON at all", "error"],
      [[1, 2, 3], "error"],
    ] as const) {
      const [record] = await recordsOf(Sdk, answer);
      expect(record).toMatchObject({ model: OPUS, outcome, exact: false });
      expect(record?.usage.input).toBeGreaterThan(10);
      expect(record?.usage.output).toBeGreaterThan(0);
    }
  });

  it("bounds a prompt by its bytes, an image by what an image can cost, all by the largest window", async () => {
    const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "A".repeat(400_000) } };
    const content = [image, { type: "text", text: "日本語" }];
    const one = await brokenOff(Sdk, { messages: [{ role: "user", content }] });
    expect(one?.exact).toBe(false);
    expect(one?.usage.input).toBeGreaterThan(5_000);
    expect(one?.usage.input).toBeLessThan(6_000);
    const long = await brokenOff(Sdk, { messages: [{ role: "user", content: "x".repeat(3_000_000) }] });
    expect(long?.usage.input).toBe(1_000_000);
  });

  it("takes a prompt that may have been cached at the dearer class", async () => {
    const short = await brokenOff(Sdk, cached({ type: "ephemeral" }));
    expect(short?.usage).toMatchObject({ input: 0, cacheWrite1h: 0 });
    expect(short?.usage.cacheWrite5m).toBeGreaterThan(10);
    const long = await brokenOff(Sdk, cached({ type: "ephemeral", ttl: "1h" }));
    expect(long?.usage).toMatchObject({ input: 0, cacheWrite5m: 0 });
    expect(long?.usage.cacheWrite1h).toBeGreaterThan(10);
  });

  it("gives the same hash to the same system prompt, in text or in blocks, and none without", async () => {
    const answer = { ...MESSAGE, usage: USAGE };
    const [text] = await recordsOf(Sdk, answer, { system: "be brief" });
    const [blocks] = await recordsOf(Sdk, answer, { system: [{ type: "text", text: "be brief" }] });
    const [other] = await recordsOf(Sdk, answer, { system: "be long" });
    const [none] = await recordsOf(Sdk, answer);
    expect(text?.systemHash).toBe(blocks?.systemHash);
    expect(text?.systemHash).not.toBe(other?.systemHash);
    expect(none).not.toHaveProperty("systemHash");
  });
});
