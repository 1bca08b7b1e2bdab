/**
 * Child processes that cannot outlive this one: each has a channel whose end it dies of (die-with-parent.ts), and what
 * is still running when this process exits is killed. What they print is kept, bounded, for the message of a failure.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const MAX_OUTPUT_CHARS = 65_536;
/** From SIGTERM to SIGKILL. */
const STOP_TIMEOUT_MS = 12_000;

/** Children are plain Node processes and run what is built, also when this file itself runs from source in a test. */
const distUrl = new URL(import.meta.url.endsWith(".ts") ? "../../../dist/" : "../../../", import.meta.url);
const dieWithParent = new URL("src/demo/fleet/die-with-parent.js", distUrl).href;
const running = new Set<ChildProcess>();

process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export interface Child {
  readonly process: ChildProcess;
  /** The newest of what it printed, stdout and stderr as they came. */
  readonly output: string;
  /** Resolves with what ended it: an exit code or the name of a signal. */
  readonly ended: Promise<number | string>;
  /** Asks it to stop; after 12 seconds, or at once when `signal` is SIGKILL, it is killed. Resolves when it has ended. */
  stop(signal?: "SIGTERM" | "SIGKILL"): Promise<void>;
}

/** Starts a built script, such as `src/main.js`, with this environment only (and PATH). */
export function startChild(script: string, env: Readonly<Record<string, string>>, args: readonly string[] = []): Child {
  const child = fork(fileURLToPath(new URL(script, distUrl)), [...args], {
    env: { PATH: process.env["PATH"], ...env },
    execArgv: ["--import", dieWithParent],
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  running.add(child);
  let output = "";
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString("utf8")).slice(-MAX_OUTPUT_CHARS);
  };
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);
  const ended = once(child, "exit").then(([code, signal]: (number | string | null)[]) => {
    running.delete(child);
    return code ?? signal ?? "unknown";
  });
  return {
    process: child,
    get output() {
      return output;
    },
    ended,
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      const killer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
      await ended;
      clearTimeout(killer);
    },
  };
}
