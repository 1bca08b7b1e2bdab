/** The table of failures: which go to the next model, which straight through, and how often anything is sent. */
import { serve } from "@hono/node-server";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { guardStats } from "../../sdk-client/src/anthropic.ts";
import { type Behaviour, OVERLOADED } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { FLAG, flagOf, HAIKU, OPUS, snapshotOf, SONNET } from "../support/guard-snapshots.ts";
import { ASK, errorOf, type Gate, gate, modelsSent, SDKS, startWorld, type World } from "../support/guard-world.ts";
import { until } from "../support/until.ts";

/** Outside the chain: dearer than its second step and cheaper than its first, and cheaper than all. */
const [BETWEEN, CHEAP] = ["claude-sonnet-4-6", "claude-3-haiku"];

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterEach(async () => {
  world.endpoint.reset();
  await world.change(snapshotOf());
});
afterAll(() => world.close());

function failing(status: number, type: string, more: Partial<Extract<Behaviour, { kind: "error" }>> = {}): Behaviour {
  return { kind: "error", status, type, ...more };
}

const limited = (errorCode?: string, headers: Record<string, string> = { "retry-after-ms": "5" }): Behaviour =>
  failing(429, "rate_limit_error", {
    headers,
    ...(errorCode === undefined ? {} : { details: { error_code: errorCode } }),
  });

const NEXT_MODEL: [string, Behaviour][] = [
  ["500", failing(500, "api_error")],
  ["502", failing(502, "api_error")],
  ["503", failing(503, "api_error")],
  ["504", failing(504, "timeout_error")],
  ["529", OVERLOADED],
  ["429, as limits are per model", limited(undefined, { "retry-after": "60" })],
  ["a reset", { kind: "reset" }],
];

const NEXT_MODEL_IN_STREAM: [string, Behaviour][] = [
  ["overloaded_error before content", { kind: "streamError", type: "overloaded_error", afterTokens: 0 }],
  ["a reset before content", { kind: "reset", afterTokens: 0 }],
  ["an end before content", { kind: "truncate", afterTokens: 0 }],
];

const STRAIGHT_THROUGH: [string, Behaviour, number][] = [
  ["400", failing(400, "invalid_request_error"), 1],
  [
    "400 naming usage limits",
    failing(400, "invalid_request_error", { message: "You have reached your API usage limits." }),
    1,
  ],
  ["401", failing(401, "authentication_error"), 1],
  ["402", failing(402, "billing_error"), 1],
  ["403", failing(403, "permission_error"), 1],
  ["404", failing(404, "not_found_error"), 1],
  ["413", failing(413, "request_too_large"), 1],
  ["422", failing(422, "invalid_request_error"), 1],
  ["429 enforced_spend_limit_reached", limited("enforced_spend_limit_reached"), 1],
  ["429 contract_spend_limit_reached", limited("contract_spend_limit_reached"), 1],
  ["429 ramp_limit_exceeded, which the SDK waits for", limited("ramp_limit_exceeded"), 3],
];

