/** The `andon` command as a process: what happens around it in a shell. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { expect, it } from "vitest";

it("a reader that stops reading, as `andon … | head -1` does, is no crash and does not change the exit code", async () => {
  const child = spawn(process.execPath, ["dist/src/cli/main.js", "status", "--help"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stdout.destroy();
  const [said, [code]] = await Promise.all([text(child.stderr), once(child, "exit")]);
  expect(said).toBe("");
  expect(code).toBe(0);
});
