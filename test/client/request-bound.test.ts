/**
 * Where nothing runs between two requests, and what one has begun ends with it (Cloudflare Workers; `check:examples` runs the
 * real one): whoever needs newer state asks for it, within the request.
 */
import Anthropic from "@anthropic-ai/sdk";
import { expect, onTestFinished, test } from "vitest";
import { guard, isFeatureDisabled } from "../../sdk-client/src/anthropic.ts";
import { startClaudeEndpoint } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { FLAG, flagOf, snapshotOf } from "../support/guard-snapshots.ts";
import { ASK, errorOf } from "../support/guard-world.ts";
import { until } from "../support/until.ts";
import { type Harness, startHarness } from "./support/harness.ts";
import { ManualRuntime } from "./support/manual-runtime.ts";

const KILLED = snapshotOf({ revision: "a.2", flags: { [FLAG]: flagOf({ state: "off", cause: "manual" }) } });
const POLL_MS = 5_000;

class RequestBoundRuntime extends ManualRuntime {
  readonly isRequestBound = true;
}

const start = (pollIntervalMs = POLL_MS): Promise<Harness> =>
  startHarness({ snapshot: snapshotOf(), runtime: new RequestBoundRuntime(), pollIntervalMs });

/** A client guarded by it, against an endpoint of its own. */
async function startClaude({ andon }: Harness): Promise<{ claude: Anthropic; calls: () => number }> {
  const endpoint = await startClaudeEndpoint();
  onTestFinished(() => endpoint.close());
  const middleware = [guard(andon, { flag: FLAG })];
  const claude = new Anthropic({ apiKey: "test", baseURL: endpoint.url, maxRetries: 0, middleware });
  return { claude, calls: () => endpoint.calls.length };
}

test("nothing is asked until somebody asks, and then no more often than the state is too old", async () => {
  const harness = await start();
  const { andon, server, runtime } = harness;
  const { claude } = await startClaude(harness);
  runtime.advance(60_000);
  expect(server.polls).toHaveLength(0);
  await claude.messages.create(ASK);
  runtime.advance(POLL_MS - 1);
  await claude.messages.create(ASK);
  expect(server.polls).toHaveLength(1);
  server.publish(KILLED);
  runtime.advance(2);
  expect(isFeatureDisabled(await errorOf(claude.messages.create(ASK)))).toBe(true);
  expect(andon.evaluate(FLAG)).toMatchObject({ enabled: false, revision: "a.2" });
  expect(server.polls).toHaveLength(2);
});

test("ready is live by an answer of its own", async () => {
  const { andon } = await start();
  expect(await andon.ready()).toBe("live");
});

test("a question that went with its request is given up, and costs one wait in five seconds; then state is fresh again", async () => {
  const harness = await start();
  const { andon, server, runtime } = harness;
  await andon.ready();
  const ask = async (): Promise<boolean> => {
    const fresh = andon.fresh({ maxStaleMs: 1_000 });
    await Promise.resolve();
    runtime.advance(1_000);
    return fresh;
  };
  server.inject(() => undefined);
  runtime.advance(2_000);
  expect(await ask()).toBe(false);
  expect(await andon.fresh({ maxStaleMs: 1_000 })).toBe(false);
  server.recover();
  runtime.advance(5_000);
  expect(await andon.fresh({ maxStaleMs: 1_000 })).toBe(true);
});

test("a running call asks for itself, and ends when its flag was killed", async () => {
  const harness = await start(100);
  const { server, runtime } = harness;
  const endpoint = await startClaudeEndpoint();
  onTestFinished(() => endpoint.close());
  endpoint.behave("*", { kind: "hang", after: "headers" });
  const middleware = [guard(harness.andon, { flag: FLAG })];
  const claude = new Anthropic({ apiKey: "test", baseURL: endpoint.url, maxRetries: 0, middleware });
  const error = errorOf(
    claude.messages.create({ ...ASK, stream: true }).then(async (stream) => {
      for await (const _ of stream);
    }),
  );
  await until("the call", () => endpoint.calls[0]);
  server.publish(KILLED);
  runtime.advance(200);
  expect(isFeatureDisabled(await error)).toBe(true);
});
