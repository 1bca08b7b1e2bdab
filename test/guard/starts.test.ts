/** Under a budget that trips, a call begins when the server knows what it can cost, or has granted credit for it. */
import Anthropic from "@anthropic-ai/sdk";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { isFeatureDisabled } from "../../sdk-client/src/anthropic.ts";
import type { SnapshotBudget } from "../../sdk-client/src/wire/protocol.ts";
import { FLAG, flagOf } from "../support/guard-snapshots.ts";
import { ASK, errorOf, gate } from "../support/guard-world.ts";
import { until } from "../support/until.ts";
import { startUsageWorld, type UsageWorld } from "../support/usage-world.ts";

/** Of claude-opus-5-5. */
const OUTPUT_NANO_USD = 20_000;
const INPUT_NANO_USD = 4_000;

/** How long calls wait for a state that an answer told of. */
const STATE_WAIT_MS = 2_000;
const QUESTION_CHARS = ASK.messages.reduce((sum, { content }) => sum + content.length, 0);

const BUDGET: SnapshotBudget = {
  id: "b",
  name: "Daily",
  flag: FLAG,
  enforcement: "trip",
  onUnavailable: "allow",
  reserveWaitMs: 2_000,
  minTokens: 256,
};

let world: UsageWorld;

/** A client that reports by itself once a minute: whatever comes sooner was sent at once. */
beforeEach(async () => {
  world = await startUsageWorld({ flushIntervalMs: 60_000 });
});

async function limited(budget: Partial<SnapshotBudget> = {}): Promise<ReturnType<UsageWorld["client"]>> {
  const client = world.client(Anthropic, { maxRetries: 0 });
  const reports = world.server.reports.length;
  await world.change({ budgets: [{ ...BUDGET, ...budget }] });
  await until("a first report", () => world.server.counted.size > reports);
  return client;
}

const running = (): (number | undefined)[] => world.server.reports.map(({ runningNanoUsd }) => runningNanoUsd?.[FLAG]);

describe("without credit", () => {
  it("no call is sent before the server has counted a report with its worst case, which comes at once", async () => {
    const client = await limited();
    const answering = gate();
    world.server.held = answering.opened;
    const asked = client.messages.create(ASK);
    const told = await until("the report of it", () => running().find((nanoUsd) => (nanoUsd ?? 0) > 0));
    const bytes = JSON.stringify({ ...ASK }).length;
    expect(told).toBeGreaterThanOrEqual(ASK.max_tokens * OUTPUT_NANO_USD + QUESTION_CHARS * INPUT_NANO_USD);
    expect(told).toBeLessThanOrEqual(ASK.max_tokens * OUTPUT_NANO_USD + (bytes + 100) * INPUT_NANO_USD);
    expect(world.endpoint.calls).toEqual([]);
    answering.open();
    await asked;
    // Its end is reported at once as well: near the limit it counts before anything else begins.
    await until("its end to be told", () => running().at(-1) === 0);
    expect(world.server.records).toHaveLength(1);
  });

  it("no message batch is submitted before the server has counted a report with its estimate, and then it is spent", async () => {
    const client = await limited();
    const answering = gate();
    world.server.held = answering.opened;
    const asked = client.messages.batches.create({
      requests: [{ custom_id: "a", params: { ...ASK, max_tokens: 10_000 } }],
    });
    const told = await until("the report of it", () => running().find((nanoUsd) => (nanoUsd ?? 0) > 0));
    expect(told).toBeGreaterThanOrEqual((10_000 * OUTPUT_NANO_USD) / 2);
    expect(told).toBeLessThanOrEqual((10_000 * OUTPUT_NANO_USD + 500 * INPUT_NANO_USD) / 2);
    expect(world.endpoint.calls).toEqual([]);
    answering.open();
    await asked;
    await until("its end to be told", () => running().at(-1) === 0);
    expect(world.server.records).toMatchObject([{ part: "batch", exact: false, batch: true }]);
  });

  it("agents of 64,000 tokens begin too, however small the credit, and many at once wait for one answer", async () => {
    const client = await limited();
    world.server.credits = [{ budgetId: "b", nanoUsd: 1 }];
    const before = world.server.reports.length;
    const agent = { ...ASK, max_tokens: 64_000, stream: true as const };
    const streams = await Promise.all(Array.from({ length: 20 }, () => client.messages.create(agent)));
    const most = Math.max(...running().map((nanoUsd) => nanoUsd ?? 0));
    expect(most).toBeGreaterThanOrEqual(20 * 64_000 * OUTPUT_NANO_USD);
    expect(world.server.reports.slice(before).filter(({ records }) => records.length === 0).length).toBeLessThanOrEqual(
      3,
    );
    for (const stream of streams) for await (const event of stream) void event;
    await until("their end to be told", () => running().at(-1) === 0);
  });

  it("a call that waits when its flag trips is refused and never sent", async () => {
    const client = await limited();
    world.server.revision = "a.3";
    const refused = errorOf(client.messages.create(ASK));
    await until("it to be told", () => (running().at(-1) ?? 0) > 0);
    await world.change({ flags: { [FLAG]: flagOf({ state: "off", cause: "budget" }) } });
    expect(isFeatureDisabled(await refused)).toBe(true);
    expect(world.endpoint.calls).toEqual([]);
  });

  it("an abort ends the wait at once, and nothing of it runs on", async () => {
    const client = await limited();
    const answering = gate();
    world.server.held = answering.opened;
    const abort = new AbortController();
    const failed = errorOf(client.messages.create(ASK, { signal: abort.signal }));
    await until("it to be told", () => (running().at(-1) ?? 0) > 0);
    abort.abort();
    await failed;
    answering.open();
    world.server.held = Promise.resolve();
    await world.andon.flush();
    await world.client(Anthropic).messages.create(ASK);
    await until("nothing to run", () => running().at(-1) === 0);
    expect(world.endpoint.calls).toHaveLength(1);
  });
});

