/** What a guarded call does by its flag's decision, before any model is called. */
import type Anthropic from "@anthropic-ai/sdk";
import type { Middleware } from "@anthropic-ai/sdk";
import type { Middleware as Middleware0 } from "anthropic-sdk-0x";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { FeatureDisabledError, guard, isFeatureDisabled } from "../../sdk-client/src/anthropic.ts";
import { Andon } from "../../sdk-client/src/andon.ts";
import { FLAG, flagOf, HAIKU, offFor, OPUS, snapshotOf } from "../support/guard-snapshots.ts";
import { ASK, errorOf, SDKS, SILENT, startWorld, type World } from "../support/guard-world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterEach(async () => {
  world.endpoint.reset();
  await world.change(snapshotOf());
});
afterAll(() => world.close());

async function textOf(stream: AsyncIterable<Anthropic.RawMessageStreamEvent>): Promise<string> {
  let text = "";
  for await (const event of stream) {
    if (event.type === "content_block_delta" && event.delta.type === "text_delta") text += event.delta.text;
  }
  return text;
}

/** Other middleware, which writes something into the encoded body. */
const spacing: Middleware = (request, next) => {
  const body = typeof request.body === "string" ? request.body.replace('"messages":', '"messages" :') : null;
  return next({ ...request, body });
};

