/** Runs another entry point of this installation as a child on the same terminal; its exit code is ours. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { EXIT_FAILED } from "./io.ts";

const FORWARDED: readonly NodeJS.Signals[] = ["SIGTERM", "SIGINT"];

/** `entry` is a path from the compiled `src`, such as `main.js`. Resolves when it has ended. */
export function launch(entry: string, args: readonly string[]): Promise<number> {
  const script = fileURLToPath(new URL(`../${entry}`, import.meta.url));
  const child = spawn(process.execPath, [script, ...args], { stdio: "inherit" });
  const forwards = FORWARDED.map((signal) => ({ signal, forward: () => child.kill(signal) }));
  for (const { signal, forward } of forwards) process.on(signal, forward);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => {
      for (const { signal, forward } of forwards) process.off(signal, forward);
      resolve(code ?? EXIT_FAILED);
    });
  });
}