describe("a call that waits for the state it was counted by, past its deadline,", () => {
  it.each([
    ["a message", (client: Anthropic) => client.messages.create(ASK)],
    [
      "a message batch",
      (client: Anthropic) => client.messages.batches.create({ requests: [{ custom_id: "a", params: ASK }] }),
    ],
  ])("fails by then, is decided no more than twice and not sent: %s", async (_, ask) => {
    await limited();
    world.server.revision = "a.99";
    const before = world.server.reports.length;
    const client = world.client(Anthropic, { maxRetries: 0, deadlineMs: 100 });
    const askedMs = performance.now();
    expect(await errorOf(ask(client))).toMatchObject({ code: "ANDON_DEADLINE" });
    expect(performance.now() - askedMs).toBeLessThan(STATE_WAIT_MS);
    await world.andon.flush();
    const checks = world.server.reports.slice(before).map((report) => report.checks?.[FLAG]?.on ?? 0);
    expect(checks.reduce((sum, on) => sum + on, 0)).toBeLessThanOrEqual(2);
    expect(world.endpoint.calls).toEqual([]);
  });
});

it("on credit a call waits for nobody", async () => {
  world.server.credits = [{ budgetId: "b", nanoUsd: 1e9 }];
  const client = await limited();
  const answering = gate();
  world.server.held = answering.opened;
  await client.messages.create(ASK);
  expect(world.endpoint.calls).toHaveLength(1);
  answering.open();
});

it("credit is for the calls between two answers together: the one beyond it is told of first", async () => {
  const one = ASK.max_tokens * OUTPUT_NANO_USD;
  world.server.credits = [{ budgetId: "b", nanoUsd: 2 * one }];
  const client = await limited();
  const answering = gate();
  world.server.held = answering.opened;
  const streaming = { ...ASK, stream: true as const };
  world.endpoint.behave("*", { kind: "answer", hold: { beforeToken: 0, until: answering.opened } });
  const asked = Array.from({ length: 3 }, () => client.messages.create(streaming));
  await until("the report of the third", () => (running().at(-1) ?? 0) > 2 * one);
  expect(world.endpoint.calls.length).toBeLessThan(3);
  answering.open();
  for (const stream of await Promise.all(asked)) for await (const event of stream) void event;
  expect(world.endpoint.calls).toHaveLength(3);
});

