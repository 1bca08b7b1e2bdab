/** The end of a process with unsent usage: it is sent, and the process ends as it would have without this client. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { snapshotOf } from "../support/guard-snapshots.ts";
import { UsageServer } from "../support/usage-server.ts";
import { ensureBuilt } from "./support/built-package.ts";

beforeAll(ensureBuilt, 120_000);

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Above the two seconds of a flush and the start of a process, below the interval of the reports. */
const SOON_MS = 20_000;

const REPORT = `
  import { Andon } from "andon-client";
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  const andon = new Andon({ flushIntervalMs: 60000, logger });
  await andon.ready({ timeoutMs: 5000 });
  const report = () => andon.report({ flag: "support-chat", model: "claude-opus-5-5", usage: { input: 7 } });
`;
const IDLE = "setInterval(() => {}, 1000); console.log('ready');";

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  tookMs: number;
  stdout: string;
}

async function startServer(): Promise<{ server: UsageServer; url: string }> {
  const server = new UsageServer(snapshotOf());
  const url = await server.listen();
  onTestFinished(() => server.close());
  return { server, url };
}

/** Runs a script; sends it the signals once it says "ready". */
async function run(url: string, script: string, signals: readonly NodeJS.Signals[] = []): Promise<Ended> {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", REPORT + script], {
    cwd: ROOT,
    env: { PATH: process.env["PATH"], ANDON_URL: url, ANDON_TOKEN: "andon_sdk_test" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let stdout = "";
  let startedMs = performance.now();
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const wasReady = stdout.includes("ready");
    stdout += text;
    if (wasReady || !stdout.includes("ready")) return;
    startedMs = performance.now();
    for (const signal of signals) child.kill(signal);
  });
  const [code, signal]: unknown[] = await once(child, "close");
  return {
    code: typeof code === "number" ? code : null,
    signal: signal === "SIGTERM" || signal === "SIGINT" ? signal : null,
    tookMs: performance.now() - startedMs,
    stdout,
  };
}

test("a script that just ends has sent its usage, and exits with its own code", async () => {
  const { server, url } = await startServer();
  const ended = await run(url, "report(); process.exitCode = 3;");
  expect(server.records).toHaveLength(1);
  expect(ended.code).toBe(3);
  expect(ended.tookMs).toBeLessThan(SOON_MS);
});

test("a script that ends while the server hangs ends all the same, two seconds later", async () => {
  const { server, url } = await startServer();
  server.fate = "hang";
  const ended = await run(url, "report();");
  expect(server.reports).toHaveLength(1);
  expect(ended).toMatchObject({ code: 0 });
  expect(ended.tookMs).toBeLessThan(SOON_MS);
});

test.each(["SIGTERM", "SIGINT"] as const)(
  "%s sends what waits and then ends the process as it is used to",
  async (signal) => {
    const { server, url } = await startServer();
    const ended = await run(url, `report(); ${IDLE}`, [signal]);
    expect(server.records).toHaveLength(1);
    expect(ended).toMatchObject({ code: null, signal });
  },
);

test("a signal while the server hangs ends the process within the bound of a flush", async () => {
  const { server, url } = await startServer();
  server.fate = "hang";
  const ended = await run(url, `report(); ${IDLE}`, ["SIGTERM"]);
  expect(server.reports).toHaveLength(1);
  expect(ended.signal).toBe("SIGTERM");
  expect(ended.tookMs).toBeLessThan(SOON_MS);
});

test("two clients in one process send both and do not wait for each other for ever", async () => {
  const { server, url } = await startServer();
  const second = `
    const other = new Andon({ flushIntervalMs: 60000, logger });
    other.report({ flag: "support-chat", model: "claude-opus-5-5", usage: { input: 8 } });`;
  const ended = await run(url, `report(); ${second} ${IDLE}`, ["SIGTERM"]);
  expect(server.records).toHaveLength(2);
  expect(ended.signal).toBe("SIGTERM");
});

test("a signal that the application handles is the application's: it lives on as long as it likes", async () => {
  const { server, url } = await startServer();
  const handler = `
    let times = 0;
    process.on("SIGTERM", () => {
      times += 1;
      setTimeout(() => { console.log("handled", times); process.exit(5); }, 800);
    });`;
  const ended = await run(url, `${handler} report(); ${IDLE}`, ["SIGTERM"]);
  expect(ended.stdout).toContain("handled 1");
  expect(ended.code).toBe(5);
  expect(server.records).toHaveLength(1);
});

test("what could not be sent at a signal is tried again when the application has come to its end", async () => {
  const { server, url } = await startServer();
  server.next.push(503, 503);
  const graceful = `
    report();
    const work = setInterval(() => {}, 1000);
    process.on("SIGTERM", () => setTimeout(() => clearInterval(work), 300));
    console.log("ready");`;
  const ended = await run(url, graceful, ["SIGTERM"]);
  expect(server.records).toHaveLength(1);
  expect(ended).toMatchObject({ code: 0, signal: null });
});

test("a library that ends the process when it alone listens is not kept from it", async () => {
  const { url } = await startServer();
  const library = `
    const onSignal = (signal) => {
      if (process.listeners(signal).length !== 1) return;
      process.removeListener(signal, onSignal);
      process.kill(process.pid, signal);
    };
    process.on("SIGTERM", onSignal);`;
  const ended = await run(url, `${library} report(); ${IDLE}`, ["SIGTERM"]);
  expect(ended.signal).toBe("SIGTERM");
  expect(ended.tookMs).toBeLessThan(SOON_MS);
});

test("nothing is listened to while no usage waits", async () => {
  const { server, url } = await startServer();
  const counts = `
    const count = () => ["SIGTERM", "SIGINT", "beforeExit"].map((name) => process.listenerCount(name)).join();
    const idle = count();
    report();
    const waiting = count();
    await andon.close();
    console.log(idle, waiting, count());`;
  const ended = await run(url, counts);
  expect(ended.stdout.trim()).toBe("0,0,0 1,1,1 0,0,0");
  expect(server.records).toHaveLength(1);
});

test("a script that closes its client while a message about leases is not answered ends by itself, when it is closed", async () => {
  const { server, url } = await startServer();
  const budget = {
    id: "b",
    name: "Daily",
    flag: "support-chat",
    enforcement: "reserve",
    onUnavailable: "deny",
  } as const;
  server.snapshot = snapshotOf({ budgets: [{ ...budget, reserveWaitMs: 1_000, minTokens: 1 }] });
  let messages = 0;
  server.fate = (batch) => {
    if (!("requestId" in batch)) return "count";
    messages += 1;
    return messages === 1 ? "reset" : "hang";
  };
  const ended = await run(
    url,
    `
    import Anthropic from "@anthropic-ai/sdk";
    import { guard } from "andon-client/anthropic";
    const middleware = [guard(andon, { flag: "support-chat" })];
    const client = new Anthropic({ apiKey: "none", baseURL: "http://127.0.0.1:9", maxRetries: 0, middleware });
    const messages = [{ role: "user", content: "Why?" }];
    const asked = client.messages.create({ model: "claude-opus-5-5", max_tokens: 8, messages });
    const error = await asked.catch((error) => error);
    console.log(error.code);
    await andon.close();
    console.log("closed");
  `,
  );
  expect(ended).toMatchObject({ code: 0, stdout: "ANDON_FEATURE_DISABLED\nclosed\n" });
  expect(messages).toBeGreaterThan(1);
});
