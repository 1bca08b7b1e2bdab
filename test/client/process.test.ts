/** The published package in processes of its own: both module formats, and none is kept alive by a client. */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { listen } from "../../bench/support/listen.ts";
import { ensureBuilt, runScript } from "./support/built-package.ts";
import { SnapshotServer } from "./support/snapshot-server.ts";
import { makeKilled } from "./support/snapshots.ts";
import { SDK_VERSION } from "../../sdk-client/src/version.ts";

beforeAll(ensureBuilt, 120_000);

const imports = {
  module: 'import { Andon, isFeatureDisabled } from "andon-client";',
  commonjs: 'const { Andon, isFeatureDisabled } = require("andon-client");',
};
/** Below every timeout of the client, above the start of a process on a busy machine: nothing was waited for. */
const AT_ONCE_MS = 4_000;

async function startServer(): Promise<{ server: SnapshotServer; env: Record<string, string> }> {
  const server = new SnapshotServer(makeKilled("a.1"));
  const url = await server.listen();
  onTestFinished(() => server.close());
  return { server, env: { ANDON_URL: url, ANDON_TOKEN: "andon_sdk_test" } };
}

for (const kind of ["module", "commonjs"] as const) {
  test(`as ${kind}: loads, goes live, decides and closes`, async () => {
    const { server, env } = await startServer();
    const { stdout } = await runScript(
      kind,
      `${imports[kind]}
      const andon = new Andon();
      andon.ready({ timeoutMs: 5000 }).then(async (how) => {
        console.log(how, andon.isEnabled("chat"), andon.evaluate("chat").reason, isFeatureDisabled(new Error("no")));
        await andon.close();
      });`,
      env,
    );
    expect(stdout).toBe("live false KILLED false");
    expect(server.requests.at(-1)?.method).toBe("DELETE");
  });
}

test("a script that makes a client and ends, exits by itself at once", async () => {
  const { env } = await startServer();
  const { tookMs } = await runScript("module", `${imports.module} new Andon();`, env);
  expect(tookMs).toBeLessThan(AT_ONCE_MS);
});

test("a script that ends while its poll is parked exits by itself at once", async () => {
  const { server, env } = await startServer();
  // Answers once the script's poll is parked.
  const signal = createServer((_request, response) => {
    void server.until(() => server.parkedCount === 1).finally(() => response.setHeader("connection", "close").end());
  });
  const url = await listen(signal);
  onTestFinished(() => void signal.close());
  const { stdout } = await runScript(
    "module",
    `${imports.module}
    console.log(await new Andon().ready({ timeoutMs: 5000 }));
    await (await fetch(process.env.SIGNAL_URL)).text();
    const started = performance.now();
    process.on("exit", () => console.log(Math.round(performance.now() - started) < 3000));`,
    { ...env, SIGNAL_URL: url },
  );
  expect(stdout).toBe("live\ntrue");
});

test.each([
  ["refuses connections", "http://127.0.0.1:1"],
  ["is known by a name with several addresses and refuses connections", "http://localhost:1"],
  ["never answers a connection", "http://192.0.2.1:80"],
])("a script whose server %s exits by itself at once", async (_what, url) => {
  const { tookMs } = await runScript("module", `${imports.module} new Andon();`, { ANDON_URL: url, ANDON_TOKEN: "t" });
  expect(tookMs).toBeLessThan(AT_ONCE_MS);
});

test("a script that awaits ready while the server is away gets its answer before it ends", async () => {
  const { stdout } = await runScript(
    "module",
    `${imports.module} console.log(await new Andon({ logger: { debug() {}, info() {}, warn() {}, error() {} } }).ready({ timeoutMs: 200 }));`,
    { ANDON_URL: "http://127.0.0.1:1", ANDON_TOKEN: "t" },
  );
  expect(stdout).toBe("none");
});

test("ANDON_KILL works with no server, no url and no token", async () => {
  const { stdout } = await runScript("module", `${imports.module} console.log(new Andon().evaluate("chat").reason);`, {
    ANDON_KILL: "*",
  });
  expect(stdout).toBe("LOCAL");
});

test("the console hears of an outage once, without the token", async () => {
  const { stderr } = await runScript(
    "module",
    `${imports.module} await new Andon({ pollIntervalMs: 100 }).ready({ timeoutMs: 700 });`,
    { ANDON_URL: "http://127.0.0.1:1", ANDON_TOKEN: "andon_sdk_secret" },
  );
  expect(stderr.match(/A poll of Andon failed/g)).toHaveLength(1);
  expect(stderr).not.toContain("andon_sdk_secret");
});

test("the client names the version of its package", () => {
  const { version } = JSON.parse(readFileSync(new URL("../../sdk-client/package.json", import.meta.url), "utf8"));
  expect(SDK_VERSION).toBe(version);
});