it("what a stream told of its prompt is what it can still cost", async () => {
  world.server.credits = [{ budgetId: "b", nanoUsd: 1e9 }];
  const client = await limited();
  const answering = gate();
  const usage = { input: 3, cacheRead: 0, cacheWrite5m: 0, cacheWrite1h: 0, webSearches: 0 };
  world.endpoint.behave("*", { kind: "answer", usage, hold: { beforeToken: 1, until: answering.opened } });
  const long = { ...ASK, messages: [{ role: "user" as const, content: "x".repeat(10_000) }], stream: true as const };
  const stream = await client.messages.create(long);
  await world.andon.flush();
  world.andon.report({ flag: FLAG, model: "claude-opus-5-5", usage });
  await world.andon.flush();
  expect(running().at(-1)).toBe(ASK.max_tokens * OUTPUT_NANO_USD + 3 * INPUT_NANO_USD);
  answering.open();
  for await (const event of stream) void event;
});

describe("while the server does not answer", () => {
  it("calls go on after 300 ms, the next at once, and it is told of them when it answers again", async () => {
    const client = await limited();
    const answering = gate();
    world.server.held = answering.opened;
    const askedMs = performance.now();
    await client.messages.create(ASK);
    expect(performance.now() - askedMs).toBeGreaterThanOrEqual(290);
    await client.messages.create(ASK);
    answering.open();
    const told = await until("what began alone", () =>
      world.server.reports
        .map(({ unansweredNanoUsd }) => unansweredNanoUsd?.[FLAG])
        .find((nanoUsd) => nanoUsd !== undefined),
    );
    expect(told).toBeGreaterThanOrEqual(2 * ASK.max_tokens * OUTPUT_NANO_USD);
  });

  it("a call waits no longer because an earlier report, which tells nothing of it, is not answered", async () => {
    const client = await limited();
    const answering = gate();
    world.server.held = answering.opened;
    const before = world.server.reports.length;
    world.andon.report({ flag: FLAG, model: ASK.model, usage: { input: 1 } });
    const flushed = world.andon.flush();
    await until("a report of usage alone", () => world.server.reports.length > before);
    await client.messages.create(ASK);
    expect(world.server.reports.slice(before).every(({ runningNanoUsd }) => runningNanoUsd?.[FLAG] === 0)).toBe(true);
    answering.open();
    await flushed;
  });

  it("nor while reports fail", async () => {
    const client = await limited();
    const before = world.server.reports.length;
    world.server.fate = 503;
    world.andon.report({ flag: FLAG, model: ASK.model, usage: { input: 1 } });
    expect(await world.andon.flush()).toBe(false);
    await client.messages.create(ASK);
    expect(world.server.reports.slice(before).every(({ runningNanoUsd }) => runningNanoUsd?.[FLAG] === 0)).toBe(true);
    world.server.fate = "count";
  });

  it("a budget that denies then has them refused", async () => {
    const client = await limited({ onUnavailable: "deny" });
    const answering = gate();
    world.server.held = answering.opened;
    for (let call = 0; call < 2; call += 1) {
      expect(await errorOf(client.messages.create(ASK))).toMatchObject({ reason: "BUDGET" });
    }
    expect(world.endpoint.calls).toEqual([]);
    answering.open();
  });
});

it("an answer that tells of a newer state holds no process while no call waits for it", async () => {
  const client = await limited();
  world.server.credits = [{ budgetId: "b", nanoUsd: 1e9 }];
  await client.messages.create(ASK);
  world.server.revision = "a.99";
  const timers = vi.spyOn(globalThis, "setTimeout");
  try {
    await world.andon.flush();
    // The flush itself has a timer of that length.
    expect(timers.mock.calls.filter(([, ms]) => ms === STATE_WAIT_MS)).toHaveLength(1);
  } finally {
    timers.mockRestore();
  }
});

it("without a budget that trips nothing waits and nothing is told", async () => {
  await world.change({ budgets: [{ ...BUDGET, enforcement: "reserve", flag: "another" }] });
  await world.client(Anthropic).messages.create(ASK);
  await world.finish();
  expect(running()).toEqual(world.server.reports.map(() => undefined));
  expect(world.endpoint.calls).toHaveLength(1);
});
