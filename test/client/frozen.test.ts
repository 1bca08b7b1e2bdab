/** Processes that are frozen between requests, or closed after each: old state is found out before it decides. */
import { expect, onTestFinished, test, vi } from "vitest";
import { Andon, type FetchLike, isFeatureDisabled, type Snapshot } from "../../sdk-client/src/index.ts";
import { startClaudeEndpoint } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { FLAG, flagOf, snapshotOf } from "../support/guard-snapshots.ts";
import { ASK, errorOf, makeClient, SDKS } from "../support/guard-world.ts";
import { UsageServer } from "../support/usage-server.ts";
import { Follower, type Harness, startHarness } from "./support/harness.ts";
import { ManualRuntime } from "./support/manual-runtime.ts";

const KILLED = snapshotOf({ revision: "a.2", flags: { [FLAG]: flagOf({ state: "off", cause: "manual" }) } });
const FROZEN_MS = 20_000;

/** A client whose state decides and whose poll is parked. */
async function startParked(snapshot: Snapshot = snapshotOf()): Promise<Harness> {
  const harness = await startHarness({ snapshot });
  await harness.andon.ready({ timeoutMs: 1_000_000 });
  await harness.server.until(() => harness.server.parkedCount === 1);
  return harness;
}

/** The process stands still; its parked poll is never answered, and the flag is killed meanwhile. */
function freeze({ server, runtime }: Harness, monotonicStops = false): void {
  server.inject(() => undefined);
  server.recover();
  server.publish(KILLED);
  runtime.freeze(FROZEN_MS, monotonicStops);
}

test.each([
  ["goes on", false],
  ["stands still too", true],
])("ready after a freeze is live only once the server was asked again; the machine's clock %s", async (_, stops) => {
  const harness = await startParked();
  const { andon } = harness;
  expect(await andon.ready()).toBe("live");
  freeze(harness, stops);
  expect(andon.isEnabled(FLAG)).toBe(true);
  expect(await andon.ready({ timeoutMs: 1_000_000 })).toBe("live");
  expect(andon.evaluate(FLAG)).toMatchObject({ enabled: false, reason: "KILLED" });
});

test("an answer to what was asked before a freeze does not make the state live", async () => {
  const harness = await startParked();
  const { andon, server, runtime } = harness;
  runtime.freeze(FROZEN_MS);
  server.expireParked();
  await harness.nextPolled();
  server.inject(() => undefined);
  const ready = andon.ready({ timeoutMs: 300 });
  runtime.advance(300);
  expect(await ready).toBe("cache");
  expect(andon.evaluate(FLAG).staleMs).toBeGreaterThanOrEqual(FROZEN_MS);
});

test("fresh asks once for all who want state as young, and not at all while it is", async () => {
  const harness = await startParked();
  const { andon, server } = harness;
  const polls = server.polls.length;
  expect(await andon.fresh({ maxStaleMs: 5_000 })).toBe(true);
  expect(server.polls).toHaveLength(polls);
  freeze(harness);
  const all = await Promise.all(Array.from({ length: 10 }, () => andon.fresh({ maxStaleMs: 5_000 })));
  expect(new Set(all)).toEqual(new Set([true]));
  expect(andon.isEnabled(FLAG)).toBe(false);
  // One for the ten; the loop's own goes on by itself.
  expect(server.polls.slice(polls).filter(({ headers }) => headers["prefer"] === undefined)).toHaveLength(1);
});

test("in an outage the first to ask waits, for its time; those after it go by the last known state at once", async () => {
  const harness = await startParked();
  const { andon, server, runtime } = harness;
  server.inject(() => undefined);
  runtime.freeze(FROZEN_MS);
  const fresh = andon.fresh({ maxStaleMs: 5_000 });
  runtime.advance(999);
  expect(await Promise.race([fresh, Promise.resolve("waiting")])).toBe("waiting");
  runtime.advance(1);
  expect(await fresh).toBe(false);
  const polls = server.polls.length;
  for (let n = 0; n < 5; n += 1) expect(await andon.fresh({ maxStaleMs: 5_000 })).toBe(false);
  expect(server.polls).toHaveLength(polls);
  expect(andon.isEnabled(FLAG)).toBe(true);
  server.recover();
  server.publish(KILLED);
  runtime.freeze(30_000);
  expect(await andon.fresh({ maxStaleMs: 5_000 })).toBe(true);
  expect(andon.isEnabled(FLAG)).toBe(false);
});

