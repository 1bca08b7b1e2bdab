/** Whatever goes wrong on the poll path, a kill arrives within two poll intervals of the server's recovery. */
import { expect, test } from "vitest";
import type { Fault } from "./support/snapshot-server.ts";
import { startHarness } from "./support/harness.ts";
import { makeKilled, makeSnapshot } from "./support/snapshots.ts";

const POLL_INTERVAL_MS = 5_000;
const WAIT_SECONDS = 2;
/** No poll waits longer for its answer. */
const HANG_MS = WAIT_SECONDS * 1_000 + 10_000;

const status =
  (code: number, headers: Record<string, string> = {}): Fault =>
  (_request, response) => {
    response.writeHead(code, { "content-type": "application/problem+json", ...headers }).end('{"title":"no"}');
  };

const body =
  (text: string, headers: Record<string, string | number> = { "content-type": "application/json" }): Fault =>
  (_request, response) => {
    response.writeHead(200, headers).end(text);
  };

const whole = JSON.stringify(makeSnapshot("a.6"));
const json = "application/json";

const faults: Record<string, Fault> = {
  "400": status(400),
  "401": status(401),
  "403": status(403),
  "404": status(404),
  "410": status(410),
  "429 with Retry-After in seconds": status(429, { "retry-after": "3" }),
  "429 with Retry-After as a date": status(429, { "retry-after": new Date(1_700_000_010_000).toUTCString() }),
  "500": status(500),
  "503": status(503),
  "a redirect": status(302, { location: "http://127.0.0.1:1/elsewhere" }),
  "204 without a body": status(204),
  "a reset": (request) => request.socket.resetAndDestroy(),
  "a closed connection": (request) => request.socket.destroy(),
  "a hang": () => undefined,
  "a hang after the headers": (_request, response) => {
    response.writeHead(200, { "content-type": json }).write("{");
  },
  "JSON that ends early": body(whole.slice(0, 80)),
  "a body shorter than announced": (request, response) => {
    response.writeHead(200, { "content-type": json, "content-length": whole.length });
    response.write(whole.slice(0, 80), () => request.socket.destroy());
  },
  "HTML with 200": body("<html>Sign in</html>", { "content-type": "text/html" }),
  "HTML that claims to be JSON": body("<html>Sign in</html>"),
  "JSON that claims to be text": body(whole, { "content-type": "text/plain" }),
  "no content type": body(whole, {}),
  "JSON that is no snapshot": body('{"ok":true}'),
  "a flag without a state": body(JSON.stringify({ ...makeSnapshot("a.6"), flags: { chat: {} } })),
  null: body("null"),
  "an empty body": body(""),
  "bytes that are not UTF-8": (_request, response) => {
    response.writeHead(200, { "content-type": json }).end(Buffer.from([0x22, 0xff, 0xfe, 0x22]));
  },
  "a broken gzip": body("not gzip", { "content-type": json, "content-encoding": "gzip" }),
  "a body without bound": (_request, response) => {
    response.writeHead(200, { "content-type": json });
    const chunk = Buffer.alloc(1024 * 1024, " ");
    const more = (): void => {
      while (!response.destroyed && response.write(chunk)) continue;
      response.once("drain", more);
    };
    more();
  },
  "an older revision": body(JSON.stringify(makeKilled("a.4"))),
};

