// The example for Cloudflare Workers, on their own runtime: workerd, run by miniflare. A Worker's state outlives a request, and
// nothing of it runs between two.
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { OVERLOADED } from "../../dist/src/demo/claude-endpoint/claude-endpoint.js";
import { blockUnder, compile, makeProject } from "./project.mjs";

/** The last miniflare that runs on Node 20. */
const PACKAGES = ["miniflare@4.20260426.0", "esbuild@0.25", "@anthropic-ai/sdk@1"];
const COMPATIBILITY_DATE = "2025-06-01";
const [OPUS, SONNET] = ["claude-opus-5-5", "claude-sonnet-5-5"];
/** State older than this is asked for first; a running call asks as often. */
const POLL_INTERVAL_MS = 5_000;
const BINDINGS = `declare module "cloudflare:workers" {
  export const env: { ANDON_URL: string; ANDON_TOKEN: string; ANTHROPIC_API_KEY: string };
}
`;

export async function checkWorkers({ andon, claude, tell }) {
  const { folder, remove } = await makeProject(PACKAGES);
  const worker = await start();
  try {
    await expect("on", [OPUS], 200, /cord/);
    await expect("again", [OPUS], 200, /cord/);
    tell("workers, usage after the answer", andon.records.length > 0, `${andon.records.length} records`);
    claude.behave(OPUS, OVERLOADED);
    await expect("its model fails", [OPUS, SONNET], 200, /cord/);
    claude.behave("*", { kind: "hang", after: "request" });
    const running = ask();
    await delay(500);
    andon.set({ state: "off" });
    const startedMs = performance.now();
    const { status } = await running;
    const tookMs = Math.round(performance.now() - startedMs);
    tell("workers, killed while it runs", status === 503 && tookMs < 2 * POLL_INTERVAL_MS, `${status} in ${tookMs} ms`);
    claude.reset();
    await expect("off", [], 503, /Switched off/);
    andon.set({ state: "on" });
    await delay(POLL_INTERVAL_MS + 100);
    const all = await Promise.all(Array.from({ length: 5 }, ask));
    const statuses = all.map(({ status: each }) => each);
    tell(
      "workers, five at once, on again",
      statuses.every((each) => each === 200),
      statuses.join(),
    );
  } finally {
    await worker.dispose();
    remove();
  }

  async function start() {
    writeFileSync(join(folder, "bindings.d.ts"), BINDINGS);
    writeFileSync(join(folder, "worker.mts"), blockUnder("Cloudflare Workers"));
    await compile(folder, ["worker.mts", "bindings.d.ts"]);
    const from = createRequire(join(folder, "package.json"));
    const bundle = from("esbuild").buildSync({
      entryPoints: [join(folder, "worker.mjs")],
      bundle: true,
      format: "esm",
      conditions: ["workerd"],
      external: ["cloudflare:workers", "node:*"],
      write: false,
    });
    const { Miniflare } = await import(pathToFileURL(from.resolve("miniflare")).href);
    // The base URL is an option of the SDK, which the example leaves at its default.
    return new Miniflare({
      modules: true,
      script: bundle.outputFiles[0].text.replaceAll("https://api.anthropic.com", claude.url),
      compatibilityDate: COMPATIBILITY_DATE,
      bindings: { ANDON_URL: andon.url, ANDON_TOKEN: "andon_sdk_examples", ANTHROPIC_API_KEY: "local" },
    });
  }

  async function ask() {
    const response = await worker.dispatchFetch("http://localhost/", {
      method: "POST",
      body: "Why did the line stop?",
    });
    return { status: response.status, text: await response.text() };
  }

  async function expect(when, models, status, words) {
    const answer = await ask();
    const sent = claude.calls.map((call) => call.model);
    claude.reset();
    const isRight = answer.status === status && words.test(answer.text) && sent.join() === models.join();
    tell(`workers, ${when}`, isRight, `${answer.status}, ${sent.join() || "nothing sent"}`);
  }
}
