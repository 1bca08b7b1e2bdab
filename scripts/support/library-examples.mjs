// The examples of libraries and clouds, each a program that asks whole and as a stream.
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { OVERLOADED } from "../../dist/src/demo/claude-endpoint/claude-endpoint.js";
import { startBedrock } from "./bedrock-endpoint.mjs";
import { startClouds } from "./cloud-endpoints.mjs";
import { startProxy } from "./proxy.mjs";
import { blockUnder, compile, makeProject } from "./project.mjs";

const RUN_MS = 60_000;
const OFF = "Switched off for the moment.";
const [OPUS, SONNET] = ["claude-opus-5-5", "claude-sonnet-5-5"];

/** Newest majors that run on Node 20. */
const PACKAGES = [
  "ai@6",
  "@ai-sdk/anthropic@3",
  "zod@4",
  "@langchain/anthropic@1",
  "@langchain/core@1",
  "@anthropic-ai/sdk@1",
  "@anthropic-ai/bedrock-sdk@1",
  "@anthropic-ai/vertex-sdk@1",
  "@anthropic-ai/foundry-sdk@1",
  "undici@7",
];

/** `geo` is what its usage records say of the region: regional endpoints of the clouds cost more. */
const EXAMPLES = [
  { name: "ai-sdk", heading: "Vercel AI SDK", path: "/v1", tool: "lineOf" },
  { name: "langchain", heading: "LangChain" },
  { name: "bedrock", heading: "Bedrock", modelPrefix: "anthropic.", geo: "cloud:bedrock" },
  { name: "vertex", heading: "Vertex AI", isCloud: true, geo: "cloud:us-east5" },
  { name: "foundry", heading: "Foundry", isCloud: true },
  { name: "proxy", heading: "Proxies", isBehindProxy: true },
];

export async function checkLibraries({ andon, claude, tell }) {
  const bedrock = await startBedrock(claude.url);
  const { folder, remove } = await makeProject(PACKAGES);
  const clouds = await startClouds(claude.url, folder);
  const proxy = await startProxy({ "andon.example": andon.url, "claude.example": claude.url });
  try {
    for (const { name, heading } of EXAMPLES) writeFileSync(join(folder, `${name}.mts`), blockUnder(heading));
    const files = EXAMPLES.map(({ name }) => `${name}.mts`);
    await compile(folder, files);
    for (const example of EXAMPLES) await check(example);
  } finally {
    for (const { server } of [bedrock, clouds, proxy]) {
      server.close();
      server.closeAllConnections();
    }
    remove();
  }

  async function check(example) {
    const { modelPrefix = "" } = example;
    const [first, next] = [OPUS, SONNET].map((model) => modelPrefix + model);
    andon.set({ state: "on", modelPrefix });
    await expectRun(example, "on", first, (models) => models.length > 0 && models.every((model) => model === first));
    claude.behave(first, OVERLOADED);
    await expectRun(example, "its model fails", next, (models) => models.includes(next) && models.at(-1) === next);
    andon.set({ state: "on", modelPrefix, blockedModels: [OPUS] });
    await expectRun(example, "its model is blocked", next, (models) => models.length > 0 && !models.includes(first));
    andon.set({ state: "off", modelPrefix });
    await expectRun(example, "off", first, (models) => models.length === 0);
  }

  async function expectRun(example, when, answering, isRight) {
    if (example.tool !== undefined && andon.isOn) {
      claude.behaveNext(answering, { kind: "answer", toolUse: { name: example.tool, input: { station: 4 } } });
    }
    andon.records.length = 0;
    const { code, output } = await run(example);
    const models = claude.calls.map((call) => call.model);
    claude.reset();
    const answered = andon.records.filter(({ outcome }) => outcome === "ok");
    const isCounted = !andon.isOn || (answered.length > 0 && answered.every(({ geo }) => geo === example.geo));
    // An example without handling lets the error through to the top, and ends with it.
    const isTold = andon.isOn
      ? code === 0 && /cord/.test(output)
      : output.includes(OFF) || /FeatureDisabledError/.test(output);
    const isAllRight = isTold && isCounted && isRight(models);
    const seen = models.join(", ") || "nothing sent";
    tell(`${example.name}, ${when}`, isAllRight, isAllRight ? seen : `exit ${code}, sent ${seen}\n${output}`);
  }

  function run(example) {
    // Names that nobody but the proxy knows.
    const behindProxy = {
      HTTP_PROXY: proxy.url,
      HTTPS_PROXY: proxy.url,
      ANDON_URL: "http://andon.example",
      ANTHROPIC_BASE_URL: "http://claude.example",
    };
    const child = spawn(process.execPath, [`${example.name}.mjs`], {
      cwd: folder,
      env: {
        PATH: process.env.PATH,
        ANDON_URL: andon.url,
        ANDON_TOKEN: "andon_sdk_examples",
        ANTHROPIC_API_KEY: "local",
        ANTHROPIC_BASE_URL: claude.url + (example.path ?? ""),
        ANTHROPIC_BEDROCK_BASE_URL: bedrock.url,
        AWS_ACCESS_KEY_ID: "local",
        AWS_SECRET_ACCESS_KEY: "local",
        ...(example.isCloud ? clouds.env : {}),
        ...(example.isBehindProxy ? behindProxy : {}),
      },
      timeout: RUN_MS,
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => void (output += data));
    return new Promise((resolve) => child.once("close", (code) => resolve({ code, output })));
  }
}
