/** The demo as a newcomer runs it, from what is built, and what it does when its claims are not true. */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { runDemo } from "../../src/demo/story/run.ts";
import { ORDINARY } from "../../src/demo/story/stage.ts";
import { trafficFlows } from "../../src/demo/story/story.ts";

const DEMO = fileURLToPath(new URL("../../dist/src/demo/main.js", import.meta.url));
/** Under a minute on a machine of its own; tests share theirs. */
const DEMO_TIMEOUT_MS = 240_000;
const CHAPTER_TIMEOUT_MS = 120_000;

const run = promisify(execFile);

/** What it printed; when it failed, what it printed is the reason. */
async function tellingWhy(demo: Promise<{ stdout: string }>): Promise<string> {
  try {
    return (await demo).stdout;
  } catch (error) {
    const said = error instanceof Error && "stdout" in error ? String(error.stdout) : "nothing";
    throw new Error(`the demo failed; it said:\n${said}`, { cause: error });
  }
}

test(
  "the demo holds everything it claims, exits 0 and leaves nothing behind",
  { timeout: DEMO_TIMEOUT_MS },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "andon-test-"));
    try {
      const env = { ...process.env, TMPDIR: folder };
      const stdout = await tellingWhy(run(process.execPath, [DEMO], { env, timeout: DEMO_TIMEOUT_MS }));
      expect(stdout).toMatch(/All \d+ claims held\./);
      expect(stdout).not.toContain("✗");
      expect(stdout).toMatch(/receipts from the API: 3 of 3 instances applied it/);
      expect(stdout).toMatch(/running calls aborted +\d+/);
      expect(stdout).toMatch(/trip committed → last call sent +\d/);
      const books = /([\d.]+) USD on the bill for \d+ calls, ([\d.]+) USD in the ledger/.exec(stdout);
      expect(books?.[1]).toMatch(/^\d+\.\d{9}$/);
      expect(books?.[1]).toBe(books?.[2]);
      expect(await readdir(folder)).toEqual([]);
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);

test(
  "with an endpoint that breaks what the demo claims, the claim fails and says what was seen",
  { timeout: CHAPTER_TIMEOUT_MS },
  async () => {
    const lines: string[] = [];
    const failures = await runDemo({
      print: (line) => lines.push(line),
      chapters: [trafficFlows],
      // Answers that stop short of their last words: given out as whole, they would be a lie.
      answers: { ...ORDINARY, kind: "answer", text: "The cord", tokenIntervalMs: 1 },
    });
    expect(failures).toHaveLength(1);
    expect(failures[0]).toMatch(/cut \(end_turn\)/);
    expect(lines.join("\n")).toContain("1 of 1 claims did not hold");
  },
);

test("an unknown option is refused with the usage, and --help explains the demo", async () => {
  const { stdout } = await run(process.execPath, [DEMO, "--help"]);
  expect(stdout).toContain("Usage: npm run demo");
  await expect(run(process.execPath, [DEMO, "--kepe"])).rejects.toMatchObject({ code: 2 });
});
