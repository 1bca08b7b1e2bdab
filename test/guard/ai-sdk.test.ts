/** The Vercel AI SDK through `guardFetch`: it neither retries nor hides what the guard says. */
import { createAnthropic } from "@ai-sdk/anthropic";
import { APICallError, generateText, stepCountIs, streamText, tool } from "ai";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { guardFetch, type GuardFetchOptions, isFeatureDisabled } from "../../sdk-client/src/fetch.ts";
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

function opus(options: Partial<GuardFetchOptions> = {}): ReturnType<ReturnType<typeof createAnthropic>> {
  const fetch = guardFetch(world.andon, { flag: FLAG, ...options });
  return createAnthropic({ apiKey: "test", baseURL: `${world.endpoint.url}/v1`, fetch })(OPUS);
}

const ASK = { prompt: "Why did the line stop?", maxOutputTokens: 64 };

interface Streamed {
  text: string;
  errors: unknown[];
  kinds: string[];
}

/** Reads a stream to its end, whichever way it tells of an error. */
async function read(stream: { fullStream: AsyncIterable<{ type: string }> }, into: Streamed): Promise<Streamed> {
  try {
    for await (const part of stream.fullStream) {
      into.kinds.push(part.type);
      if ("text" in part && typeof part.text === "string") into.text += part.text;
      if ("error" in part) into.errors.push(part.error);
    }
  } catch (error) {
    into.errors.push(error);
  }
  return into;
}

const nothing = (): Streamed => ({ text: "", errors: [], kinds: [] });
const ignore = (): void => undefined;

it("answers by generateText and streamText, from the next model when the first fails", async () => {
  world.endpoint.behave(OPUS, OVERLOADED);
  expect((await generateText({ model: opus(), ...ASK })).text).not.toBe("");
  const streamed = await read(streamText({ model: opus(), ...ASK }), nothing());
  expect(streamed.text).not.toBe("");
  expect(streamed.errors).toEqual([]);
  expect(modelsSent(world)).toEqual([OPUS, SONNET, OPUS, SONNET]);
});

it("tells that the feature is off after one try, whole and streamed, and sends nothing", async () => {
  await world.setFlag({ state: "off", cause: "manual", offMessage: "We timed out this feature: fetch failed." });
  const error = await errorOf(generateText({ model: opus(), ...ASK }));
  expect(isFeatureDisabled(error)).toBe(true);
  expect(error.message).toBe("We timed out this feature: fetch failed.");
  const told: unknown[] = [];
  const stream = streamText({ model: opus(), ...ASK, onError: (event) => void told.push(event.error) });
  const streamed = await read(stream, nothing());
  expect([...told, ...streamed.errors].map(isFeatureDisabled)).toEqual([true, true]);
  expect(world.endpoint.calls).toEqual([]);
});

it("shows the off message as the model's own words, whole and streamed", async () => {
  await world.setFlag({ state: "off", cause: "manual", offMode: "message", offMessage: "Back soon." });
  expect((await generateText({ model: opus(), ...ASK })).text).toBe("Back soon.");
  const streamed = await read(streamText({ model: opus(), ...ASK }), nothing());
  expect(streamed).toMatchObject({ text: "Back soon.", errors: [] });
});

it("does not go down the chain again when all of it has failed, and finds its own APICallError", async () => {
  world.endpoint.behave("*", OVERLOADED);
  const error = await errorOf(generateText({ model: opus(), ...ASK }));
  expect(modelsSent(world)).toEqual([OPUS, SONNET, HAIKU]);
  expect(APICallError.isInstance(error)).toBe(true);
  expect(error).toMatchObject({ statusCode: 529, isRetryable: false });
});

it("does not go down the chain again when nothing can be connected to", async () => {
  let sent = 0;
  const fetch = (): Promise<Response> => {
    sent += 1;
    return Promise.reject(
      new TypeError("fetch failed", { cause: Object.assign(new Error(), { code: "ECONNREFUSED" }) }),
    );
  };
  const error = await errorOf(generateText({ model: opus({ fetch }), ...ASK }));
  expect(sent).toBe(3);
  expect(error).toMatchObject({ code: "ANDON_PROVIDER_FAILED" });
});

it("asks again for a user's own tool, and stops between two steps when the feature is switched off", async () => {
  world.endpoint.behaveNext(OPUS, {
    kind: "answer",
    toolUse: { name: "lineOf", input: { station: 4 } },
  });
  const lineOf = tool({
    inputSchema: z.object({ station: z.number() }),
    execute: async ({ station }) => {
      await world.kill();
      return `station ${station} is on line 2`;
    },
  });
  const error = await errorOf(generateText({ model: opus(), ...ASK, tools: { lineOf }, stopWhen: stepCountIs(3) }));
  expect(isFeatureDisabled(error)).toBe(true);
  expect(modelsSent(world)).toEqual([OPUS]);
});

it("ends within 100 ms of a kill while it waits, and while it streams, and is found in what wraps it", async () => {
  world.endpoint.behave("*", { kind: "hang", after: "request" });
  const waiting = errorOf(generateText({ model: opus(), ...ASK }));
  await until("the call to arrive", () => world.endpoint.calls[0]);
  await world.kill();
  let killedMs = performance.now();
  expect(isFeatureDisabled(await waiting)).toBe(true);
  expect(performance.now() - killedMs).toBeLessThan(100);

  await world.change(snapshotOf());
  world.endpoint.behave("*", { kind: "hang", after: 3 });
  const streamed = nothing();
  const stream = streamText({ model: opus(), ...ASK, onError: ignore });
  const reading = read(stream, streamed);
  await until("three tokens", () => streamed.kinds.filter((kind) => kind === "text-delta").length === 3);
  await world.kill();
  killedMs = performance.now();
  await reading;
  expect(performance.now() - killedMs).toBeLessThan(100);
  expect(streamed.errors.map(isFeatureDisabled)).toEqual([true]);
  expect(isFeatureDisabled(await errorOf(stream.text))).toBe(true);
});

it("never gives half an answer as a whole one", async () => {
  for (const end of ["truncate", "reset", "streamError"] as const) {
    world.endpoint.behave("*", { kind: end, afterTokens: 3, type: "overloaded_error" });
    const stream = streamText({ model: opus(), ...ASK, onError: ignore });
    const streamed = await read(stream, nothing());
    expect(streamed.errors.length, end).toBeGreaterThan(0);
    expect(await errorOf(stream.text), end).toBeInstanceOf(Error);
  }
});
