/** A kill and a deadline end a call in whatever state it is: the caller is back at once. */
import type Anthropic from "@anthropic-ai/sdk";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { guardStats } from "../../sdk-client/src/anthropic.ts";
import { HAIKU, OPUS, snapshotOf, SONNET } from "../support/guard-snapshots.ts";
import { ASK, type ClientOptions, errorOf, makeClient, SDKS, startWorld, type World } from "../support/guard-world.ts";
import {
  type Act,
  fails,
  hangs,
  hangsInBody,
  hangsInError,
  MisbehavingProvider,
  resets,
  streams,
} from "../support/misbehaving-provider.ts";
import { until } from "../support/until.ts";

/** From the kill or the deadline to the caller. */
const BACK_MS = 100;
const DEADLINE_MS = 300;
const TURNS = 20;

let world: World;
let provider: MisbehavingProvider;
let baseURL: string;
beforeAll(async () => {
  provider = new MisbehavingProvider();
  [world, baseURL] = await Promise.all([startWorld(), provider.listen()]);
});
afterEach(() => world.change(snapshotOf()));
afterAll(() => Promise.all([world.close(), provider.close()]));

interface State {
  acts: Record<string, Act>;
  ask?: string;
  streamed?: boolean;
  options?: ClientOptions;
  /** How many requests have arrived by then. */
  calls?: number;
  /** How many of them have come back by then, with headers or an error; by default all but those that hang. */
  back?: number;
  /** How many events of a stream the caller has seen by then. */
  events?: number;
}

const retryLater = (status: number, retryAfter: string): Act =>
  fails(status, "api_error", { headers: { "retry-after": retryAfter } });

const STATES: Record<string, State> = {
  connecting: { acts: {}, options: { fetch: () => new Promise<Response>(() => undefined) }, calls: 0 },
  "waiting for headers": { acts: { [OPUS]: hangs } },
  "reading an answer": { acts: { [OPUS]: hangsInBody } },
  "reading an error": { acts: { [OPUS]: hangsInError } },
  "waiting for the first content of a stream": { acts: { [OPUS]: streams(0, "hangs") }, streamed: true },
  "holding a stream back": { acts: { [OPUS]: streams(2, "hangs") }, streamed: true, options: { bufferStreams: true } },
  "at a later model": { acts: { [OPUS]: fails(529, "overloaded_error"), [SONNET]: hangs }, calls: 2 },
  "in the SDK's pause before a retry": { acts: { [HAIKU]: retryLater(529, "277403") }, ask: HAIKU },
  "in its second pause": {
    acts: { [HAIKU]: fails(500, "api_error", { headers: { "retry-after-ms": "20" } }) },
    ask: HAIKU,
    options: { maxRetries: 90 },
    calls: 2,
  },
  "in the SDK's own pause": { acts: { [HAIKU]: fails(500, "api_error") }, ask: HAIKU },
  "backing off": {
    acts: { [OPUS]: fails(429, "rate_limit_error", { code: "ramp_limit_exceeded", headers: { "retry-after": "60" } }) },
  },
};

/** States that only a kill can meet: the deadline is looked ahead to, or over when content begins. */
const KILL_ONLY: Record<string, State> = {
  "waiting for a rate limit": { acts: { [OPUS]: retryLater(429, "1.5") } },
  "in a stream": { acts: { [OPUS]: streams(2, "hangs") }, streamed: true, events: 3 },
};

async function call(client: Anthropic, { ask = OPUS, streamed = false }: State): Promise<unknown> {
  if (!streamed) return client.messages.create({ ...ASK, model: ask });
  for await (const _ of await client.messages.create({ ...ASK, model: ask, stream: true })) seen += 1;
  return "the whole answer";
}

/** Requests that have come back, and events that a caller has seen, in the state under test. */
let back = 0;
let seen = 0;

async function watchedFetch(...asked: Parameters<typeof fetch>): Promise<Response> {
  try {
    return await fetch(...asked);
  } finally {
    back += 1;
  }
}

/** The state has been reached, and what came back has been taken in. */
async function reached({ acts, calls = 1, back: expected, events = 0 }: State): Promise<void> {
  const hanging = Object.values(acts).filter((act) => act === hangs).length;
  await until("the requests", () => provider.calls.length >= calls);
  await until("what comes back", () => back >= (expected ?? calls - hanging) && seen >= events);
  // An error's body is read, and the next step taken, in turns of the event loop: nothing outside tells of it.
  for (let turn = 0; turn < TURNS; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe.each(SDKS)("$name", ({ name, Sdk }) => {
  const start = (state: State, options: ClientOptions = {}): Promise<Error> => {
    provider.script(state.acts);
    [back, seen] = [0, 0];
    const client = makeClient(Sdk, world.andon, baseURL, { fetch: watchedFetch, ...state.options, ...options });
    return errorOf(call(client, state));
  };
  const ends = { ...STATES, ...KILL_ONLY };

  it.each(Object.entries(ends))("a kill: %s", async (_what, state) => {
    const error = start(state);
    await reached(state);
    await world.kill();
    const killedMs = performance.now();
    expect(await error).toMatchObject({ code: "ANDON_FEATURE_DISABLED", reason: "KILLED" });
    expect(performance.now() - killedMs).toBeLessThan(BACK_MS);
    expect(guardStats(world.andon).running).toEqual({});
  });

  it.each(Object.entries(STATES))("a deadline: %s", async (_what, state) => {
    const startedMs = performance.now();
    const error = await start(state, { deadlineMs: DEADLINE_MS });
    expect(performance.now() - startedMs).toBeLessThan(DEADLINE_MS + BACK_MS);
    // What cannot come in time is not waited for: the provider's own answer says why.
    if (!("status" in error)) expect(error).toMatchObject({ code: "ANDON_DEADLINE" });
    expect(guardStats(world.andon).running).toEqual({});
  });

  // SDK 0.x hears nothing in this sleep: the kill is seen at its end, within half a second.
  if (name === "SDK 1.x") {
    it.each<[string, State]>([
      ["a lost connection", { acts: { [HAIKU]: resets }, ask: HAIKU }],
      ["a timeout", { acts: { [HAIKU]: hangs }, ask: HAIKU, options: { attemptTimeoutMs: 10 }, back: 1 }],
    ])("a kill in the SDK's sleep after %s", async (_what, state) => {
      const error = start(state);
      await reached(state);
      await world.kill();
      const killedMs = performance.now();
      expect(await error).toMatchObject({ code: "ANDON_FEATURE_DISABLED", reason: "KILLED" });
      expect(performance.now() - killedMs).toBeLessThan(BACK_MS);
      expect(provider.calls).toHaveLength(1);
      expect(guardStats(world.andon).running).toEqual({});
    });
  }

  it("the caller's own abort ends each of the pauses", async () => {
    for (const state of [STATES["in the SDK's pause before a retry"], KILL_ONLY["waiting for a rate limit"]]) {
      if (state === undefined) throw new Error("no such state");
      provider.script(state.acts);
      const caller = new AbortController();
      [back, seen] = [0, 0];
      const client = makeClient(Sdk, world.andon, baseURL, { fetch: watchedFetch });
      const error = errorOf(client.messages.create({ ...ASK, model: state.ask ?? OPUS }, { signal: caller.signal }));
      await reached(state);
      caller.abort();
      expect(await error).toBeInstanceOf(Sdk.APIUserAbortError);
    }
  });
});
