/** Both HTTP clients: the default one and a `fetch` of the application behave alike where it matters. */
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { startHarness, TOKEN } from "./support/harness.ts";
import { makeKilled, makeSnapshot } from "./support/snapshots.ts";

const clients = [
  ["the default HTTP client", undefined],
  ["the global fetch", globalThis.fetch],
] as const;

for (const [name, fetch] of clients) {
  test(`${name}: snapshot, receipt, parked poll, kill, close`, async () => {
    const harness = await startHarness({ fetch });
    const { andon, server } = harness;
    await server.until(() => server.parkedCount === 1);
    server.publish(makeKilled("a.2"));
    await harness.passUntil(() => !andon.isEnabled("chat"), 0);
    await server.until(() => server.parkedCount === 1);
    await andon.close();
    expect(server.requests.at(-1)?.method).toBe("DELETE");
  });

  test(`${name}: a compressed snapshot is read`, async () => {
    const harness = await startHarness({ fetch });
    harness.server.inject((_request, response) => {
      response.writeHead(200, { "content-type": "application/json", "content-encoding": "gzip" });
      response.end(gzipSync(JSON.stringify(makeKilled("a.3"))));
    });
    await harness.passUntil(() => !harness.andon.isEnabled("chat"), 60_000);
  });

  test(`${name}: a body that unpacks beyond the bound is refused`, async () => {
    const harness = await startHarness({ fetch });
    await harness.passUntil(() => harness.andon.hasState, 0);
    const bomb = gzipSync(Buffer.alloc(9 * 1024 * 1024, " "));
    harness.server.inject((_request, response) => {
      response.writeHead(200, { "content-type": "application/json", "content-encoding": "gzip" }).end(bomb);
    });
    await harness.nextFailure();
    expect(harness.lines.some((line) => JSON.stringify(line.fields).includes("exceeds"))).toBe(true);
  });

  test(`${name}: a redirect is not followed, so the token stays on its host`, async () => {
    const harness = await startHarness({ fetch });
    const other = await startHarness();
    await other.andon.close();
    const before = other.server.requests.length;
    harness.server.inject((_request, response) => response.writeHead(307, { location: other.url }).end());
    await harness.nextFailure();
    await harness.pass(1_000);
    await harness.nextFailure();
    expect(other.server.requests).toHaveLength(before);
  });
}

test("a server that closes idle connections is no failure", async () => {
  const harness = await startHarness({ waitSeconds: 0, pollIntervalMs: 5_000 });
  const { server } = harness;
  await harness.passUntil(() => harness.andon.hasState, 0);
  for (let polls = 0; polls < 5; polls++) {
    const { outcome, delayMs } = await harness.nextPolled();
    expect(outcome).toBe("unchanged");
    server.closeIdleConnections();
    await harness.pass(delayMs);
  }
});

test("a fetch that heeds no signal and never answers does not stall polling", async () => {
  let calls = 0;
  const fetch = (): Promise<never> => {
    calls += 1;
    return new Promise(() => undefined);
  };
  const harness = await startHarness({ fetch });
  for (let polls = 0; polls < 3; polls++) {
    await harness.pass(10_000);
    await harness.pass((await harness.nextFailure()).delayMs);
  }
  expect(calls).toBeGreaterThanOrEqual(3);
});

test("a fetch that throws, and quotes the token as it does, neither ends polling nor shows the token", async () => {
  const harness = await startHarness({ fetch: quoteHeaders });
  await harness.pass((await harness.nextFailure()).delayMs);
  await harness.nextFailure();
  expect(JSON.stringify(harness.lines)).not.toContain(TOKEN);
  expect(JSON.stringify(harness.lines)).toContain("[token]");
});

test("no log line holds the token, whatever the server answers", async () => {
  const harness = await startHarness();
  for (const status of [401, 403, 500, 302]) {
    harness.server.inject((request, response) => {
      response
        .writeHead(status, { location: String(request.headers.authorization) })
        .end(request.headers.authorization);
    });
    await harness.pass((await harness.nextFailure()).delayMs);
  }
  expect(JSON.stringify(harness.lines)).not.toContain(TOKEN);
});

test("odd fields are replaced and named; what decides is still applied", async () => {
  const odd = makeSnapshot("a.2", { flags: { ...makeKilled("a.2").flags } });
  const flags = { ...odd.flags, odd: { state: "on", level: -1, rollout: "all", rules: 5, salt: null, later: true } };
  const harness = await startHarness();
  harness.server.inject((_request, response) => {
    const body = JSON.stringify({ ...odd, flags, chains: { main: { steps: [] } }, news: { of: "tomorrow" } });
    response.writeHead(200, { "content-type": "application/json; charset=utf-8" }).end(body);
  });
  await harness.passUntil(() => !harness.andon.isEnabled("chat"), 60_000);
  expect(harness.andon.evaluate("odd")).toMatchObject({ enabled: true, reason: "ON", level: 0 });
  expect(harness.andon.flag("odd")).toMatchObject({ rollout: 100, ramp: null, salt: "odd", rules: [] });
  const warnings = harness.lines.filter((line) => line.message.includes("malformed")).map((line) => line.fields);
  expect(warnings).toContainEqual({ at: "flags.odd.rollout: malformed" });
});

function quoteHeaders(_url: string, init: { headers: Record<string, string> }): never {
  throw new TypeError(`bad header ${init.headers["Authorization"]}`);
}
