/** The client's breakers: a model that keeps failing is left out, probed, and taken back, with no server at all. */
import type Anthropic from "@anthropic-ai/sdk";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { Andon } from "../../sdk-client/src/andon.ts";
import { flagOf, FLAG, HAIKU, OPUS, snapshotOf, SONNET } from "../support/guard-snapshots.ts";
import { ASK, type ClientOptions, errorOf, makeClient, SDKS, SILENT } from "../support/guard-world.ts";
import { type Act, answer, fails, hangs, MisbehavingProvider, resets } from "../support/misbehaving-provider.ts";

const LIMIT_MS = 1_000;
const PROBE_MS = 5_000;
const BOUND_MS = 10_000;
const overloaded = fails(529, "overloaded_error");

let provider: MisbehavingProvider;
let baseURL: string;
let andon: Andon;

beforeAll(async () => {
  provider = new MisbehavingProvider();
  baseURL = await provider.listen();
  const bootstrap = snapshotOf({ flags: { [FLAG]: flagOf(), alone: flagOf({ chain: null }) } });
  andon = new Andon({ bootstrap, logger: SILENT }, { env: {} });
});
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});
afterAll(() => Promise.all([andon.close(), provider.close()]));

/** Lets sockets do their work and, where nothing else happens, time pass, until the promise is settled. */
async function driven<T>(promise: Promise<T>): Promise<T> {
  const settled = new Set<unknown>();
  const settle = (): void => void settled.add(promise);
  promise.then(settle, settle);
  const boundMs = Date.now() + BOUND_MS;
  while (settled.size === 0) {
    if (Date.now() > boundMs) throw new Error("waited in vain");
    await new Promise((resolve) => setImmediate(resolve));
    if (provider.calls.length > 0) vi.advanceTimersByTime(LIMIT_MS / 100);
  }
  return promise;
}

function ask(client: Anthropic, model = OPUS): Promise<string> {
  return driven(client.messages.create({ ...ASK, model }).then((message) => message.model));
}

/** How often a model was sent something while this ran. */
async function sentTo(model: string, work: () => Promise<unknown>): Promise<number> {
  const before = provider.calls.filter((call) => call.model === model).length;
  await work();
  return provider.calls.filter((call) => call.model === model).length - before;
}

async function times(count: number, work: () => Promise<unknown>): Promise<void> {
  for (let n = 0; n < count; n += 1) await work();
}

describe.each(SDKS)("$name", ({ Sdk }) => {
  const make = (options: ClientOptions = {}): Anthropic =>
    makeClient(Sdk, andon, baseURL, { maxRetries: 0, attemptTimeoutMs: LIMIT_MS, ...options });

  it("a hanging model costs one wait, not one per call", async () => {
    provider.script({ [OPUS]: hangs });
    const client = make();
    expect(await ask(client)).toBe(SONNET);
    const startedMs = performance.now();
    expect(await sentTo(OPUS, () => times(8, async () => expect(await ask(client)).toBe(SONNET)))).toBe(0);
    expect(performance.now() - startedMs).toBeLessThan(LIMIT_MS);
  });

  it("is tried again by one call in each pause, and taken back when that is answered", async () => {
    provider.script({ [OPUS]: hangs });
    const client = make();
    await ask(client);
    vi.advanceTimersByTime(PROBE_MS);
    expect(await sentTo(OPUS, () => Promise.all([ask(client), ask(client), ask(client)]))).toBe(1);
    // The pause has doubled.
    vi.advanceTimersByTime(PROBE_MS);
    expect(await sentTo(OPUS, () => ask(client))).toBe(0);
    vi.advanceTimersByTime(PROBE_MS);
    provider.script({});
    expect(await ask(client)).toBe(OPUS);
    expect(await ask(client)).toBe(OPUS);
  });

  it("turned off: every call tries the chain in order, and an only model is never refused", async () => {
    provider.script({ [OPUS]: overloaded });
    const client = make({ breaker: false });
    expect(await sentTo(OPUS, () => times(12, async () => expect(await ask(client)).toBe(SONNET)))).toBe(12);
    const alone = make({ breaker: false, flag: "alone" });
    for (let n = 0; n < 12; n += 1) expect(await errorOf(ask(alone))).toMatchObject({ status: 529 });
  });

  it("a slow call beside others that are answered is no hang", async () => {
    provider.script({ [OPUS]: [hangs, answer()] });
    const client = make();
    const slow = client.messages.create(ASK).then((message) => message.model);
    while (provider.calls.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(await ask(client)).toBe(OPUS);
    expect(await driven(slow)).toBe(SONNET);
    expect(await ask(client)).toBe(OPUS);
  });

  it.each<[string, Act]>([
    ["529", overloaded],
    ["500", fails(500, "api_error")],
    ["a reset", resets],
    ["an error with status 200", fails(200, "api_error")],
  ])("opens after five failures in a row: %s", async (_what, act) => {
    provider.script({ [OPUS]: [act, act, act, act, answer(), act] });
    const client = make();
    await times(5, () => ask(client));
    expect(await sentTo(OPUS, () => times(5, () => ask(client)))).toBe(5);
    expect(await sentTo(OPUS, () => times(5, () => ask(client)))).toBe(0);
  });

  it.each<[string, Act]>([
    ["400", fails(400, "invalid_request_error")],
    ["401", fails(401, "authentication_error")],
    ["404 of a model", fails(404, "not_found_error", { message: `model: ${OPUS}` })],
    ["429", fails(429, "rate_limit_error")],
  ])("counts only the provider's failures, not %s", async (_what, act) => {
    provider.script({ [OPUS]: act });
    const client = make();
    const asked = (): Promise<unknown> => ask(client).catch((error: Error) => error);
    expect(await sentTo(OPUS, () => times(12, asked))).toBe(12);
  });

  it("refuses calls of an only model after twice as many failures, but for probes, and works again at once", async () => {
    provider.script({ [HAIKU]: overloaded });
    const client = make();
    const failing = (): Promise<Error> => errorOf(ask(client, HAIKU));
    expect(
      await sentTo(HAIKU, () => times(10, async () => expect(await failing()).toMatchObject({ status: 529 }))),
    ).toBe(10);
    expect(await sentTo(HAIKU, async () => expect(await failing()).toMatchObject({ reason: "NO_MODEL" }))).toBe(0);
    vi.advanceTimersByTime(PROBE_MS);
    provider.script({});
    expect(await ask(client, HAIKU)).toBe(HAIKU);
    expect(await ask(client, HAIKU)).toBe(HAIKU);
  });

  it("does not refuse a call that is in the SDK's own retries", async () => {
    provider.script({ [OPUS]: overloaded });
    const client = make({ flag: "alone", maxRetries: 11 });
    expect(await driven(errorOf(client.messages.create(ASK)))).toMatchObject({ status: 529 });
    expect(provider.calls).toHaveLength(12);
  });

  it("is each guard's own", async () => {
    provider.script({ [OPUS]: hangs });
    await ask(make());
    expect(await sentTo(OPUS, () => ask(make()))).toBe(1);
  });
});
