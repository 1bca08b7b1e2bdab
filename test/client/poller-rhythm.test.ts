/** When the client polls: at once after news and after parked polls, never in a hot loop, whatever the clocks do. */
import { expect, test } from "vitest";
import { startHarness, TOKEN } from "./support/harness.ts";
import { ManualRuntime } from "./support/manual-runtime.ts";
import { makeKilled, makeSnapshot } from "./support/snapshots.ts";
import { SDK_NAME } from "../../sdk-client/src/version.ts";

test("the first poll says who asks and is not parked; the next is the receipt and asks to be parked", async () => {
  const { server } = await startHarness({ app: "shop" });
  await server.until(() => server.polls.length === 2);
  const [first, second] = server.polls;
  expect(first?.path).toBe("/sdk/v1/snapshot");
  expect(first?.headers).toMatchObject({
    authorization: `Bearer ${TOKEN}`,
    "andon-instance": "instance-1",
    "andon-app": "shop",
    "andon-sdk": SDK_NAME,
  });
  expect(first?.headers["if-none-match"]).toBeUndefined();
  expect(first?.headers["prefer"]).toBeUndefined();
  expect(second?.headers["if-none-match"]).toBe('"a.1"');
  expect(second?.headers["prefer"]).toBe("wait=25");
});

test("a change reaches a parked client at once, and its receipt follows without a pause", async () => {
  const { andon, runtime, server } = await startHarness();
  await server.until(() => server.parkedCount === 1);
  server.publish(makeKilled("a.2"));
  await server.until(() => server.parkedCount === 1 && server.polls.at(-1)?.headers["if-none-match"] === '"a.2"');
  expect(andon.isEnabled("chat")).toBe(false);
  expect(runtime.monotonicMs()).toBe(1_000);
});

test("a poll whose parking time is up is followed by the next at once", async () => {
  const harness = await startHarness();
  const { runtime, server } = harness;
  await harness.nextPolled();
  await server.until(() => server.parkedCount === 1);
  runtime.advance(24_000);
  server.expireParked();
  expect(await harness.nextPolled()).toEqual({ outcome: "unchanged", delayMs: 0 });
});

test("a server that answers at once in spite of Prefer is polled once per interval", async () => {
  const harness = await startHarness({ pollIntervalMs: 5_000 });
  harness.server.parks = false;
  await harness.nextPolled();
  for (let polls = 0; polls < 5; polls++) {
    const { delayMs } = await harness.nextPolled();
    expect(delayMs).toBeGreaterThanOrEqual(4_500);
    expect(delayMs).toBeLessThanOrEqual(5_000);
    await harness.pass(delayMs);
  }
});

test("a server that has lost its database parks nobody: the next polls come soon, to find another one, and not for ever", async () => {
  const harness = await startHarness({ pollIntervalMs: 5_000 });
  let stale = true;
  await harness.server.until(() => harness.server.parkedCount === 1);
  harness.server.inject((_request, response) => {
    response.writeHead(304, { etag: '"a.1"', ...(stale && { "andon-stale": "4" }) }).end();
  });
  const delays = async (count: number): Promise<number[]> => {
    const seen: number[] = [];
    while (seen.length < count) {
      const { delayMs } = await harness.nextPolled();
      if (delayMs > 0) seen.push(delayMs);
      await harness.pass(delayMs);
    }
    return seen;
  };
  const [soon, later] = [await delays(6), await delays(3)];
  expect(soon.every((delayMs) => delayMs >= 900 && delayMs <= 1_000)).toBe(true);
  expect(later.every((delayMs) => delayMs >= 4_500 && delayMs <= 5_000)).toBe(true);
  stale = false;
  await delays(2);
  stale = true;
  // The first may be under way already.
  const [, ...again] = await delays(7);
  expect(Math.max(...again), "once there was one that knows more").toBeLessThanOrEqual(1_000);
});