describe.each(SDKS)("$name", ({ Sdk }) => {
  it("passes an ordinary call through, header and body unchanged", async () => {
    const { data, response, request_id: id } = await world.client(Sdk).messages.create(ASK).withResponse();
    expect(data.content[0]).toMatchObject({ type: "text" });
    expect(id).toMatch(/^req_local_/);
    expect(response.url).toBe(`${world.endpoint.url}/v1/messages`);
    expect(world.endpoint.calls[0]?.body).toEqual(ASK);
  });

  it("steps down with all else as the text says it, also what other middleware has written into it", async () => {
    await world.change({
      flags: { [FLAG]: flagOf({ level: 1, chain: "answers" }) },
      chains: { answers: { steps: [{ model: OPUS }, { model: HAIKU }] } },
    });
    const bodies: unknown[] = [];
    const seen: Middleware = (request, next) => {
      bodies.push(request.body);
      return next(request);
    };
    const middleware = [spacing, guard(world.andon, { flag: FLAG }), seen];
    const client = new Sdk({ apiKey: "test", baseURL: world.endpoint.url, middleware });
    const tools = [{ name: "pick", input_schema: { type: "object" as const, properties: { model: {} } } }];
    for (const body of [ASK, { ...ASK, tools }]) await client.messages.create({ ...body, model: OPUS });
    const plain = JSON.stringify({ ...ASK, model: HAIKU });
    expect(bodies[0]).toBe(plain.replace('"messages":', '"messages" :'));
    // Where the text has a second model it is encoded anew.
    expect(bodies[1]).toBe(JSON.stringify({ ...ASK, model: HAIKU, tools }));
  });

  it("throws an AnthropicError of the calling SDK when the flag is off, and sends nothing", async () => {
    await world.setFlag({ state: "off", cause: "manual", offMessage: "We are repairing this." });
    const error = await errorOf(world.client(Sdk).messages.create(ASK));
    expect(error).toBeInstanceOf(Sdk.AnthropicError);
    expect(error).toBeInstanceOf(FeatureDisabledError);
    expect(isFeatureDisabled(error)).toBe(true);
    expect(error).toMatchObject({
      name: "FeatureDisabledError",
      code: "ANDON_FEATURE_DISABLED",
      message: "We are repairing this.",
      flag: FLAG,
      reason: "KILLED",
      revision: world.server.snapshot.revision,
    });
    expect(world.endpoint.calls).toHaveLength(0);
  });

  it("is not re-wrapped by messages.stream()", async () => {
    await world.kill();
    const stream = world.client(Sdk).messages.stream(ASK);
    const error = await errorOf(stream.finalMessage());
    expect(error).toBeInstanceOf(FeatureDisabledError);
    expect(error).toBeInstanceOf(Sdk.AnthropicError);
  });

  it.each(["The model timed out.", "Timeout of the trial"])(
    "is never retried, whatever text on-call typed (%s)",
    async (offMessage) => {
      await world.setFlag({ state: "off", cause: "manual", offMessage });
      const error = await errorOf(world.client(Sdk, { maxRetries: 2 }).messages.create(ASK));
      expect(error).toBeInstanceOf(FeatureDisabledError);
      expect(error.message).toBe(offMessage);
    },
  );

  it("answers with the off message as an ordinary Message where offMode says so", async () => {
    await world.setFlag({ state: "off", cause: "manual", offMode: "message", offMessage: "Back soon." });
    const client = world.client(Sdk);
    const message = await client.messages.create(ASK);
    expect(message).toMatchObject({
      type: "message",
      role: "assistant",
      model: OPUS,
      stop_reason: "end_turn",
      content: [{ type: "text", text: "Back soon." }],
      usage: { input_tokens: 0, output_tokens: 0 },
    });
    expect(message.id).toMatch(/^msg_andon_/);
    expect(await textOf(await client.messages.create({ ...ASK, stream: true }))).toBe("Back soon.");
    const final = await client.messages.stream(ASK).finalMessage();
    expect(final).toMatchObject({ model: OPUS, stop_reason: "end_turn", content: [{ text: "Back soon." }] });
    expect(world.endpoint.calls).toHaveLength(0);
  });

  it("takes the user from metadata, and flag, session and user from headers it strips", async () => {
    const rules = [offFor("u-1")];
    await world.change({ flags: { [FLAG]: flagOf({ rules }), other: flagOf({ state: "off", cause: "manual" }) } });
    const client = world.client(Sdk);
    const refused = await errorOf(client.messages.create({ ...ASK, metadata: { user_id: "u-1" } }));
    expect(refused).toMatchObject({ reason: "RULE" });
    const byHeader = await errorOf(client.messages.create(ASK, { headers: { "Andon-User": "u-1" } }));
    expect(byHeader).toMatchObject({ reason: "RULE" });
    const other = await errorOf(client.messages.create(ASK, { headers: { "andon-flag": "other" } }));
    expect(other).toMatchObject({ reason: "KILLED", flag: "other" });
    await client.messages.create(ASK, { headers: { "andon-user": "u-2", "andon-session": "s-1" } });
    const sent = Object.keys(world.endpoint.calls[0]?.headers ?? {});
    expect(sent.filter((name) => name.startsWith("andon-"))).toEqual([]);
  });

  it("guards beta messages and batches, and leaves token counting alone", async () => {
    await world.kill();
    const client = world.client(Sdk);
    expect(await errorOf(client.beta.messages.create(ASK))).toBeInstanceOf(FeatureDisabledError);
    const requests = [{ custom_id: "1", params: ASK }];
    expect(await errorOf(client.messages.batches.create({ requests }))).toBeInstanceOf(FeatureDisabledError);
    const { max_tokens: _unused, ...prompt } = ASK;
    expect((await client.messages.countTokens(prompt)).input_tokens).toBeGreaterThan(0);
    await world.setFlag({ state: "on" });
    expect((await client.messages.batches.create({ requests })).processing_status).toBe("in_progress");
  });

  it("sends the level's step with its patch, and never a blocked model", async () => {
    const steps = [{ model: OPUS }, { model: HAIKU, set: { temperature: 0.5 }, unset: ["thinking"], maxTokens: 32 }];
    await world.change({
      flags: { [FLAG]: flagOf({ level: 1 }) },
      chains: { default: { steps } },
    });
    const thinking = { type: "enabled" as const, budget_tokens: 1_024 };
    const messages = [
      ...ASK.messages,
      {
        role: "assistant" as const,
        content: [
          { type: "thinking" as const, thinking: "hm", signature: "s" },
          { type: "text" as const, text: "A sensor." },
        ],
      },
      { role: "user" as const, content: "Which?" },
    ];
    const client = world.client(Sdk);
    await client.messages.create({ ...ASK, thinking, messages, max_tokens: 2_048 });
    expect(world.endpoint.calls[0]?.body).toEqual({
      model: HAIKU,
      max_tokens: 32,
      temperature: 0.5,
      messages: [ASK.messages[0], { role: "assistant", content: [{ type: "text", text: "A sensor." }] }, messages[2]],
    });
    await world.change({ blockedModels: [`anthropic.${HAIKU}-20251001-v1:0`] });
    expect(await errorOf(client.messages.create(ASK))).toMatchObject({ reason: "NO_MODEL" });
    expect(world.endpoint.calls).toHaveLength(1);
  });

  it("waits one second for a first snapshot, once per process, then follows onUnknown", async () => {
    const waits: number[] = [];
    const andon = new Andon({ logger: SILENT }, { env: {} });
    andon.ready = (options) => {
      waits.push(options?.timeoutMs ?? -1);
      return Promise.resolve("none");
    };
    const make = (onUnknown: "on" | "off"): Anthropic =>
      new Sdk({
        apiKey: "test",
        baseURL: world.endpoint.url,
        middleware: [guard(andon, { flag: FLAG, onUnknown })],
      });
    expect((await make("on").messages.create(ASK)).role).toBe("assistant");
    expect(await errorOf(make("off").messages.create(ASK))).toMatchObject({ reason: "UNKNOWN" });
    expect(waits).toEqual([1_000]);
    await andon.close();
  });
});

it("fits the middleware type of both SDK majors", () => {
  const one: Middleware = guard(world.andon, { flag: FLAG });
  const zero: Middleware0 = guard(world.andon, { flag: FLAG });
  expect([typeof one, typeof zero]).toEqual(["function", "function"]);
});
