/**
 * Pacing: work that can wait leaves the rest of a rate limit to others, and never waits past what ends a call. Timers
 * stand still until a test moves them on.
 */
import type Anthropic from "@anthropic-ai/sdk";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { findFeatureDisabled } from "../../sdk-client/src/anthropic.ts";
import { FLAG, flagOf, OPUS, SONNET } from "../support/guard-snapshots.ts";
import {
  type ClientOptions,
  errorOf,
  makeClient,
  modelsSent,
  SDKS,
  startWorld,
  type World,
} from "../support/guard-world.ts";

const ASK = { model: OPUS, max_tokens: 64, messages: [{ role: "user" as const, content: "Why did the line stop?" }] };
const BOUND_MS = 10_000;

type Limit = { limit: number; remaining: number; resetSeconds: number };
let world: World;
let told: Record<string, Limit> = {};
let retryAfter: string | null = null;

// A world for each test: what one process has learned of limits is not another's.
beforeEach(async () => {
  world = await startWorld({ abortInFlight: false });
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(async () => {
  vi.useRealTimers();
  told = {};
  retryAfter = null;
  await world.close();
});

/** The endpoint's answers with the headers of the API in front of it. */
const limitedFetch: typeof fetch = async (input, init) => {
  const answer = await fetch(input, init);
  const headers = new Headers(answer.headers);
  for (const [kind, { limit, remaining, resetSeconds }] of Object.entries(told)) {
    headers.set(`anthropic-ratelimit-${kind}-limit`, String(limit));
    headers.set(`anthropic-ratelimit-${kind}-remaining`, String(remaining));
    headers.set(`anthropic-ratelimit-${kind}-reset`, new Date(Date.now() + resetSeconds * 1_000).toISOString());
  }
  if (retryAfter !== null) headers.set("retry-after", retryAfter);
  return new Response(answer.body, { status: answer.status, headers });
};

function clients(options: ClientOptions = {}): { paced: Anthropic; eager: Anthropic } {
  const [sdk] = SDKS;
  if (sdk === undefined) throw new Error("no SDK");
  const make = (more: ClientOptions) =>
    makeClient(sdk.Sdk, world.andon, world.endpoint.url, { maxRetries: 0, fetch: limitedFetch, ...more });
  return { paced: make({ pace: true, ...options }), eager: make({}) };
}

/** Lets sockets do their work, without moving the timers. */
async function turns(isDone: () => boolean): Promise<void> {
  const boundMs = Date.now() + BOUND_MS;
  while (!isDone()) {
    if (Date.now() > boundMs) throw new Error("waited in vain");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const sentCalls = (): number => world.endpoint.calls.length;
/** Time enough for what could be sent to be sent. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe("while little is left", () => {
  it("paced calls wait for what comes back, one after the other; others go at once", async () => {
    const { paced, eager } = clients();
    told = { requests: { limit: 50, remaining: 5, resetSeconds: 60 } };
    await eager.messages.create(ASK);
    // 0.75 requests come back a second; 10 are for others: 6 are missing for the first, one more for the next.
    told = {};
    const all = Promise.all([paced.messages.create(ASK), paced.messages.create(ASK)]);
    await settled();
    vi.advanceTimersByTime(7_800);
    await settled();
    expect(sentCalls()).toBe(1);
    await eager.messages.create(ASK);
    expect(sentCalls()).toBe(2);
    vi.advanceTimersByTime(300);
    await turns(() => sentCalls() === 3);
    await settled();
    expect(sentCalls()).toBe(3);
    vi.advanceTimersByTime(1_400);
    await turns(() => sentCalls() === 4);
    await all;
  });

  it.each([
    ["tokens", { limit: 1_000, remaining: 150, resetSeconds: 30 }],
    ["input-tokens", { limit: 1_000, remaining: 150, resetSeconds: 30 }],
    ["output-tokens", { limit: 1_000, remaining: 150, resetSeconds: 30 }],
  ])("%s hold it back too, of its own model alone, and a reset is the end of it", async (kind, limit) => {
    const { paced } = clients();
    told = { [kind]: limit };
    await paced.messages.create(ASK);
    const waits = paced.messages.create(ASK);
    await paced.messages.create({ ...ASK, model: SONNET });
    await settled();
    expect(modelsSent(world)).toEqual([OPUS, SONNET]);
    vi.advanceTimersByTime(30_000);
    await waits;
    expect(modelsSent(world)).toEqual([OPUS, SONNET, OPUS]);
  });

  it("the pause that a 429 asks for is kept before the next call", async () => {
    const { paced } = clients({ fallbackOn429: false });
    world.endpoint.behaveNext(OPUS, { kind: "error", status: 429, type: "rate_limit_error" });
    retryAfter = "5";
    await errorOf(paced.messages.create(ASK));
    retryAfter = null;
    const waits = paced.messages.create(ASK);
    await settled();
    vi.advanceTimersByTime(4_900);
    await settled();
    expect(sentCalls()).toBe(1);
    vi.advanceTimersByTime(100);
    await waits;
  });
});

/** A client that paces, after an answer that left nothing. */
async function waiting(options: ClientOptions = {}): Promise<Anthropic> {
  const { paced } = clients(options);
  told = { requests: { limit: 50, remaining: 0, resetSeconds: 60 } };
  await paced.messages.create(ASK);
  return paced;
}

describe("a wait ends at once, and nothing is sent,", () => {
  it("when the flag is killed, also without abortInFlight", async () => {
    const paced = await waiting();
    const ended = errorOf(paced.messages.create(ASK));
    await settled();
    vi.useRealTimers();
    await world.kill();
    expect(findFeatureDisabled(await ended)?.reason).toBe("KILLED");
    expect(sentCalls()).toBe(1);
  });

  it("when the caller gives up", async () => {
    const paced = await waiting();
    const abort = new AbortController();
    const ended = errorOf(paced.messages.create(ASK, { signal: abort.signal }));
    await settled();
    abort.abort();
    expect((await ended).constructor.name).toBe("APIUserAbortError");
    expect(sentCalls()).toBe(1);
  });

  it("at its deadline", async () => {
    const paced = await waiting({ deadlineMs: 2_000 });
    const ended = errorOf(paced.messages.create(ASK));
    await settled();
    vi.advanceTimersByTime(2_000);
    expect(await ended).toMatchObject({ code: "ANDON_DEADLINE" });
    expect(sentCalls()).toBe(1);
  });

  it("and a change that takes its model out sends it to the next one", async () => {
    const paced = await waiting();
    const answered = paced.messages.create(ASK);
    await settled();
    vi.useRealTimers();
    await world.change({ flags: { [FLAG]: flagOf({ level: 1 }) } });
    await answered;
    expect(modelsSent(world)).toEqual([OPUS, SONNET]);
  });
});

it("a wait ends by itself after five minutes, whatever others use up", async () => {
  const { paced, eager } = clients();
  told = { requests: { limit: 50, remaining: 0, resetSeconds: 100_000 } };
  await paced.messages.create(ASK);
  const waits = paced.messages.create(ASK);
  for (let others = 0; others < 15; others += 1) {
    await settled();
    expect(sentCalls()).toBe(1 + others);
    vi.advanceTimersByTime(19_999);
    await eager.messages.create(ASK);
  }
  vi.advanceTimersByTime(100);
  await waits;
});
