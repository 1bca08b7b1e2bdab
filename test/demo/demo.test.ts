/** How the demo begins, and what it does when its claims are not true. All of it is `npm run soak -- demo`. */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test, vi } from "vitest";
import { runDemo } from "../../src/demo/story/run.ts";
import { ORDINARY } from "../../src/demo/story/stage.ts";
import { trafficFlows } from "../../src/demo/story/story.ts";

const DEMO = fileURLToPath(new URL("../../dist/src/demo/main.js", import.meta.url));
const TIMEOUT_MS = 240_000;

const run = promisify(execFile);

test(
  "a claim of the demo holds where what it tells of is so, fails and says what was seen where it is not, and nothing is left behind",
  { timeout: TIMEOUT_MS },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "andon-test-"));
    vi.stubEnv("TMPDIR", folder);
    const lines: string[] = [];
    let honest: readonly string[] = ["not run"];
    try {
      const failures = await runDemo({
        print: (line) => lines.push(line),
        chapters: [
          trafficFlows,
          async ({ claude }, narrator) => {
            honest = [...narrator.failures];
            // Answers that stop short of their last words: given out as whole, they would be a lie.
            claude.behave("*", { ...ORDINARY, kind: "answer", text: "The cord", tokenIntervalMs: 1 });
          },
          trafficFlows,
        ],
      });
      expect(honest).toEqual([]);
      expect(failures).toHaveLength(1);
      expect(failures[0]).toMatch(/cut \(end_turn\)/);
      expect(lines.join("\n")).toContain("1 of 2 claims did not hold");
      expect(await readdir(folder)).toEqual([]);
    } finally {
      vi.unstubAllEnvs();
      await rm(folder, { recursive: true });
    }
  },
);

test("an unknown option is refused with the usage, and --help explains the demo", async () => {
  const { stdout } = await run(process.execPath, [DEMO, "--help"]);
  expect(stdout).toContain("Usage: npm run demo");
  await expect(run(process.execPath, [DEMO, "--kepe"])).rejects.toMatchObject({ code: 2 });
});