test("without parking the receipt is sent at once and then an interval passes", async () => {
  const harness = await startHarness({ pollIntervalMs: 5_000, waitSeconds: 0 });
  expect(await harness.nextPolled()).toEqual({ outcome: "snapshot", delayMs: 0 });
  const receipt = await harness.nextPolled();
  expect(receipt.outcome).toBe("unchanged");
  expect(receipt.delayMs).toBeGreaterThanOrEqual(4_500);
  expect(harness.server.polls.every((poll) => poll.headers["prefer"] === undefined)).toBe(true);
});

test("a server that ignores If-None-Match is polled once per interval", async () => {
  const harness = await startHarness({ pollIntervalMs: 5_000 });
  harness.server.inject((_request, response) => {
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(makeSnapshot("a.1")));
  });
  const delays: number[] = [];
  while (delays.length < 4) {
    const { delayMs } = await harness.nextPolled();
    delays.push(delayMs);
    await harness.pass(delayMs);
  }
  expect(Math.min(...delays.slice(2))).toBeGreaterThanOrEqual(4_500);
});

test("news without end does not make a hot loop: after twenty polls each is followed by a pause", async () => {
  const harness = await startHarness();
  let revision = 1;
  harness.server.inject((_request, response) => {
    revision += 1;
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(makeSnapshot(`a.${revision}`)));
  });
  const delays: number[] = [];
  while (delays.length < 30) {
    const { delayMs } = await harness.nextPolled();
    delays.push(delayMs);
    await harness.pass(delayMs);
  }
  expect(delays.slice(22).every((delayMs) => delayMs === 100)).toBe(true);
});

for (const jumpMs of [-3_600_000, 3_600_000, -10 * 365 * 86_400_000, 10 * 365 * 86_400_000]) {
  test(`a jump of the wall clock by ${jumpMs / 3_600_000} h neither stalls nor bursts polling, and a kill arrives`, async () => {
    const runtime = new ManualRuntime();
    const harness = await startHarness({ runtime, pollIntervalMs: 5_000, waitSeconds: 0 });
    await harness.nextPolled();
    for (let polls = 0; polls < 3; polls++) {
      const { delayMs } = await harness.nextPolled();
      expect(delayMs).toBeGreaterThanOrEqual(4_500);
      expect(delayMs).toBeLessThanOrEqual(5_000);
      runtime.jumpWallClock(jumpMs);
      expect(harness.andon.evaluate("chat").staleMs).toBeLessThanOrEqual(5_000);
      await harness.pass(delayMs);
    }
    harness.server.publish(makeKilled("a.2"));
    runtime.jumpWallClock(-2 * jumpMs);
    await harness.passUntil(() => !harness.andon.isEnabled("chat"), 10_000);
  });
}

test("after a failure the first poll is not parked, so that contact is known at once", async () => {
  const harness = await startHarness();
  const { server } = harness;
  await server.until(() => server.parkedCount === 1);
  server.inject((_request, response) => response.writeHead(503).end());
  const { delayMs } = await harness.nextFailure();
  server.recover();
  const before = server.polls.length;
  await harness.pass(delayMs);
  expect(await harness.nextPolled()).toEqual({ outcome: "unchanged", delayMs: 0 });
  await server.until(() => server.polls.length === before + 2);
  const [probe, next] = server.polls.slice(before);
  expect(probe?.headers["prefer"]).toBeUndefined();
  expect(next?.headers["prefer"]).toBe("wait=25");
});

test("an outage is logged once per cause, and its end too", async () => {
  const harness = await startHarness();
  harness.server.inject((_request, response) => response.writeHead(503).end());
  for (let failures = 0; failures < 4; failures++) await harness.pass((await harness.nextFailure()).delayMs);
  harness.server.recover();
  await harness.passUntil(() => harness.andon.hasState, 30_000);
  const warnings = harness.lines.filter((line) => line.level === "warn");
  expect(warnings).toHaveLength(1);
  expect(warnings[0]?.fields).toMatchObject({ cause: "status 503" });
  expect(harness.lines.filter((line) => line.message === "Andon answers again")).toHaveLength(1);
});
