// `npm run size [-- --json]`: what the client adds to an application's bundle, minified and gzipped. Fails above a limit.
import { build } from "esbuild";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";

const CLIENT = fileURLToPath(new URL("../sdk-client", import.meta.url));
const KB = 1000;
const APP = `import { FlagClient } from "andon-client";
const flags = new FlagClient({ url: "https://andon.example", token: "andon_sdk" });
await flags.ready();
globalThis.answer = flags.isEnabled("support-chat", { targetingKey: "user-1" });`;

/** What is bundled, how many bytes are the aim, and how many fail: a step back is seen at once. Null: told, not held. */
const BUNDLES = [
  { name: "poll and evaluate alone", code: APP, aimBytes: 12 * KB, maxBytes: 14 * KB },
  { name: "andon-client", code: `export * from "andon-client";`, aimBytes: 18 * KB, maxBytes: 21.75 * KB },
  { name: "andon-client/anthropic", code: `export * from "andon-client/anthropic";`, aimBytes: null, maxBytes: null },
];

const { values } = parseArgs({ options: { json: { type: "boolean", default: false } } });
for (const { name, code, aimBytes, maxBytes } of BUNDLES) {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: CLIENT },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "neutral",
    target: "es2023",
    external: ["@anthropic-ai/sdk"],
  });
  const bytes = gzipSync(outputFiles[0].contents, { level: 9 }).byteLength;
  if (maxBytes !== null && bytes > maxBytes) process.exitCode = 1;
  if (values.json) console.log(JSON.stringify({ name, unit: "bytes", bytes, aimBytes, maxBytes }));
  else console.log(`${name}: ${bytes} bytes${aimBytes === null ? "" : `; aim ${aimBytes}, at most ${maxBytes}`}`);
}
