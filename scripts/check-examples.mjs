// Runs the examples of sdk-client/README.md as an application would: `npm run check:examples`. In an empty project, from the
// packed client and the newest libraries of the registry, against local servers; type-checked first, then while the flag is
// on, while the first model fails, and while it is off.
import { execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startClaudeEndpoint, OVERLOADED } from "../dist/src/demo/claude-endpoint/claude-endpoint.js";
import { startBedrock } from "./support/bedrock-endpoint.mjs";

const exec = promisify(execFile);
const ROOT = fileURLToPath(new URL("..", import.meta.url));
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
];

const readme = readFileSync(join(ROOT, "sdk-client/README.md"), "utf8");

/** The first code block under a heading. */
function blockUnder(heading) {
  const at = readme.indexOf(`\n### ${heading}`);
  const [, code] = at < 0 ? [] : (/```ts\n([^]*?)```/.exec(readme.slice(at)) ?? []);
  if (code === undefined) throw new Error(`sdk-client/README.md has no example under "${heading}"`);
  return code;
}

const folder = mkdtempSync(join(tmpdir(), "andon-examples-"));
const claude = await startClaudeEndpoint();
const bedrock = await startBedrock(claude.url);
let flag = { state: "on" };
let chain = "default";
const andon = createServer((request, response) => {
  request.resume();
  if (request.method !== "GET") return void response.writeHead(204).end();
  response.writeHead(200, { "content-type": "application/json", etag: `"${flag.state}.1"` });
  response.end(JSON.stringify(snapshot()));
});
await new Promise((resolve) => andon.listen(0, "127.0.0.1", resolve));

const EXAMPLES = [
  { name: "ai-sdk", heading: "Vercel AI SDK", base: `${claude.url}/v1`, model: OPUS, tool: "lineOf" },
  { name: "langchain", heading: "LangChain", base: claude.url, model: OPUS },
  { name: "bedrock", heading: "Bedrock", base: claude.url, model: `anthropic.${OPUS}` },
];

try {
  await install();
  for (const example of EXAMPLES) writeFileSync(join(folder, `${example.name}.mts`), blockUnder(example.heading));
  const strict = ["--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext", "--types", "node"];
  const files = EXAMPLES.map(({ name }) => `${name}.mts`);
  await exec(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), ...strict, ...files], { cwd: folder });
  for (const example of EXAMPLES) await check(example);
} finally {
  for (const server of [andon, bedrock.server]) {
    server.close();
    server.closeAllConnections();
  }
  await claude.close();
  rmSync(folder, { recursive: true, force: true });
}

async function install() {
  await exec("npm", ["pack", "--ignore-scripts", "--workspace", "andon-client", "--pack-destination", folder], {
    cwd: ROOT,
  });
  const packed = readdirSync(folder).find((name) => name.endsWith(".tgz"));
  writeFileSync(join(folder, "package.json"), `{"name": "shop", "private": true, "type": "module"}`);
  await exec("npm", ["install", "--no-audit", "--no-fund", `./${packed}`, ...PACKAGES], { cwd: folder });
  const tree = JSON.parse((await exec("npm", ["ls", "--json", "--depth=0"], { cwd: folder })).stdout);
  for (const [name, { version }] of Object.entries(tree.dependencies)) console.log(`${name} ${version}`);
  const types = join(folder, "node_modules/@types");
  mkdirSync(types, { recursive: true });
  symlinkSync(join(ROOT, "node_modules/@types/node"), join(types, "node"));
  symlinkSync(join(ROOT, "node_modules/undici-types"), join(folder, "node_modules/undici-types"));
}

async function check(example) {
  const next = example.model.replace(OPUS, SONNET);
  chain = example.name === "bedrock" ? "bedrock" : "default";
  flag = { state: "on" };
  await expectRun(example, "on", (models) => models.length > 0 && models.every((model) => model === example.model));
  claude.behave(example.model, OVERLOADED);
  await expectRun(example, "its model fails", (models) => models.includes(next) && models.at(-1) === next);
  flag = { state: "off", cause: "manual" };
  await expectRun(example, "off", (models) => models.length === 0);
}

async function expectRun(example, when, isRight) {
  const isOn = flag.state === "on";
  if (example.tool !== undefined && isOn) {
    const use = { kind: "answer", toolUse: { name: example.tool, input: { station: 4 } } };
    claude.behaveNext(when === "on" ? example.model : example.model.replace(OPUS, SONNET), use);
  }
  const { code, output } = await run(example);
  const models = claude.calls.map((call) => call.model);
  claude.reset();
  // An example without handling lets the error through to the top, and ends with it.
  const isTold = isOn ? code === 0 && /cord/.test(output) : output.includes(OFF) || /FeatureDisabledError/.test(output);
  if (isTold && isRight(models)) {
    console.log(`${example.name}, ${when}: as the README says (${models.join(", ") || "nothing sent"})`);
    return;
  }
  console.error(`${example.name}, ${when}: NOT as the README says; exit ${code}, sent ${models.join(", ")}\n${output}`);
  process.exitCode = 1;
}

function run(example) {
  const child = spawn(process.execPath, [`${example.name}.mjs`], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      ANDON_URL: `http://127.0.0.1:${andon.address().port}`,
      ANDON_TOKEN: "andon_sdk_examples",
      ANTHROPIC_API_KEY: "local",
      ANTHROPIC_BASE_URL: example.base,
      ANTHROPIC_BEDROCK_BASE_URL: bedrock.url,
      AWS_ACCESS_KEY_ID: "local",
      AWS_SECRET_ACCESS_KEY: "local",
    },
    timeout: RUN_MS,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => void (output += data));
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, output })));
}

function snapshot() {
  return {
    version: 1,
    environment: "examples",
    revision: `${flag.state}.1`,
    committedAtMs: 0,
    master: { state: "on" },
    flags: { "support-chat": flagFor() },
    chains: { default: both(""), bedrock: both("anthropic.") },
    blockedModels: [],
  };
}

function both(prefix) {
  return { steps: [OPUS, SONNET].map((model) => ({ model: prefix + model })) };
}

function flagFor() {
  return {
    level: 0,
    chain,
    rollout: 100,
    ramp: null,
    salt: "salt",
    rules: [],
    offMode: "error",
    offMessage: null,
    abortInFlight: true,
    clampMaxTokens: false,
    chainOnly: false,
    ...flag,
  };
}
