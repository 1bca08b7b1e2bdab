/** A model fails for a whole fleet: real clients step down together, probe it with few calls, and come back by themselves. */
import Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Andon } from "../../sdk-client/src/andon.ts";
import { systemRuntime } from "../../sdk-client/src/runtime.ts";
import { guard } from "../../sdk-client/src/anthropic.ts";
import {
  type ClaudeEndpoint,
  OVERLOADED,
  startClaudeEndpoint,
} from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { BREAKER } from "../../src/domain/actor.ts";
import { runBreakers } from "../../src/services/models/breakers.ts";
import { FakeClock } from "../support/clock.ts";
import { HAIKU, OPUS, SONNET } from "../support/guard-snapshots.ts";
import { ASK, SILENT } from "../support/guard-world.ts";
import { makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const P = "/v1/environments/production";
const clock = new FakeClock(Date.now());
let server: TestServer;
let endpoint: ClaudeEndpoint;
let fleet: Andon[];

beforeAll(async () => {
  [server, endpoint] = await Promise.all([startTestServer({ clock }), startClaudeEndpoint()]);
  await server.api("PUT", `${P}/chains/main`, { steps: [{ model: OPUS }, { model: SONNET }, { model: HAIKU }] });
  await server.api("PUT", `${P}/chains/alone`, { steps: [{ model: OPUS }] });
  await server.api("POST", `${P}/flags`, { key: "support-chat", name: "Support chat", chain: "main" });
  await server.api("POST", `${P}/flags`, { key: "deep-think", name: "Deep think", chain: "alone" });
  const token = await makeToken(server.deps, { kind: "sdk" });
  fleet = Array.from({ length: 5 }, (_, n) => {
    // The clock that the test moves takes the server's parked polls along.
    const options = {
      url: server.url,
      token,
      logger: SILENT,
      flushIntervalMs: 50,
      pollIntervalMs: 100,
      instance: `host-${n}`,
    };
    return new Andon(options, { env: {}, runtime: { ...systemRuntime, nowMs: () => clock.nowMs() } });
  });
  await Promise.all(fleet.map((andon) => andon.ready()));
}, 60_000);
afterAll(async () => {
  await Promise.all(fleet.map((andon) => andon.close()));
  await Promise.all([server.close(), endpoint.close()]);
});

/** Guards that have not been called yet: their own breakers are closed. */
function clients(flag = "support-chat"): Anthropic[] {
  return fleet.map((andon) => {
    const middleware = [guard(andon, { flag })];
    return new Anthropic({ apiKey: "test", baseURL: endpoint.url, middleware, maxRetries: 0 });
  });
}

/** One call of each; which models the endpoint was asked for meanwhile. */
async function round(of: readonly Anthropic[]): Promise<string[]> {
  const before = endpoint.calls.length;
  await Promise.all(of.map((client) => client.messages.create(ASK)));
  return endpoint.calls.slice(before).map(({ model }) => model);
}

async function turn(): Promise<void> {
  const { deps } = server;
  const environmentId = deps.snapshots.environmentByKey("production")?.environmentId ?? "";
  await runBreakers({ actor: BREAKER, requestId: deps.newId(), deps }, environmentId);
}

const served = () => server.deps.snapshots.environmentByKey("production")?.snapshot.breakers?.[0]?.probeShare;
const allApplied = () => {
  const { revision } = server.deps.snapshots.environmentByKey("production") ?? {};
  return fleet.every((andon) => andon.evaluate("support-chat").revision === revision);
};
const settled = (share: number | undefined) =>
  until(`the share of probes is ${share}, everywhere`, async () => {
    await turn();
    return served() === share && allApplied();
  });

it("is sent by none while it is out, by few as probes, and by all when these are answered", async () => {
  endpoint.behave(OPUS, OVERLOADED);
  const first = clients();
  for (let n = 0; n < 5; n += 1) await round(first);
  await settled(0);
  expect(fleet.map((andon) => andon.evaluate("support-chat").models)).toEqual(fleet.map(() => [SONNET, HAIKU]));
  for (let n = 0; n < 3; n += 1) expect(new Set(await round(clients()))).toEqual(new Set([SONNET]));

  // A chain that has no other model is never without one.
  endpoint.behave(OPUS, { kind: "answer" });
  expect(await round(clients("deep-think"))).toEqual(fleet.map(() => OPUS));
  endpoint.behave(OPUS, OVERLOADED);

  clock.advance(30_000);
  await settled(0.5);
  const probing = clients();
  let asked: string[] = [];
  while (asked.filter((model) => model === OPUS).length < 2) asked = [...asked, ...(await round(probing))];
  expect(asked).toContain(SONNET);
  await settled(0);

  endpoint.behave(OPUS, { kind: "answer" });
  clock.advance(60_000);
  await settled(0.5);
  const recovering = clients();
  await until("it is back", async () => {
    if (served() !== undefined) await round(recovering);
    await turn();
    return served() === undefined && allApplied();
  });
  expect(new Set(await round(clients()))).toEqual(new Set([OPUS]));
});
