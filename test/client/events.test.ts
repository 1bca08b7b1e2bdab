/** News for the application: change, trip, stale, live; and the age of what decides. */
import { expect, test } from "vitest";
import type { AndonEvents } from "../../sdk-client/src/index.ts";
import { startHarness, type Harness } from "./support/harness.ts";
import { makeFlag, makeKilled, makeSnapshot } from "./support/snapshots.ts";

function collect<Event extends keyof AndonEvents>(harness: Harness, event: Event): AndonEvents[Event][] {
  const seen: AndonEvents[Event][] = [];
  harness.andon.on(event, (details) => seen.push(details));
  return seen;
}

const tripped = makeFlag({ state: "off", cause: "budget" });

test("change names the revision that decides now and the one before", async () => {
  const harness = await startHarness();
  const changes = collect(harness, "change");
  await harness.passUntil(() => changes.length === 1, 0);
  harness.server.publish(makeKilled("a.2"));
  await harness.passUntil(() => changes.length === 2, 0);
  expect(changes).toEqual([
    { revision: "a.1", previous: null },
    { revision: "a.2", previous: "a.1" },
  ]);
});

test("listeners already see the new state, those of the guard first", async () => {
  const harness = await startHarness({ snapshot: makeKilled("a.1") });
  const seen: string[] = [];
  harness.andon.on("change", () => seen.push(`change ${harness.andon.isEnabled("chat")}`));
  harness.andon.onApplied(() => seen.push(`applied ${harness.andon.isEnabled("chat")}`));
  await harness.passUntil(() => seen.length === 2, 0);
  expect(seen).toEqual(["applied false", "change false"]);
});

test("trip is told once for each flag that a budget newly switches off", async () => {
  const flags = { chat: makeFlag(), old: tripped, killed: makeFlag({ state: "off", cause: "manual" }) };
  const harness = await startHarness({ snapshot: makeSnapshot("a.1", { flags }) });
  const trips = collect(harness, "trip");
  await harness.passUntil(() => harness.andon.hasState, 0);
  harness.server.publish(makeSnapshot("a.2", { flags: { ...flags, chat: tripped, added: tripped, killed: tripped } }));
  await harness.passUntil(() => harness.andon.evaluate("chat").revision === "a.2", 0);
  harness.server.publish(makeSnapshot("a.3", { flags: { chat: tripped, old: tripped } }));
  await harness.passUntil(() => harness.andon.evaluate("chat").revision === "a.3", 0);
  expect(trips.map((trip) => trip.flag).toSorted()).toEqual(["added", "chat", "killed"]);
  expect(trips.every((trip) => trip.revision === "a.2")).toBe(true);
});

test("stale is told once when contact is lost for too long, live when it is back; decisions go on", async () => {
  const harness = await startHarness({ pollIntervalMs: 5_000, waitSeconds: 25 });
  const { andon, server } = harness;
  const [stale, live] = [collect(harness, "stale"), collect(harness, "live")];
  await server.until(() => server.parkedCount === 1);
  await harness.passUntil(() => andon.hasState, 0);
  server.inject((request) => request.socket.destroy());
  let passedMs = 0;
  while (passedMs < 120_000) {
    const { delayMs } = await harness.nextFailure();
    if (passedMs + delayMs < 40_000) expect(stale).toEqual([]);
    passedMs += delayMs;
    await harness.pass(delayMs);
  }
  expect(stale).toEqual([{ staleMs: 40_000, revision: "a.1" }]);
  expect(andon.evaluate("chat")).toMatchObject({ enabled: true, reason: "ON", revision: "a.1" });
  expect(andon.evaluate("chat").staleMs).toBeGreaterThanOrEqual(passedMs);
  expect(live).toEqual([]);

  server.recover();
  await harness.passUntil(() => live.length > 0, 60_000);
  expect(live).toEqual([{ revision: "a.1" }]);
  expect(andon.evaluate("chat").staleMs).toBeLessThan(1_000);
});

