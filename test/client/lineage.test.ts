/** Which state may replace which: never back within a lineage, always on to a new one. */
import { expect, test } from "vitest";
import { Follower, startClient, startHarness } from "./support/harness.ts";
import { ManualRuntime } from "./support/manual-runtime.ts";
import { makeKilled, makeSnapshot } from "./support/snapshots.ts";

test("a new lineage is followed even though its number is lower (a restored backup)", async () => {
  const harness = await startHarness({ snapshot: makeSnapshot("old.900") });
  await harness.passUntil(() => harness.andon.hasState, 0);
  harness.server.publish(makeKilled("new.3"));
  await harness.passUntil(() => !harness.andon.isEnabled("chat"), 0);
  expect(harness.andon.evaluate("chat").revision).toBe("new.3");
});

test("a lower number of the same lineage is refused, and a higher one applied after it", async () => {
  const harness = await startHarness({ snapshot: makeKilled("a.10") });
  await harness.passUntil(() => harness.andon.hasState, 0);
  harness.server.inject((_request, response) => {
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(makeSnapshot("a.9")));
  });
  const { delayMs } = await harness.nextFailure();
  expect(harness.andon.evaluate("chat")).toMatchObject({ enabled: false, revision: "a.10" });
  harness.server.recover();
  harness.server.publish(makeSnapshot("a.11"));
  await harness.pass(delayMs);
  await harness.passUntil(() => harness.andon.isEnabled("chat"), 10_000);
});

test("revisions compare as numbers, not as text", async () => {
  const harness = await startHarness({ snapshot: makeSnapshot("a.9") });
  await harness.passUntil(() => harness.andon.hasState, 0);
  harness.server.publish(makeKilled("a.10"));
  await harness.passUntil(() => !harness.andon.isEnabled("chat"), 0);
});

test("what the server says replaces a bootstrap, whatever their revisions", async () => {
  const harness = await startHarness({ bootstrap: makeSnapshot("a.50"), snapshot: makeKilled("a.7") });
  expect(harness.andon.evaluate("chat")).toMatchObject({ enabled: true, revision: "a.50", staleMs: null });
  await harness.passUntil(() => !harness.andon.isEnabled("chat"), 0);
  expect(harness.server.polls[0]?.headers["if-none-match"]).toBeUndefined();
});

test("a bootstrap that is no snapshot is named in the log and ignored", () => {
  const { lines, logger } = new Follower();
  const andon = startClient({ bootstrap: { ...makeSnapshot("a.1"), revision: "x" }, logger }, new ManualRuntime());
  expect(andon.hasState).toBe(false);
  expect(lines.some((line) => line.level === "error" && line.message.includes('"bootstrap"'))).toBe(true);
});