describe.each(SDKS)("$name", ({ Sdk }) => {
  it.each(NEXT_MODEL)("goes to the next model on %s", async (_what, behaviour) => {
    world.endpoint.behave(OPUS, behaviour);
    const client = world.client(Sdk);
    expect((await client.messages.create(ASK)).model).toBe(SONNET);
    expect((await client.messages.stream(ASK).finalMessage()).model).toBe(SONNET);
    expect(modelsSent(world)).toEqual([OPUS, SONNET, OPUS, SONNET]);
  });

  it.each(NEXT_MODEL_IN_STREAM)("goes to the next model on %s", async (_what, behaviour) => {
    world.endpoint.behave(OPUS, behaviour);
    expect((await world.client(Sdk).messages.stream(ASK).finalMessage()).model).toBe(SONNET);
    expect(modelsSent(world)).toEqual([OPUS, SONNET]);
  });

  it("goes to the next model when the body of an answer breaks off", async () => {
    world.endpoint.behave(OPUS, { kind: "reset", afterTokens: 1 });
    expect((await world.client(Sdk).messages.create(ASK)).model).toBe(SONNET);
  });

  it("goes to the next model when the connection is refused", async () => {
    let isFirst = true;
    const client = world.client(Sdk, {
      fetch: (url, init) => {
        const target = isFirst ? "http://127.0.0.1:1/v1/messages" : url;
        isFirst = false;
        return fetch(target, init);
      },
    });
    expect((await client.messages.create(ASK)).model).toBe(SONNET);
  });

  it.each(STRAIGHT_THROUGH)("passes %s straight through", async (_what, behaviour, sent) => {
    if (behaviour.kind !== "error") throw new Error("not an error");
    world.endpoint.behave("*", behaviour);
    const error = await errorOf(world.client(Sdk, { maxRetries: 2 }).messages.create(ASK));
    expect(error).toBeInstanceOf(Sdk.APIError);
    expect(error).toMatchObject({ status: behaviour.status, type: behaviour.type });
    expect(modelsSent(world)).toEqual(Array.from({ length: sent }, () => OPUS));
  });

  it("leaves a rate limit to the SDK where fallbackOn429 is off", async () => {
    world.endpoint.behaveNext(OPUS, limited());
    const message = await world.client(Sdk, { fallbackOn429: false }).messages.create(ASK);
    expect([message.model, ...modelsSent(world)]).toEqual([OPUS, OPUS, OPUS]);
  });

  it("leaves a rate limit of the last model to the SDK, which does not go down the chain again", async () => {
    world.endpoint.behave(OPUS, OVERLOADED);
    world.endpoint.behave(SONNET, limited(undefined, {}));
    world.endpoint.behaveNext(HAIKU, limited());
    expect((await world.client(Sdk).messages.create(ASK)).model).toBe(HAIKU);
    expect(modelsSent(world)).toEqual([OPUS, SONNET, HAIKU, HAIKU]);
  });

  it("gives the last answer to the caller after one pass, and the SDK's retries do not multiply it", async () => {
    world.endpoint.behave("*", OVERLOADED);
    const error = await errorOf(world.client(Sdk, { maxRetries: 2 }).messages.create(ASK));
    expect(error).toMatchObject({ status: 529, type: "overloaded_error" });
    expect(modelsSent(world)).toEqual([OPUS, SONNET, HAIKU]);
  });

  it("passes failures through where @hono/node-server serves, whose Response keeps headers that cannot be set", async () => {
    const { Request, Response } = globalThis;
    await new Promise<void>((served) => {
      const server = serve({ fetch: () => new globalThis.Response("ok"), port: 0 }, () => server.close(() => served()));
    });
    try {
      const kept = new Headers();
      new globalThis.Response("-", { headers: kept }).headers.set("x", "1");
      expect(kept.get("x"), "what this is about").toBe("1");
      world.endpoint.behave(OPUS, failing(402, "billing_error"));
      const error = await errorOf(world.client(Sdk, { maxRetries: 2 }).messages.create(ASK));
      expect(error).toMatchObject({ status: 402, type: "billing_error" });
      expect(modelsSent(world)).toEqual([OPUS]);
    } finally {
      Object.assign(globalThis, { Request, Response });
    }
  });

  it("gives the SDK's own connection error after one pass, which no header could have stopped", async () => {
    world.endpoint.behave("*", { kind: "reset" });
    const error = await errorOf(world.client(Sdk, { maxRetries: 1 }).messages.create(ASK));
    expect(error).toBeInstanceOf(Sdk.APIConnectionError);
    expect(modelsSent(world)).toEqual([OPUS, SONNET, HAIKU]);
  });

  it("gives the error event of the last model to the caller", async () => {
    world.endpoint.behave("*", { kind: "streamError", type: "overloaded_error", afterTokens: 0 });
    const error = await errorOf(world.client(Sdk).messages.stream(ASK).finalMessage());
    expect(error).toBeInstanceOf(Sdk.APIError);
    expect(error).toMatchObject({ type: "overloaded_error" });
    expect(modelsSent(world)).toEqual([OPUS, SONNET, HAIKU]);
  });

  it("starts at the top again for the next call", async () => {
    world.endpoint.behaveNext(OPUS, OVERLOADED);
    const client = world.client(Sdk);
    const models = [(await client.messages.create(ASK)).model, (await client.messages.create(ASK)).model];
    expect(models).toEqual([SONNET, OPUS]);
  });

  it("leaves the SDK's retries alone without a chain", async () => {
    await world.setFlag({ chain: null });
    world.endpoint.behaveNext(OPUS, failing(529, "overloaded_error", { headers: { "retry-after-ms": "5" } }));
    expect((await world.client(Sdk).messages.create(ASK)).model).toBe(OPUS);
    expect(modelsSent(world)).toEqual([OPUS, OPUS]);
  });

  it("goes from a failed model outside the chain to the steps that are not dearer, and to no others", async () => {
    const client = world.client(Sdk, { maxRetries: 0 });
    for (const model of [BETWEEN, CHEAP]) world.endpoint.behave(model, OVERLOADED);
    expect((await client.messages.create({ ...ASK, model: BETWEEN })).model).toBe(SONNET);
    expect(await errorOf(client.messages.create({ ...ASK, model: CHEAP }))).toMatchObject({ status: 529 });
    expect(modelsSent(world)).toEqual([BETWEEN, SONNET, CHEAP]);
  });

  it("never goes up: a smaller model's failure does not bring a larger one", async () => {
    world.endpoint.behave(HAIKU, OVERLOADED);
    expect(await errorOf(world.client(Sdk).messages.create({ ...ASK, model: HAIKU }))).toMatchObject({ status: 529 });
    expect(new Set(modelsSent(world))).toEqual(new Set([HAIKU]));
  }, 10_000);

  it("treats a refusal as an answer", async () => {
    world.endpoint.behave(OPUS, { kind: "answer", stopReason: "refusal" });
    expect((await world.client(Sdk).messages.create(ASK)).stop_reason).toBe("refusal");
    expect((await world.client(Sdk).messages.stream(ASK).finalMessage()).stop_reason).toBe("refusal");
    expect(modelsSent(world)).toEqual([OPUS, OPUS]);
  });

  it.each(["ends early", "is reset"])("never presents a stream that %s after content as complete", async (what) => {
    const client = world.client(Sdk);
    const isReset = what === "is reset";
    const script = (seen: Gate): void =>
      world.endpoint.behaveNext(
        OPUS,
        isReset ? { kind: "reset", afterTokens: 3, until: seen.opened } : { kind: "truncate", afterTokens: 3 },
      );
    const seen = gate();
    script(seen);
    const stream = client.messages.stream(ASK);
    stream.on("text", () => seen.open());
    const error = await errorOf(stream.finalMessage());
    expect(error).toBeInstanceOf(Sdk.AnthropicError);
    expect(error).toMatchObject({ code: "ANDON_ANSWER_BROKEN", flag: FLAG });
    const seenToo = gate();
    script(seenToo);
    const iterated = async (): Promise<void> => {
      for await (const event of await client.messages.create({ ...ASK, stream: true })) {
        if (event.type === "content_block_delta") seenToo.open();
        expect(event.type).not.toBe("message_stop");
      }
    };
    expect(await errorOf(iterated())).toMatchObject({ code: "ANDON_ANSWER_BROKEN" });
    expect(modelsSent(world)).toEqual([OPUS, OPUS]);
  });

  it("passes an error event after content on as the SDK reports it", async () => {
    world.endpoint.behave("*", { kind: "streamError", type: "overloaded_error", afterTokens: 2 });
    const error = await errorOf(world.client(Sdk).messages.stream(ASK).finalMessage());
    expect(error).toBeInstanceOf(Sdk.APIError);
    expect(modelsSent(world)).toEqual([OPUS]);
  });

  it("stops at a kill that comes while the SDK waits for its retry", async () => {
    await world.setFlag({ chain: null });
    const limit = failing(429, "rate_limit_error", { headers: { "retry-after-ms": "1000" } });
    world.endpoint.behave("*", limit);
    const error = errorOf(world.client(Sdk).messages.create(ASK));
    await until("the first answer", () => world.endpoint.calls[0]?.end === "finished");
    await world.change({ flags: { [FLAG]: flagOf({ state: "off", cause: "manual" }) } });
    expect(await error).toMatchObject({ code: "ANDON_FEATURE_DISABLED" });
    expect(modelsSent(world)).toEqual([OPUS]);
  });

  it("takes no call for running whose caller went while the SDK waited for its retry", async () => {
    await world.setFlag({ chain: null });
    const abort = new AbortController();
    const fetch = vi.fn(() => Promise.reject(new TypeError("fetch failed")));
    const error = errorOf(world.client(Sdk, { fetch }).messages.create(ASK, { signal: abort.signal }));
    await until("the first attempt to fail", () => fetch.mock.calls.length === 1);
    // Everything but the sleep is done in the turns that follow.
    for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
    abort.abort();
    await error;
    await until("nothing to run", () => Object.keys(guardStats(world.andon).running).length === 0);
  });
});