test("a poll that is parked to its end does not make the state stale", async () => {
  const harness = await startHarness({ pollIntervalMs: 5_000, waitSeconds: 25 });
  const stale = collect(harness, "stale");
  await harness.nextPolled();
  for (let polls = 0; polls < 4; polls++) {
    await harness.server.until(() => harness.server.parkedCount === 1);
    await harness.pass(25_000);
    harness.server.expireParked();
    await harness.nextPolled();
  }
  expect(stale).toEqual([]);
});

test("never any contact is stale too, of unknown age", async () => {
  const harness = await startHarness({ pollIntervalMs: 1_000, waitSeconds: 0 });
  harness.server.inject((request) => request.socket.destroy());
  const stale = collect(harness, "stale");
  while (stale.length === 0) await harness.pass((await harness.nextFailure()).delayMs);
  expect(stale).toEqual([{ staleMs: null, revision: null }]);
});

test("a server that is itself cut off says how long, and its age counts", async () => {
  const harness = await startHarness();
  const { andon, server } = harness;
  const [stale, live] = [collect(harness, "stale"), collect(harness, "live")];
  server.headers = { "andon-stale": "7" };
  await andon.ready({ timeoutMs: 1_000_000 });
  expect(andon.evaluate("chat").staleMs).toBe(7_000);
  server.headers = { "andon-stale": "300" };
  server.publish(makeSnapshot("a.2"));
  await harness.passUntil(() => stale.length > 0, 0);
  expect(stale).toEqual([{ staleMs: 300_000, revision: "a.2" }]);
  server.headers = { "andon-stale": "nonsense" };
  server.publish(makeSnapshot("a.3"));
  await harness.passUntil(() => live.length > 0, 0);
  expect(andon.evaluate("chat").staleMs).toBe(0);
});

test("a listener that throws hurts neither the others nor the polling", async () => {
  const harness = await startHarness();
  harness.andon.on("change", fail);
  harness.andon.onApplied(fail);
  const changes = collect(harness, "change");
  await harness.passUntil(() => changes.length === 1, 0);
  harness.server.publish(makeKilled("a.2"));
  await harness.passUntil(() => changes.length === 2, 0);
  expect(harness.lines.filter((line) => line.message === "A listener of Andon threw")).toHaveLength(4);
});

test("who unsubscribed hears nothing", async () => {
  const harness = await startHarness();
  const seen: unknown[] = [];
  const listener = (details: unknown): unknown => seen.push(details);
  harness.andon.on("change", listener).off("change", listener);
  harness.andon.onApplied(() => seen.push("applied"))();
  await harness.passUntil(() => harness.andon.hasState, 0);
  expect(seen).toEqual([]);
});

test("the guard's view: flag, chain and blocks of the current state", async () => {
  const steps = [{ model: "claude-opus-5-5" }, { model: "claude-haiku-4-5", maxTokens: 100 }];
  const harness = await startHarness({
    snapshot: makeSnapshot("a.1", {
      flags: { chat: makeFlag({ chain: "main", abortInFlight: true }), plain: makeFlag() },
      chains: { main: { steps } },
      blockedModels: ["claude-haiku-4-5"],
    }),
  });
  const { andon } = harness;
  expect(andon.hasState).toBe(false);
  expect(andon.flag("chat")).toBeUndefined();
  await andon.ready({ timeoutMs: 1_000_000 });
  expect(andon.hasState).toBe(true);
  expect(andon.flag("chat")?.abortInFlight).toBe(true);
  expect(andon.flag("constructor")).toBeUndefined();
  expect(andon.chain("chat")).toEqual(steps);
  expect(andon.chain("plain")).toEqual([]);
  expect(andon.chain("nowhere")).toEqual([]);
  expect(andon.isBlocked("us.anthropic.claude-haiku-4-5-20251001-v1:0")).toBe(true);
  expect(andon.isBlocked("claude-opus-5-5")).toBe(false);
});

function fail(): never {
  throw new Error("listener");
}