test("in an outage of a process that has run all the time, too, only the first to ask waits", async () => {
  const { andon, server, runtime } = await startParked();
  server.inject(() => undefined);
  runtime.advance(FROZEN_MS);
  const fresh = andon.fresh({ maxStaleMs: 5_000 });
  runtime.advance(1_000);
  expect(await fresh).toBe(false);
  for (let n = 0; n < 5; n += 1) expect(await andon.fresh({ maxStaleMs: 5_000 })).toBe(false);
});

test("a client without a server is not fresh, and does not wait", async () => {
  const andon = new Andon(
    { logger: new Follower().logger, bootstrap: KILLED },
    { runtime: new ManualRuntime(), env: {} },
  );
  expect(await andon.fresh({ maxStaleMs: 5_000 })).toBe(false);
  expect(await andon.flush()).toBe(true);
});

test.each(SDKS)("$name: a guard with maxStaleMs finds out about a kill before it decides", async ({ Sdk }) => {
  const endpoint = await startClaudeEndpoint();
  onTestFinished(() => endpoint.close());
  const harness = await startParked();
  const client = makeClient(Sdk, harness.andon, endpoint.url, { maxStaleMs: 5_000 });
  await client.messages.create(ASK);
  freeze(harness);
  expect(isFeatureDisabled(await errorOf(client.messages.create(ASK)))).toBe(true);
  expect(endpoint.calls).toHaveLength(1);
});

test.each(SDKS)("$name: a guard whose client was closed asks first, and goes on by what it knows", async ({ Sdk }) => {
  const endpoint = await startClaudeEndpoint();
  onTestFinished(() => endpoint.close());
  const { andon, server } = await startParked();
  const client = makeClient(Sdk, andon, endpoint.url);
  await client.messages.create(ASK);
  await Promise.all([andon.close(), andon.close()]);
  server.publish(KILLED);
  expect(isFeatureDisabled(await errorOf(client.messages.create(ASK)))).toBe(true);
  expect(endpoint.calls).toHaveLength(1);

  await andon.close();
  await server.close();
  expect(isFeatureDisabled(await errorOf(client.messages.create(ASK)))).toBe(true);
});

test("a client that is evaluated after it was closed polls again", async () => {
  const { andon, server } = await startParked();
  await andon.close();
  server.publish(KILLED);
  expect(andon.isEnabled(FLAG)).toBe(true);
  expect(await andon.ready({ timeoutMs: 1_000_000 })).toBe("live");
  expect(andon.isEnabled(FLAG)).toBe(false);
  await server.until(() => server.parkedCount === 1);
});

test("polls by a fetch are kept by no cache of a framework", async () => {
  const seen: unknown[] = [];
  const noting: FetchLike = (url, init) => {
    seen.push(init.cache);
    return fetch(url, init);
  };
  const { andon } = await startHarness({ fetch: noting });
  expect(await andon.ready({ timeoutMs: 1_000_000 })).toBe("live");
  expect(seen[0]).toBe("no-store");
});

test("where functions of `process` throw, and where there are none outside of a request, a client still works", async () => {
  const server = new UsageServer(KILLED);
  const url = await server.listen();
  onTestFinished(() => server.close());
  for (const name of ["getBuiltinModule", "on", "once", "prependListener", "removeListener"] as const) {
    vi.spyOn(process, name).mockImplementation(unsupported);
  }
  const noTimers = vi.spyOn(globalThis, "setTimeout").mockImplementation(unsupported);
  const noChance = vi.spyOn(crypto, "randomUUID").mockImplementation(unsupported);
  onTestFinished(() => void vi.restoreAllMocks());
  const { lines, logger } = new Follower();
  const andon = new Andon({ url, token: "andon_sdk_test", logger }, { env: {} });
  noTimers.mockRestore();
  noChance.mockRestore();
  andon.report({ flag: FLAG, model: "claude-opus-5-5", usage: { input: 1 } });
  expect(await andon.ready({ timeoutMs: 5_000 })).toBe("live");
  expect(andon.isEnabled(FLAG)).toBe(false);
  await andon.close();
  expect(server.records).toHaveLength(1);
  expect(lines.filter(({ level }) => level === "error")).toEqual([]);
});

function unsupported(): never {
  throw new Error("not supported in the Edge Runtime");
}
