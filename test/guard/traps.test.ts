/** Properties of the Anthropic SDK that a naive guard trips over; each was seen on SDK 1.11.0. */
import { createRequire } from "node:module";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { guard, guardStats, isFeatureDisabled } from "../../sdk-client/src/anthropic.ts";
import { FLAG, flagOf, HAIKU, OPUS, snapshotOf, SONNET } from "../support/guard-snapshots.ts";
import { ASK, errorOf, SDKS, type Sdk, startWorld, type World } from "../support/guard-world.ts";
import { until } from "../support/until.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterEach(async () => {
  vi.restoreAllMocks();
  world.endpoint.reset();
  await world.change(snapshotOf());
});
afterAll(() => world.close());

describe.each(SDKS)("$name", ({ Sdk }) => {
  it("ctx.parse() tees the body: the guard does not parse answers", async () => {
    let parsed = 0;
    const client = world.client(Sdk);
    const [guarding] = client.middleware;
    const watched = client.withOptions({
      middleware: [
        (request, next, ctx) => {
          const parse: typeof ctx.parse = (response) => {
            parsed += 1;
            return ctx.parse(response);
          };
          if (guarding === undefined) throw new Error("no guard");
          return guarding(request, next, { options: ctx.options, logger: ctx.logger, parse });
        },
      ],
    });
    await watched.messages.create(ASK);
    await watched.messages.stream(ASK).finalMessage();
    expect(parsed).toBe(0);
  });

  it("AbortSignal.any is slow: it is not used", async () => {
    const any = vi.spyOn(AbortSignal, "any");
    await world.client(Sdk).messages.create(ASK);
    await world.client(Sdk).messages.stream(ASK).finalMessage();
    expect(any).not.toHaveBeenCalled();
  });

  it("parsing and encoding cost: a body that does not change is sent as the SDK encoded it", async () => {
    const bodies: unknown[] = [];
    const given: unknown[] = [];
    const client = world.client(Sdk, {
      fetch: (url, init) => {
        bodies.push(init?.body);
        return fetch(url, init);
      },
    });
    const before = client.withOptions({
      middleware: [
        (request, next) => {
          given.push(request.body);
          return next(request);
        },
        ...client.middleware,
      ],
    });
    await before.messages.create(ASK);
    const parse = vi.spyOn(JSON, "parse");
    await before.messages.create(ASK);
    // Once, by the endpoint, which lives in this process too.
    expect(parse.mock.calls.filter(([text]) => text === given[1])).toHaveLength(1);
    expect(bodies).toEqual(given);
  });

  it("other middleware may have edited the encoded body: its edits are kept, and its model decides", async () => {
    const client = world.client(Sdk);
    const edited = client.withOptions({
      middleware: [
        (request, next) => next({ ...request, body: JSON.stringify({ ...ASK, model: SONNET, max_tokens: 7 }) }),
        ...client.middleware,
      ],
    });
    world.endpoint.behave(SONNET, { kind: "error", status: 529, type: "overloaded_error" });
    expect((await edited.messages.create(ASK)).model).toBe(HAIKU);
    expect(world.endpoint.calls.map((call) => call.body["max_tokens"])).toEqual([7, 7]);
  });

  it("a step cannot turn a whole answer into a stream, nor name another model", async () => {
    const steps = [{ model: OPUS, set: { stream: true, model: HAIKU }, unset: ["model", "stream"] }];
    await world.change({ chains: { default: { steps } } });
    expect((await world.client(Sdk).messages.create(ASK)).model).toBe(OPUS);
    expect(world.endpoint.calls[0]?.body).toEqual(ASK);
  });

  it("a flag may be called after a timeout: the error is still not retried", async () => {
    await world.change({ flags: { "timeout-helper": flagOf({ state: "off", cause: "manual" }) } });
    const client = world.client(Sdk, { flag: "timeout-helper", maxRetries: 2 });
    expect(await errorOf(client.messages.create(ASK))).toMatchObject({ flag: "timeout-helper", reason: "KILLED" });
  });

  it("non-streaming max_tokens above 21,333 is the SDK's to refuse, before the guard", async () => {
    const error = await errorOf(
      Promise.resolve().then(() => world.client(Sdk).messages.create({ ...ASK, max_tokens: 64_000 })),
    );
    expect(error.message).toMatch(/Streaming is required/);
    expect(world.endpoint.calls).toHaveLength(0);
  });
});

it("an ESM error class from CommonJS: the error is an AnthropicError of the CommonJS SDK, unwrapped", async () => {
  const require = createRequire(import.meta.url);
  const loaded: unknown = require("@anthropic-ai/sdk");
  if (!isSdk(loaded)) throw new Error("not the SDK");
  const [esm] = SDKS;
  expect(loaded.AnthropicError).not.toBe(esm?.Sdk.AnthropicError);
  await world.kill();
  const error = await errorOf(world.client(loaded).messages.stream(ASK).finalMessage());
  expect(error).toBeInstanceOf(loaded.AnthropicError);
  expect(error).not.toHaveProperty("cause");
  expect(isFeatureDisabled(error)).toBe(true);
});

it("an SDK whose error class cannot be had: the error is found as the cause", async () => {
  await world.kill();
  const [one] = SDKS;
  if (one === undefined) throw new Error("no SDK");
  const guarding = guard(world.andon, { flag: FLAG });
  const client = new one.Sdk({
    apiKey: "test",
    baseURL: world.endpoint.url,
    middleware: [(request, next) => guarding(request, next, { parse: () => Promise.resolve(null) })],
  });
  const error = await errorOf(client.messages.stream(ASK).finalMessage());
  expect(error).toBeInstanceOf(one.Sdk.AnthropicError);
  expect(isFeatureDisabled(error)).toBe(true);
});

it.each(SDKS)("a stream that its caller drops unread ends its call ($name)", async ({ Sdk }) => {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect !== "function") throw new Error("no garbage collector at hand");
  world.endpoint.behave("*", { kind: "hang", after: 3 });
  const client = world.client(Sdk);
  await (async (): Promise<void> => {
    await client.messages.create({ ...ASK, stream: true });
  })();
  expect(guardStats(world.andon).running).toEqual({ [FLAG]: 1 });
  await until("the call to end", () => {
    collect();
    return guardStats(world.andon).running[FLAG] === undefined;
  });
  await world.endpoint.calls[0]?.ended;
  expect(world.endpoint.calls[0]?.end).toBe("brokenOff");
});

function isSdk(loaded: unknown): loaded is Sdk {
  return typeof loaded === "function" && "AnthropicError" in loaded;
}
