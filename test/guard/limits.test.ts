/** The guard's time limits: each one that is accepted acts. Timers stand still until a test moves them on. */
import type Anthropic from "@anthropic-ai/sdk";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { Andon } from "../../sdk-client/src/andon.ts";
import {
  type ClaudeEndpoint,
  type EndpointCall,
  startClaudeEndpoint,
} from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { HAIKU, OPUS, snapshotOf, SONNET } from "../support/guard-snapshots.ts";
import {
  ASK,
  type ClientOptions,
  errorOf,
  gate,
  makeClient,
  modelsSent,
  SDKS,
  SILENT,
} from "../support/guard-world.ts";

const LIMIT_MS = 1_000;
const BOUND_MS = 10_000;

let endpoint: ClaudeEndpoint;
let andon: Andon;
beforeAll(async () => {
  endpoint = await startClaudeEndpoint();
  andon = new Andon({ bootstrap: snapshotOf(), logger: SILENT }, { env: {} });
});
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
  endpoint.reset();
});
afterAll(() => Promise.all([andon.close(), endpoint.close()]));

/** Lets sockets do their work, without moving the timers, until the probe holds. */
async function soon<T>(what: string, probe: () => T | undefined | false): Promise<T> {
  const boundMs = Date.now() + BOUND_MS;
  for (;;) {
    const value = probe();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > boundMs) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The n-th call at the endpoint, once what it is scripted to send has been sent. */
function hanging(n: number, tokens?: number): Promise<EndpointCall> {
  return soon(`call ${n}`, () => {
    const call = endpoint.calls[n - 1];
    if (call === undefined || (tokens !== undefined && call.status === null)) return undefined;
    return call.tokensSent >= (tokens ?? 0) ? call : undefined;
  });
}

/** Moves the timers on, step by step, until the promise is settled: for waits of the SDK between its retries. */
async function driven<T>(promise: Promise<T>): Promise<T> {
  let isSettled = false;
  const settle = (): void => {
    isSettled = true;
  };
  promise.then(settle, settle);
  await soon("an end", () => {
    vi.advanceTimersByTime(LIMIT_MS / 100);
    return isSettled;
  });
  return promise;
}

/** Resolves with a stream once its first text has been seen. */
async function begun(client: Anthropic): Promise<ReturnType<Anthropic["messages"]["stream"]>> {
  const stream = client.messages.stream(ASK);
  const text = gate();
  stream.on("text", () => text.open());
  stream.on("error", () => text.open());
  await text.opened;
  return stream;
}

describe.each(SDKS)("$name", ({ Sdk }) => {
  const make = (options: ClientOptions): Anthropic => makeClient(Sdk, andon, endpoint.url, options);

  it("attemptTimeoutMs: a hung attempt is aborted and the next model answers", async () => {
    endpoint.behave(OPUS, { kind: "hang", after: "request" });
    const answer = make({ attemptTimeoutMs: LIMIT_MS })
      .messages.create(ASK)
      .then((message) => message.model);
    const call = await hanging(1);
    vi.advanceTimersByTime(LIMIT_MS - 1);
    expect(call.end).toBe("open");
    vi.advanceTimersByTime(1);
    expect(await answer).toBe(SONNET);
    await call.ended;
    expect(call.end).toBe("brokenOff");
  });

  it("attemptTimeoutMs covers the body of an answer", async () => {
    endpoint.behave(OPUS, { kind: "hang", after: "headers" });
    const answer = make({ attemptTimeoutMs: LIMIT_MS })
      .messages.create(ASK)
      .then((message) => message.model);
    await hanging(1, 0);
    vi.advanceTimersByTime(LIMIT_MS);
    expect(await answer).toBe(SONNET);
  });

  it("attemptTimeoutMs on every model: one pass, then the SDK's own timeout error", async () => {
    endpoint.behave("*", { kind: "hang", after: "request" });
    const error = errorOf(make({ attemptTimeoutMs: LIMIT_MS, maxRetries: 2 }).messages.create(ASK));
    for (const n of [1, 2, 3]) {
      await hanging(n);
      vi.advanceTimersByTime(LIMIT_MS);
    }
    expect(await driven(error)).toBeInstanceOf(Sdk.APIConnectionTimeoutError);
    expect(modelsSent({ endpoint })).toEqual([OPUS, SONNET, HAIKU]);
  });

  it("firstTokenTimeoutMs: pings are not content; the next model answers", async () => {
    endpoint.behave(OPUS, { kind: "hang", after: 0 });
    const final = make({ firstTokenTimeoutMs: LIMIT_MS }).messages.stream(ASK).finalMessage();
    await hanging(1, 0);
    vi.advanceTimersByTime(LIMIT_MS);
    expect((await final).model).toBe(SONNET);
  });

  it.each(["firstTokenTimeoutMs", "attemptTimeoutMs", "deadlineMs"])(
    "%s ends with a stream's first content",
    async (option) => {
      const held = gate();
      endpoint.behave(OPUS, { kind: "answer", text: "a b c", hold: { beforeToken: 1, until: held.opened } });
      const stream = await begun(make({ [option]: LIMIT_MS }));
      vi.advanceTimersByTime(LIMIT_MS * 10);
      held.open();
      expect(await stream.finalText()).toBe("a b c");
    },
  );

  it("idleTimeoutMs: silence before content goes to the next model", async () => {
    endpoint.behave(OPUS, { kind: "hang", after: 0 });
    const final = make({ idleTimeoutMs: LIMIT_MS }).messages.stream(ASK).finalMessage();
    await hanging(1, 0);
    expect((await driven(final)).model).toBe(SONNET);
  });

  it("idleTimeoutMs: silence after content is a typed error, and closes the socket", async () => {
    endpoint.behave(OPUS, { kind: "hang", after: 2 });
    const stream = await begun(make({ idleTimeoutMs: LIMIT_MS }));
    const error = await driven(errorOf(stream.finalMessage()));
    expect(error).toBeInstanceOf(Sdk.AnthropicError);
    expect(error).toMatchObject({ code: "ANDON_ANSWER_BROKEN" });
    await endpoint.calls[0]?.ended;
    expect(endpoint.calls.map((call) => call.end)).toEqual(["brokenOff"]);
  });

  it("deadlineMs bounds all attempts together, with a typed error that is not retried", async () => {
    endpoint.behave("*", { kind: "hang", after: "request" });
    const limits = { deadlineMs: LIMIT_MS * 1.5, attemptTimeoutMs: LIMIT_MS };
    const error = errorOf(make({ ...limits, maxRetries: 2 }).messages.create(ASK));
    await hanging(1);
    vi.advanceTimersByTime(LIMIT_MS);
    await hanging(2);
    vi.advanceTimersByTime(LIMIT_MS / 2);
    expect(await error).toBeInstanceOf(Sdk.AnthropicError);
    expect(await error).toMatchObject({ code: "ANDON_DEADLINE" });
    expect(modelsSent({ endpoint })).toEqual([OPUS, SONNET]);
  });

  it("the SDK's timeout, which ends its request for good, still leaves time for the next model", async () => {
    endpoint.behave(OPUS, { kind: "hang", after: "request" });
    const answer = make({ timeout: LIMIT_MS, maxRetries: 0 })
      .messages.create(ASK)
      .then((message) => message.model);
    await hanging(1);
    vi.advanceTimersByTime(LIMIT_MS - 1);
    expect(await answer).toBe(SONNET);
  });

  it("a timeout of the SDK that could not be forestalled ends the chain in the SDK's own timeout error", async () => {
    endpoint.behave("*", { kind: "hang", after: "request" });
    const error = errorOf(make({ timeout: LIMIT_MS, maxRetries: 2 }).messages.create({ ...ASK, model: SONNET }));
    expect(await driven(error)).toBeInstanceOf(Sdk.APIConnectionTimeoutError);
    expect(modelsSent({ endpoint })).toEqual([SONNET, HAIKU]);
  });

  it("a timeout that ends the SDK's request goes on with the next model in the SDK's own retry", async () => {
    endpoint.behave(OPUS, { kind: "hang", after: "request" });
    const answer = make({ timeout: LIMIT_MS, maxRetries: 1 })
      .messages.create(ASK)
      .then((message) => message.model);
    await hanging(1);
    // Both the guard's timer and the SDK's fall due before either is acted on.
    vi.advanceTimersByTime(LIMIT_MS);
    expect(await driven(answer)).toBe(SONNET);
    expect(modelsSent({ endpoint })).toEqual([OPUS, SONNET]);
  });

  it("leaves no timer behind after an answer", async () => {
    const set = vi.spyOn(globalThis, "setTimeout");
    const clear = vi.spyOn(globalThis, "clearTimeout");
    // The HTTP client has timers of its own; the guard's are told by their length.
    const mineMs = 7_777;
    const limits = { deadlineMs: mineMs, attemptTimeoutMs: mineMs, firstTokenTimeoutMs: mineMs };
    const client = make({ ...limits, idleTimeoutMs: mineMs });
    await client.messages.create(ASK);
    await client.messages.stream(ASK).finalMessage();
    const mine = set.mock.results.filter((_made, at) => Math.ceil(Number(set.mock.calls[at]?.[1])) === mineMs);
    const cleared = new Set<unknown>(clear.mock.calls.map(([timer]) => timer));
    expect(mine.length).toBeGreaterThan(5);
    expect(mine.filter((made) => !cleared.has(made.value))).toEqual([]);
  });
});
