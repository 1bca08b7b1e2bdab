// What `promtool check metrics` says of /metrics: `npm run check:metrics`. On a server of its own, in a temporary folder,
// with a flag, a budget that has tripped and a few calls, so that every family has a series.
import { spawn, spawnSync } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const START_MS = 60_000;
const PRODUCTION = "/v1/environments/production";

if (spawnSync("promtool", ["--version"]).error !== undefined) {
  console.error("promtool is not installed. On Debian and Ubuntu: apt-get install prometheus");
  process.exit(2);
}
const admin = `andon_op_${randomBytes(24).toString("hex")}`;
const folder = mkdtempSync(join(tmpdir(), "andon-check-metrics-"));
const server = spawn(process.execPath, [fileURLToPath(new URL("../dist/src/main.js", import.meta.url))], {
  env: {
    PATH: process.env.PATH,
    PORT: "0",
    ANDON_DATA_DIR: folder,
    ANDON_ADMIN_TOKEN: admin,
    ANDON_LOG_LEVEL: "error",
  },
  stdio: ["ignore", "pipe", "inherit"],
});
const ended = new Promise((resolve) => {
  server.once("exit", resolve);
});
try {
  const url = await boardOf(server);
  const api = async (method, path, body, token = admin) => {
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body && { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.text();
  };
  await fill(api);
  const text = await api("GET", "/metrics");
  const families = text.match(/^# TYPE \S+/gm) ?? [];
  console.log(`${families.length} families, ${text.match(/^\w.*$/gm)?.length ?? 0} series`);
  const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" });
  process.stdout.write(stdout + stderr);
  console.log(status === 0 ? "promtool check metrics: nothing to say" : "promtool check metrics: FAILED");
  process.exitCode = status ?? 1;
} finally {
  server.kill("SIGTERM");
  await ended;
  rmSync(folder, { recursive: true, force: true });
}

/** The address of the server, when it says it. */
function boardOf({ stdout }) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the server did not start within ${START_MS} ms`)), START_MS);
    timer.unref();
    void ended.then((code) => reject(new Error(`the server ended with ${code}`)));
    createInterface({ input: stdout }).on("line", (line) => {
      const [, url] = /Board: (http\S+)/.exec(line) ?? [];
      if (url === undefined) return;
      clearTimeout(timer);
      resolve(url);
    });
  });
}

async function fill(api) {
  const models = ["claude-opus-5-5", "claude-haiku-4-5"];
  await api("PUT", `${PRODUCTION}/chains/opus-first`, { steps: models.map((model) => ({ model })) });
  await api("POST", `${PRODUCTION}/flags`, { key: "support-chat", name: "Support chat", chain: "opus-first" });
  await api("POST", `${PRODUCTION}/budgets`, { name: "Daily", scope: { flag: "support-chat" }, limitUsd: 1 });
  const token = { kind: "sdk", name: "check", environments: ["production"] };
  const { secret } = JSON.parse(await api("POST", "/v1/tokens", token));
  const records = [...models, "made-up"].map(callOf);
  await api("POST", "/sdk/v1/usage", { batchId: randomUUID(), instance: "check", records }, secret);
  await api("GET", "/sdk/v1/snapshot", undefined, secret);
}

function callOf(model) {
  return {
    id: randomUUID(),
    at: Date.now(),
    flag: "support-chat",
    model,
    requestedModel: model,
    outcome: "ok",
    exact: true,
    usage: { input: 0, output: 50_000, cacheWrite5m: 0, cacheWrite1h: 0, cacheRead: 0, webSearches: 0 },
    attempt: 1,
    latencyMs: 1_200,
  };
}
