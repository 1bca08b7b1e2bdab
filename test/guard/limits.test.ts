/** The guard's time limits: each one that is accepted acts. The endpoint hangs, so that only a limit can end a wait. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { HAIKU, OPUS, snapshotOf, SONNET } from "../support/guard-snapshots.ts";
import { ASK, errorOf, modelsSent, SDKS, startWorld, type World } from "../support/guard-world.ts";

const SHORT_MS = 60;

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterEach(async () => {
  world.endpoint.reset();
  await world.change(snapshotOf());
});
afterAll(() => world.close());

describe.each(SDKS)("$name", ({ Sdk }) => {
  it("attemptTimeoutMs: a hung attempt is aborted and the next model answers", async () => {
    world.endpoint.behave(OPUS, { kind: "hang", after: "request" });
    const client = world.client(Sdk, { attemptTimeoutMs: SHORT_MS });
    expect((await client.messages.create(ASK)).model).toBe(SONNET);
    await world.endpoint.calls[0]?.ended;
    expect(world.endpoint.calls[0]?.end).toBe("brokenOff");
  });

  it("attemptTimeoutMs covers the body of an answer", async () => {
    world.endpoint.behave(OPUS, { kind: "hang", after: "headers" });
    expect((await world.client(Sdk, { attemptTimeoutMs: SHORT_MS }).messages.create(ASK)).model).toBe(SONNET);
  });

  it("attemptTimeoutMs on every model: one pass, then the SDK's own timeout error", async () => {
    world.endpoint.behave("*", { kind: "hang", after: "request" });
    const client = world.client(Sdk, { attemptTimeoutMs: SHORT_MS, maxRetries: 1 });
    expect(await errorOf(client.messages.create(ASK))).toBeInstanceOf(Sdk.APIConnectionTimeoutError);
    expect(modelsSent(world)).toEqual([OPUS, SONNET, HAIKU]);
  });

  it("firstTokenTimeoutMs: pings are not content; the next model answers", async () => {
    world.endpoint.behave(OPUS, { kind: "hang", after: 0 });
    const client = world.client(Sdk, { firstTokenTimeoutMs: SHORT_MS });
    expect((await client.messages.stream(ASK).finalMessage()).model).toBe(SONNET);
  });

  it("firstTokenTimeoutMs lets a stream go on once content has begun", async () => {
    world.endpoint.behave(OPUS, { kind: "answer", text: "a b c d e f", tokenIntervalMs: SHORT_MS / 3 });
    const client = world.client(Sdk, { firstTokenTimeoutMs: SHORT_MS });
    expect(await client.messages.stream(ASK).finalText()).toBe("a b c d e f");
  });

  it("idleTimeoutMs: silence before content goes to the next model, after content it is an error", async () => {
    const client = world.client(Sdk, { idleTimeoutMs: SHORT_MS });
    world.endpoint.behave(OPUS, { kind: "hang", after: 0 });
    expect((await client.messages.stream(ASK).finalMessage()).model).toBe(SONNET);
    world.endpoint.behave(OPUS, { kind: "hang", after: 2 });
    const error = await errorOf(client.messages.stream(ASK).finalMessage());
    expect(error).toBeInstanceOf(Sdk.AnthropicError);
    expect(error).toMatchObject({ code: "ANDON_ANSWER_BROKEN" });
    await world.endpoint.calls.at(-1)?.ended;
    expect(world.endpoint.calls.at(-1)?.end).toBe("brokenOff");
  });

  it("deadlineMs: bounds all attempts together, with a typed error that is not retried", async () => {
    world.endpoint.behave("*", { kind: "hang", after: "request" });
    const client = world.client(Sdk, { deadlineMs: SHORT_MS * 2, attemptTimeoutMs: SHORT_MS, maxRetries: 2 });
    const error = await errorOf(client.messages.create(ASK));
    expect(error).toBeInstanceOf(Sdk.AnthropicError);
    expect(error).toMatchObject({ code: "ANDON_DEADLINE" });
    expect(modelsSent(world).length).toBeLessThan(3);
  });

  it("deadlineMs ends with a stream's first content", async () => {
    world.endpoint.behave(OPUS, { kind: "answer", text: "a b c d e f", tokenIntervalMs: SHORT_MS / 3 });
    const client = world.client(Sdk, { deadlineMs: SHORT_MS });
    expect(await client.messages.stream(ASK).finalText()).toBe("a b c d e f");
  });

  it("the SDK's timeout, which ends its request for good, still leaves time for the next model", async () => {
    world.endpoint.behave(OPUS, { kind: "hang", after: "request" });
    const client = world.client(Sdk, { timeout: SHORT_MS * 2, maxRetries: 0 });
    expect((await client.messages.create(ASK)).model).toBe(SONNET);
  });

  it("a timeout of the SDK that the guard could not forestall goes on with the next model in the SDK's retry", async () => {
    world.endpoint.behave("*", { kind: "hang", after: "request" });
    world.endpoint.behave(HAIKU, { kind: "answer" });
    const client = world.client(Sdk, { maxRetries: 2, timeout: SHORT_MS });
    expect((await client.messages.create({ ...ASK, model: SONNET })).model).toBe(HAIKU);
    expect(modelsSent(world)).toEqual([SONNET, HAIKU]);
  });
});
