/** Closing: ends polling, tells the server, always resolves, leaves decisions working and nothing behind. */
import { expect, test } from "vitest";
import { Andon } from "../../sdk-client/src/index.ts";
import { Follower, startHarness } from "./support/harness.ts";
import { ManualRuntime } from "./support/manual-runtime.ts";
import { makeKilled } from "./support/snapshots.ts";

test("close aborts the parked poll, tells the server and stops polling; the last state decides on", async () => {
  const { andon, runtime, server } = await startHarness({ snapshot: makeKilled("a.1") });
  await server.until(() => server.parkedCount === 1);
  await Promise.all([andon.close(), andon.close()]);
  const farewells = server.requests.filter((request) => request.method === "DELETE");
  expect(farewells).toHaveLength(1);
  expect(farewells[0]?.path).toBe("/sdk/v1/instance");
  expect(farewells[0]?.headers["andon-instance"]).toBe("instance-1");
  const polls = server.polls.length;
  runtime.advance(600_000);
  expect(runtime.timerCount).toBe(0);
  expect(server.polls).toHaveLength(polls);
  expect(andon.isEnabled("chat")).toBe(false);
});

test("close resolves within a second when the server hangs", async () => {
  const harness = await startHarness();
  const { andon, server } = harness;
  await harness.passUntil(() => andon.hasState, 0);
  server.inject(() => undefined);
  const closed = andon.close();
  await server.until(() => server.requests.at(-1)?.method === "DELETE");
  await harness.pass(1_000);
  await closed;
  expect(harness.runtime.timerCount).toBe(0);
});

test("close resolves when the server is away, between two polls, and with nothing to close", async () => {
  const harness = await startHarness();
  harness.server.inject((request) => request.socket.destroy());
  await harness.nextFailure();
  await harness.server.close();
  await harness.andon.close();
  expect(harness.runtime.timerCount).toBe(0);

  const idle = new Andon({ logger: new Follower().logger }, { runtime: new ManualRuntime(), env: {} });
  await idle.close();
});
