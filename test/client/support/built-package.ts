/** The client as it is published: builds it when the build is missing or older than its sources, and runs scripts on it. */
import { execFile } from "node:child_process";
import { readdir, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../../", import.meta.url));

export interface Finished {
  readonly stdout: string;
  readonly stderr: string;
  /** From start to exit, in milliseconds. */
  readonly tookMs: number;
}

export async function ensureBuilt(): Promise<void> {
  const sources = await readdir(`${root}sdk-client/src`);
  const changedMs = await Promise.all(sources.map((file) => modifiedMs(`${root}sdk-client/src/${file}`)));
  const outputs = ["esm/index.js", "cjs/index.js", "cjs/package.json"];
  const builtMs = await Promise.all(outputs.map((file) => modifiedMs(`${root}sdk-client/dist/${file}`)));
  if (Math.min(...builtMs) < Math.max(...changedMs))
    await run("npm", ["run", "build", "-w", "andon-client"], { cwd: root });
}

/** Runs a script in its own process, from where `andon-client` resolves as it does for an application. */
export async function runScript(
  kind: "module" | "commonjs",
  script: string,
  env: Record<string, string> = {},
): Promise<Finished> {
  const startedMs = performance.now();
  const { stdout, stderr } = await run(process.execPath, [`--input-type=${kind}`, "--eval", script], {
    cwd: root,
    env: { PATH: process.env["PATH"], ...env },
    timeout: 15_000,
  });
  return { stdout: stdout.trim(), stderr, tookMs: performance.now() - startedMs };
}

async function modifiedMs(file: string): Promise<number> {
  try {
    return (await stat(file)).mtimeMs;
  } catch {
    // Not there: older than everything, so that it is built.
    return 0;
  }
}
