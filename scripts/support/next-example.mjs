// The example for Next.js, built and started as in production: a route on Node and one on its edge runtime.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { OVERLOADED } from "../../dist/src/demo/claude-endpoint/claude-endpoint.js";
import { blockUnder, makeProject, run } from "./project.mjs";

/** The newest majors that run on Node 20. */
const PACKAGES = [
  "next@16",
  "react@19",
  "react-dom@19",
  "@anthropic-ai/sdk@1",
  "typescript@5",
  "@types/react@19",
  "@types/node@20",
];
const [OPUS, SONNET] = ["claude-opus-5-5", "claude-sonnet-5-5"];
/** State older than this is asked for first. */
const MAX_STALE_MS = 5_000;
const START_MS = 60_000;
const LAYOUT = `export default function Layout({ children }: { children: React.ReactNode }) {
  return <html><body>{children}</body></html>;
}
`;
/** With it Next.js keeps the answers of each \`fetch\` that does not forbid it. */
const KEEPS_ANSWERS = 'export const fetchCache = "default-cache";\n';

export async function checkNext({ andon, claude, tell }) {
  const { folder, remove } = await makeProject(PACKAGES);
  let server = null;
  try {
    write("app/layout.tsx", LAYOUT);
    write("app/claude.ts", blockUnder("Next.js", 0));
    write("app/api/node/route.ts", KEEPS_ANSWERS + blockUnder("Next.js", 1));
    write("app/api/edge/route.ts", `export const runtime = "edge";\n${KEEPS_ANSWERS}${blockUnder("Next.js", 1)}`);
    const port = await freePort();
    const env = {
      PATH: process.env.PATH,
      NEXT_TELEMETRY_DISABLED: "1",
      ANDON_URL: andon.url,
      ANDON_TOKEN: "andon_sdk_examples",
      ANTHROPIC_API_KEY: "local",
      ANTHROPIC_BASE_URL: claude.url,
    };
    const next = join(folder, "node_modules/next/dist/bin/next");
    await run(process.execPath, [next, "build"], { cwd: folder, env });
    server = spawn(process.execPath, [next, "start", "--hostname", "127.0.0.1", "--port", String(port)], {
      cwd: folder,
      env,
      stdio: "inherit",
    });
    const url = `http://127.0.0.1:${port}/api`;
    for (const route of ["node", "edge"]) await check(route, `${url}/${route}`);
  } finally {
    if (server !== null) {
      server.kill();
      await once(server, "exit");
    }
    remove();
  }

  async function check(route, url) {
    await reachable(url);
    andon.set({ state: "on" });
    await delay(MAX_STALE_MS + 100);
    claude.reset();
    andon.records.length = 0;
    await expect(`${route}, on`, url, [OPUS], 200);
    claude.behave(OPUS, OVERLOADED);
    await expect(`${route}, its model fails`, url, [OPUS, SONNET], 200);
    await delay(1_500);
    tell(`next, ${route}, usage after the answer`, andon.records.length > 0, `${andon.records.length} records`);
    andon.set({ state: "off" });
    await delay(MAX_STALE_MS + 100);
    await expect(`${route}, off`, url, [], 503);
  }

  async function expect(when, url, models, status) {
    // Next.js keeps Claude's answers, too, where a route tells it to: no question is asked twice.
    const response = await fetch(url, { method: "POST", body: `Why did the line stop, ${when}?` });
    const text = await response.text();
    const sent = claude.calls.map((call) => call.model);
    claude.reset();
    const isRight = response.status === status && sent.join() === models.join();
    tell(`next, ${when}`, isRight, `${response.status}, ${sent.join() || "nothing sent"}${isRight ? "" : `\n${text}`}`);
  }

  function write(path, text) {
    mkdirSync(join(folder, path, ".."), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}

async function reachable(url) {
  const until = performance.now() + START_MS;
  for (;;) {
    const response = await fetch(url, { method: "POST", body: "Ready?" }).catch(() => null);
    if (response !== null) return void (await response.text());
    if (performance.now() > until) throw new Error("Next.js did not start");
    await delay(200);
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}
