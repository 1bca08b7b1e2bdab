/** LangChain's `ChatAnthropic`, which sends a failed call again by itself: what the guard refuses ends at once. */
import Anthropic from "@anthropic-ai/sdk";
import { ChatAnthropic, type ChatAnthropicInput } from "@langchain/anthropic";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { guard, type GuardOptions, isFeatureDisabled } from "../../sdk-client/src/anthropic.ts";
import { OVERLOADED } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { FLAG, HAIKU, OPUS, snapshotOf, SONNET } from "../support/guard-snapshots.ts";
import { errorOf, modelsSent, startWorld, type World } from "../support/guard-world.ts";
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

type Wiring = (options: Partial<GuardOptions>) => ChatAnthropicInput;

const guarded = (options: Partial<GuardOptions>) => guard(world.andon, { flag: FLAG, ...options });

/** The two ways to give it the guard; only with the first are the SDK's own retries, which the guard can end, in force. */
const WIRINGS: readonly [string, Wiring][] = [
  [
    "createClient",
    (options) => ({
      createClient: (given: object) => new Anthropic({ ...given, maxRetries: 2, middleware: [guarded(options)] }),
      maxRetries: 0,
    }),
  ],
  ["clientOptions", (options) => ({ clientOptions: { middleware: [guarded(options)] } })],
];

describe.each(WIRINGS)("by %s", (_, wiring) => {
  const chat = (options: Partial<GuardOptions> = {}): ChatAnthropic =>
    new ChatAnthropic({
      model: OPUS,
      apiKey: "test",
      anthropicApiUrl: world.endpoint.url,
      maxTokens: 64,
      ...wiring(options),
    });

  const whole = (options?: Partial<GuardOptions>): Promise<unknown> => chat(options).invoke("Why did the line stop?");
  const streamed = async (options?: Partial<GuardOptions>, into: unknown[] = []): Promise<unknown> => {
    for await (const chunk of await chat(options).stream("Why did the line stop?")) into.push(chunk.content);
    return into;
  };

  it("answers, whole and streamed, from the next model when the first fails", async () => {
    world.endpoint.behave(OPUS, OVERLOADED);
    expect(await whole()).toMatchObject({ content: expect.stringContaining("cord") });
    expect(await streamed()).not.toEqual([]);
    expect(modelsSent(world)).toEqual([OPUS, SONNET, OPUS, SONNET]);
  });

  it.each([
    ["invoke", whole],
    ["stream", streamed],
  ])("%s ends at once while the feature is off", async (_name, ask) => {
    await world.setFlag({ state: "off", cause: "manual", offMessage: "Back soon." });
    const startedMs = performance.now();
    const error = await errorOf(ask());
    expect(performance.now() - startedMs).toBeLessThan(500);
    expect(isFeatureDisabled(error)).toBe(true);
    expect(error).toMatchObject({ message: "Back soon.", status: 403 });
    expect(world.endpoint.calls).toEqual([]);
  });

  it.each([
    ["invoke", whole, "request" as const],
    ["stream", streamed, "headers" as const],
  ])("%s ends within 100 ms of a kill in its loop, after a try that failed", async (_name, ask, after) => {
    world.endpoint.behaveNext("*", { kind: "error", status: 500, type: "api_error" });
    world.endpoint.behave("*", { kind: "hang", after });
    const error = errorOf(ask());
    await until("the second try", () => world.endpoint.calls[1]);
    await world.kill();
    const killedMs = performance.now();
    expect(isFeatureDisabled(await error)).toBe(true);
    expect(performance.now() - killedMs).toBeLessThan(100);
    await world.endpoint.calls[1]?.ended;
  });

  it("ends a stream that is killed after its first words, and never as whole", async () => {
    world.endpoint.behave("*", { kind: "hang", after: 3 });
    const seen: unknown[] = [];
    const error = errorOf(streamed({}, seen));
    await until("three tokens", () => world.endpoint.calls[0]?.tokensSent === 3);
    await world.kill();
    expect(isFeatureDisabled(await error)).toBe(true);
  });

  it("ends at the guard's deadline, once", async () => {
    world.endpoint.behave("*", { kind: "hang", after: "request" });
    const error = errorOf(whole({ deadlineMs: 1_000 }));
    await until("the only try", () => world.endpoint.calls[0]);
    expect(await error).toMatchObject({ code: "ANDON_DEADLINE" });
    await world.endpoint.calls[0]?.ended;
    expect(modelsSent(world)).toEqual([OPUS]);
  });
});

it("goes down the chain once when its retries are the SDK's", async () => {
  const [[, wiring] = ["", (): ChatAnthropicInput => ({})]] = WIRINGS;
  world.endpoint.behave("*", OVERLOADED);
  const chat = new ChatAnthropic({ model: OPUS, apiKey: "test", anthropicApiUrl: world.endpoint.url, ...wiring({}) });
  expect(await errorOf(chat.invoke("Why?"))).toMatchObject({ status: 529 });
  expect(modelsSent(world)).toEqual([OPUS, SONNET, HAIKU]);
});
