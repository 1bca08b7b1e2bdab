/** Kill in flight: running calls of a flag that is switched off end at once, and never look complete. */
import type Anthropic from "@anthropic-ai/sdk";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { FeatureDisabledError, guardStats, isFeatureDisabled } from "../../sdk-client/src/anthropic.ts";
import type { Snapshot } from "../../sdk-client/src/wire/protocol.ts";
import type { EndpointCall } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { FLAG, flagOf, offFor, OPUS, snapshotOf } from "../support/guard-snapshots.ts";
import { ASK, errorOf, gate, SDKS, startWorld, type World } from "../support/guard-world.ts";
import { until } from "../support/until.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterEach(async () => {
  world.endpoint.reset();
  await world.change(snapshotOf());
});
afterAll(() => world.close());

/** Waits until a call has reached the endpoint and hangs there. */
function arrived(count = 1): Promise<EndpointCall> {
  return until("the call to arrive", () => world.endpoint.calls[count - 1]);
}

/** The socket was closed by the client, nothing came after it, nothing runs any more. */
async function expectStopped(): Promise<void> {
  await Promise.all(world.endpoint.calls.map((call) => call.ended));
  expect(world.endpoint.calls.map((call) => call.end)).toEqual(["brokenOff"]);
  expect(guardStats(world.andon).running).toEqual({});
}

async function collect(stream: AsyncIterable<Anthropic.RawMessageStreamEvent>, into: string[]): Promise<void> {
  for await (const event of stream) into.push(event.type);
}

