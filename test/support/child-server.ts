/** The built server as a process of its own, to be killed. Needs `npm run build`, which `npm test` does first. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ADMIN_TOKEN } from "./server.ts";

const MAIN = fileURLToPath(new URL("../../dist/src/main.js", import.meta.url));
const START_MS = 60_000;

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface ChildServer {
  process: ChildProcess;
  /** Resolves with the server's URL when it serves; rejects with its output when it exits first. */
  ready: Promise<string>;
  exited: Promise<Exit>;
  output(): string;
  /** SIGKILL, and waits for the end. */
  kill(): Promise<void>;
}

/** Starts `node dist/src/main.js` on a free port with nothing but `env`. */
export function startChild(env: Record<string, string>, args: string[] = []): ChildServer {
  if (!existsSync(MAIN)) throw new Error("dist/src/main.js is missing: run `npm run build` first");
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { PORT: "0", ANDON_ADMIN_TOKEN: ADMIN_TOKEN, PATH: process.env["PATH"] ?? "", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const exited = new Promise<Exit>((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
  const ready = new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no server after ${START_MS} ms:\n${output}`)), START_MS);
    const read = (chunk: Buffer) => {
      output += chunk.toString();
      const url = /Board: (http:\/\/\S+)/.exec(output)?.[1];
      if (url === undefined) return;
      clearTimeout(timer);
      resolve(url);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    void exited.then(({ code, signal }) => {
      clearTimeout(timer);
      reject(new Error(`the server exited (${code ?? signal}):\n${output}`));
    });
  });
  // Whoever kills a server on purpose does not wait for it to be ready.
  ready.catch(() => undefined);
  return {
    process: child,
    ready,
    exited,
    output: () => output,
    kill: async () => {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/** A temporary folder and what removes it. */
export async function temporaryFolder(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "andon-test-"));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}
