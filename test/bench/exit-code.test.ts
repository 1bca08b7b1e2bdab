/** A process that had a PostgreSQL ends with the exit code that it was given: a failed test run fails. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const postgres = new URL("../../dist/bench/support/postgres.js", import.meta.url).href;

it("is told, whatever else listens for the end of the process", async () => {
  const script = `
    const { startCluster } = await import(${JSON.stringify(postgres)});
    const cluster = await startCluster();
    await cluster.stop();
    process.exitCode = 3;`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    stdio: "ignore",
  });
  expect(await once(child, "exit")).toEqual([3, null]);
});