describe.each(SDKS)("$name", ({ Sdk }) => {
  it("ends an awaited create, without a retry, and counts it", async () => {
    const before = guardStats(world.andon).aborted[FLAG] ?? 0;
    world.endpoint.behave("*", { kind: "hang", after: "request" });
    const error = errorOf(world.client(Sdk).messages.create(ASK));
    await arrived();
    expect(guardStats(world.andon).running).toEqual({ [FLAG]: 1 });
    await world.kill();
    expect(await error).toBeInstanceOf(FeatureDisabledError);
    expect(await error).toBeInstanceOf(Sdk.AnthropicError);
    await expectStopped();
    expect(guardStats(world.andon).aborted[FLAG]).toBe(before + 1);
  });

  it("ends a create whose answer's body is still under way", async () => {
    world.endpoint.behave("*", { kind: "hang", after: "headers" });
    const error = errorOf(world.client(Sdk).messages.create(ASK));
    await until("the headers", () => world.endpoint.calls[0]?.status);
    await world.kill();
    expect(await error).toBeInstanceOf(FeatureDisabledError);
    await expectStopped();
  });

  it("errors an iterated stream: it does not end normally", async () => {
    world.endpoint.behave("*", { kind: "hang", after: 3 });
    const stream = await world.client(Sdk).messages.create({ ...ASK, stream: true });
    const seen: string[] = [];
    const error = errorOf(collect(stream, seen));
    await until("three tokens", () => seen.filter((type) => type === "content_block_delta").length === 3);
    await world.kill();
    expect(await error).toBeInstanceOf(FeatureDisabledError);
    expect(seen).not.toContain("message_stop");
    await expectStopped();
  });

  it("errors a stream that nobody is reading yet", async () => {
    world.endpoint.behave("*", { kind: "hang", after: 3 });
    const stream = await world.client(Sdk).messages.create({ ...ASK, stream: true });
    await world.kill();
    await expectStopped();
    expect(await errorOf(collect(stream, []))).toBeInstanceOf(FeatureDisabledError);
  });

  it("rejects finalMessage and emits one error, not an abort or an end, on messages.stream()", async () => {
    world.endpoint.behave("*", { kind: "hang", after: 3 });
    const stream = world.client(Sdk).messages.stream(ASK);
    const events: string[] = [];
    stream.on("abort", () => events.push("abort"));
    stream.on("finalMessage", () => events.push("finalMessage"));
    const emitted = new Promise<Error>((resolve) => stream.on("error", resolve));
    const error = errorOf(stream.finalMessage());
    await new Promise<void>((resolve) => stream.once("text", () => resolve()));
    await world.kill();
    expect(await error).toBeInstanceOf(FeatureDisabledError);
    expect(await emitted).toBe(await error);
    expect(events).toEqual([]);
    await expectStopped();
  });

  it("reaches callers of withResponse and asResponse", async () => {
    world.endpoint.behave("*", { kind: "hang", after: 3 });
    const client = world.client(Sdk);
    const { data } = await client.messages.create({ ...ASK, stream: true }).withResponse();
    const response = await client.messages.create({ ...ASK, stream: true }).asResponse();
    const errors = [errorOf(collect(data, [])), errorOf(response.text())];
    await world.kill();
    for (const error of errors) expect(await error).toBeInstanceOf(FeatureDisabledError);
    world.endpoint.reset();
    await world.setFlag({ state: "on" });
    world.endpoint.behave("*", { kind: "hang", after: "request" });
    const whole = errorOf(client.messages.create(ASK).asResponse());
    const both = errorOf(client.messages.create(ASK).withResponse());
    await arrived(2);
    await world.kill();
    expect(await whole).toBeInstanceOf(FeatureDisabledError);
    expect(await both).toBeInstanceOf(FeatureDisabledError);
  });

  it.each<[string, Partial<Snapshot>]>([
    ["the master switch", { master: { state: "off" } }],
    ["a trip", { flags: { [FLAG]: flagOf({ state: "off", cause: "budget" }) } }],
  ])("acts on %s too", async (_what, change) => {
    world.endpoint.behave("*", { kind: "hang", after: 1 });
    const error = errorOf(world.client(Sdk).messages.stream(ASK).finalMessage());
    await until("a token", () => world.endpoint.calls[0]?.tokensSent);
    await world.change(change);
    expect(isFeatureDisabled(await error)).toBe(true);
    await expectStopped();
  });

  it("lets running calls finish where abortInFlight is not set, and when only rules or rollout changed", async () => {
    const held = gate();
    world.endpoint.behave("*", { kind: "answer", text: "all of it", hold: { beforeToken: 1, until: held.opened } });
    const client = world.client(Sdk);
    const first = client.messages.stream({ ...ASK, metadata: { user_id: "u-1" } }).finalText();
    await until("a token", () => world.endpoint.calls[0]?.tokensSent);
    await world.setFlag({ rules: [offFor("u-1")], rollout: 0 });
    await world.setFlag({ abortInFlight: false, state: "off", cause: "manual" });
    expect(guardStats(world.andon).running).toEqual({ [FLAG]: 1 });
    held.open();
    expect(await first).toBe("all of it");
    expect(guardStats(world.andon).running).toEqual({});
  });

  it("leaves the calls of other flags running", async () => {
    await world.change({ flags: { [FLAG]: flagOf(), other: flagOf() } });
    const held = gate();
    const hold = { beforeToken: 0, until: held.opened };
    world.endpoint.behave("*", { kind: "answer", text: "yes", hold });
    const client = world.client(Sdk);
    const killed = errorOf(client.messages.create(ASK));
    const other = client.messages.create(ASK, { headers: { "andon-flag": "other" } });
    const answer = other.then((message) => message.content);
    await arrived(2);
    await world.kill();
    expect(await killed).toBeInstanceOf(FeatureDisabledError);
    held.open();
    expect(await answer).toMatchObject([{ text: "yes" }]);
  });

  it("gives a whole answer or the error when the kill races the answer", async () => {
    // Of its own, as requests that were cut on their way may still arrive after this test.
    const racing = await startWorld();
    for (let round = 0; round < 5; round += 1) {
      racing.endpoint.behave("*", { kind: "answer", text: "one two three", latencyMs: round });
      const calls = Array.from({ length: 6 }, () => racing.client(Sdk).messages.stream(ASK).finalText());
      const outcomes = Promise.allSettled(calls);
      await until("a call to arrive", () => racing.endpoint.calls.length > 0);
      await racing.kill();
      for (const outcome of await outcomes) {
        if (outcome.status === "fulfilled") expect(outcome.value).toBe("one two three");
        else expect(isFeatureDisabled(outcome.reason)).toBe(true);
      }
      racing.endpoint.reset();
      await racing.setFlag({ state: "on" });
    }
    expect(guardStats(racing.andon).running).toEqual({});
    await racing.close();
  });

  it("ends the call between two attempts: no next model is sent", async () => {
    const held = gate();
    world.endpoint.behave("*", { kind: "error", status: 529, type: "overloaded_error" });
    const client = world.client(Sdk, {
      fetch: async (url, init) => {
        const response = await fetch(url, init);
        await held.opened;
        return response;
      },
    });
    const error = errorOf(client.messages.create(ASK));
    await arrived();
    await world.kill();
    held.open();
    expect(await error).toBeInstanceOf(FeatureDisabledError);
    expect(world.endpoint.calls.map((call) => call.model)).toEqual([OPUS]);
  });

  it("ends a call of a fetch that pays no heed to its signal", async () => {
    const client = world.client(Sdk, { fetch: () => new Promise<Response>(() => undefined) });
    const error = errorOf(client.messages.create(ASK));
    await until("the call to run", () => guardStats(world.andon).running[FLAG]);
    await world.kill();
    expect(await error).toBeInstanceOf(FeatureDisabledError);
  });

  it("keeps a caller's break and abort as the bare SDK has them, and leaks no listener", async () => {
    world.endpoint.behave("*", { kind: "hang", after: 3 });
    const client = world.client(Sdk);
    for await (const event of await client.messages.create({ ...ASK, stream: true })) {
      if (event.type === "content_block_delta") break;
    }
    await world.endpoint.calls[0]?.ended;
    expect(world.endpoint.calls[0]?.end).toBe("brokenOff");
    const stream = client.messages.stream(ASK);
    const final = errorOf(stream.finalMessage());
    await new Promise<void>((resolve) => stream.once("text", () => resolve()));
    stream.abort();
    expect(await final).toBeInstanceOf(Sdk.APIUserAbortError);
    world.endpoint.behave("*", { kind: "hang", after: "request" });
    const controller = new AbortController();
    const created = errorOf(client.messages.create(ASK, { signal: controller.signal }));
    await arrived(3);
    controller.abort();
    expect(await created).toBeInstanceOf(Sdk.APIUserAbortError);
    await Promise.all(world.endpoint.calls.map((call) => call.ended));
    expect(world.endpoint.counts()).toMatchObject({ brokenOff: 3, open: 0 });
    expect(guardStats(world.andon).running).toEqual({});
  });

  it("leaves no listener on the request's signal after an answer", async () => {
    const counts: number[] = [];
    const track = (signal: AbortSignal | null | undefined): void => {
      if (!(signal instanceof AbortSignal)) return;
      const at = counts.push(0) - 1;
      const count = (by: number): void => {
        counts[at] = (counts[at] ?? 0) + by;
      };
      const add = signal.addEventListener.bind(signal);
      const remove = signal.removeEventListener.bind(signal);
      signal.addEventListener = (...args: Parameters<typeof add>) => (count(1), add(...args));
      signal.removeEventListener = (...args: Parameters<typeof remove>) => (count(-1), remove(...args));
    };
    const client = world.client(Sdk);
    const watched = client.withOptions({
      middleware: [
        (request, next) => {
          track(request.signal);
          return next(request);
        },
        ...client.middleware,
      ],
    });
    await watched.messages.create(ASK);
    await watched.messages.stream(ASK).finalMessage();
    expect(counts).toEqual([0, 0]);
  });
});

it("is recognised as a cause by whoever wraps it", async () => {
  await world.kill();
  const [one] = SDKS;
  if (one === undefined) throw new Error("no SDK");
  const cause = await errorOf(world.client(one.Sdk).messages.create(ASK));
  expect(isFeatureDisabled(new Error("wrapped", { cause: new Error("twice", { cause }) }))).toBe(true);
  expect(isFeatureDisabled(new Error("another"))).toBe(false);
});