for (const [name, fault] of Object.entries(faults)) {
  for (const waitSeconds of [WAIT_SECONDS, 0]) {
    const how = waitSeconds === 0 ? "unparked" : "parked";
    test(`${name}: the last state stays, and a kill after it arrives (${how})`, async () => {
      const harness = await startHarness({
        pollIntervalMs: POLL_INTERVAL_MS,
        waitSeconds,
        snapshot: makeSnapshot("a.5"),
      });
      const { andon, server } = harness;
      await harness.passUntil(() => andon.evaluate("chat").revision === "a.5", 0);

      server.inject(fault);
      let delayMs = 0;
      for (let failures = 0; failures < 3; failures++) {
        await harness.pass(delayMs);
        if (name.startsWith("a hang")) await harness.pass(HANG_MS);
        ({ delayMs } = await harness.nextFailure());
        expect(andon.evaluate("chat")).toMatchObject({ enabled: true, revision: "a.5" });
      }

      server.recover();
      server.publish(makeKilled("a.7"));
      await harness.pass(delayMs);
      const limitMs = 2 * POLL_INTERVAL_MS - delayMs;
      expect(await harness.passUntil(() => !andon.isEnabled("chat"), limitMs)).toBeLessThanOrEqual(limitMs);
      expect(andon.evaluate("chat")).toMatchObject({ enabled: false, reason: "KILLED", revision: "a.7" });
    });
  }
}

test("an answer that hangs when the server recovers is given up within two intervals", async () => {
  const harness = await startHarness({ pollIntervalMs: POLL_INTERVAL_MS, waitSeconds: WAIT_SECONDS });
  const { andon, runtime, server } = harness;
  await server.until(() => server.parkedCount === 1);
  await harness.passUntil(() => andon.hasState, 0);
  server.inject(() => undefined);
  server.recover();
  server.publish(makeKilled("a.2"));
  const startedMs = runtime.monotonicMs();
  runtime.advance(WAIT_SECONDS * 1_000 + POLL_INTERVAL_MS);
  await harness.passUntil(() => !andon.isEnabled("chat"), POLL_INTERVAL_MS);
  expect(runtime.monotonicMs() - startedMs).toBeLessThanOrEqual(2 * POLL_INTERVAL_MS);
});

test("after an outage longer than every backoff a kill arrives within the cap of 30 s", async () => {
  const harness = await startHarness({ pollIntervalMs: POLL_INTERVAL_MS });
  const { andon, server } = harness;
  await harness.passUntil(() => andon.hasState, 0);
  server.inject((request) => request.socket.destroy());
  const delays: number[] = [];
  while (delays.length < 40) {
    const { delayMs } = await harness.nextFailure();
    delays.push(delayMs);
    if (delays.length < 40) await harness.pass(delayMs);
  }
  expect(Math.max(...delays)).toBeLessThanOrEqual(30_000);
  expect(Math.min(...delays.slice(10))).toBeGreaterThanOrEqual(15_000);

  server.recover();
  server.publish(makeKilled("a.2"));
  await harness.pass(30_000);
  await harness.passUntil(() => !andon.isEnabled("chat"), 0);
});

test("Retry-After is honoured, up to the cap, and a jump of the wall clock cannot stretch it", async () => {
  const harness = await startHarness();
  const { andon, runtime, server } = harness;
  await harness.passUntil(() => andon.hasState, 0);
  server.inject(status(429, { "retry-after": "12" }));
  expect((await harness.nextFailure()).delayMs).toBe(12_000);

  server.inject(status(503, { "retry-after": "86400" }));
  await harness.pass(12_000);
  expect((await harness.nextFailure()).delayMs).toBe(30_000);

  server.inject(status(503, { "retry-after": new Date(runtime.nowMs() + 39_000).toUTCString() }));
  await harness.pass(30_000);
  const { delayMs } = await harness.nextFailure();
  expect(delayMs).toBeGreaterThan(7_999);
  expect(delayMs).toBeLessThanOrEqual(9_000);

  runtime.jumpWallClock(-86_400_000);
  await harness.pass(9_000);
  expect((await harness.nextFailure()).delayMs).toBe(30_000);
});

test("a 304 to a client that named no revision is refused", async () => {
  const harness = await startHarness();
  harness.server.inject(status(304));
  await harness.nextFailure();
  expect(harness.andon.hasState).toBe(false);
  expect(harness.andon.evaluate("chat").staleMs).toBeNull();
});
