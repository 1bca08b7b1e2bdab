/** What a person has at a terminal beside the verbs: a token that is kept, a live look, completion. Against a real app. */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Io } from "../../src/cli/io.ts";
import { type Local, run } from "../../src/cli/program.ts";
import { expectStatus, type Harness, seed, startHarness } from "../http/harness.ts";

const home = mkdtempSync(join(tmpdir(), "andon-login-"));
const kept = join(home, ".config", "andon", "login.json");
const local: Local = { serve: async () => 0, demo: async () => 0, signInLink: async () => 0 };
let harness: Harness;
/** Where requests went, and with which token. */
let sent: { host: string; token: string }[] = [];

beforeAll(async () => {
  harness = await startHarness();
  await seed(harness);
});
afterAll(async () => {
  rmSync(home, { recursive: true });
  await harness.close();
});

async function andon(args: readonly string[], more: Partial<Io> = {}) {
  const out: string[] = [];
  const err: string[] = [];
  sent = [];
  const io: Io = {
    env: { HOME: home },
    out: (line) => out.push(line),
    err: (line) => err.push(line),
    progress: null,
    ask: null,
    fetch: async (input, init) => {
      const request = new Request(input, init);
      const token = request.headers.get("authorization")?.slice("Bearer ".length) ?? "";
      sent.push({ host: new URL(request.url).host, token });
      return harness.app.request(request);
    },
    nowMs: () => Date.parse("2026-11-28T02:41:07Z"),
    monotonicMs: () => 0,
    sleep: async () => undefined,
    ...more,
  };
  const code = await run(args, io, local, "1.2.3");
  return { code, out: out.join("\n"), err: err.join("\n") };
}

async function login(token: string): ReturnType<typeof andon> {
  return andon(["login", "--url", "http://one.example.com"], { stdin: async () => `${token}\n` });
}

describe("andon login", () => {
  it("keeps no token that the server does not know", async () => {
    expect((await login("andon_op_unknown")).code).toBe(1);
    expect(existsSync(kept)).toBe(false);
  });

  it("keeps the token where only its user can read it, and the next command uses it", async () => {
    const { code, out } = await login(harness.tokens.viewer);
    expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining("(role viewer, all environments)") });
    expect(out).not.toContain(harness.tokens.viewer);
    expect(statSync(kept).mode & 0o777).toBe(0o600);
    expect((await andon(["status", "support-chat"])).out).toContain("support-chat: on");
    expect(sent[0]).toEqual({ host: "one.example.com", token: harness.tokens.viewer });
  });

  it("what the environment says wins, and the token goes to no other server", async () => {
    const env = { HOME: home, ANDON_URL: "http://two.example.com" };
    await andon(["status"], { env: { ...env, ANDON_OP_TOKEN: harness.tokens.operator } });
    expect(sent[0]).toEqual({ host: "two.example.com", token: harness.tokens.operator });
    const { code, err } = await andon(["status"], { env });
    expect({ code, sent, err }).toEqual({ code: 2, sent: [], err: expect.stringContaining("Set ANDON_OP_TOKEN") });
  });

  it("a file that others can read is not used; login mends it, logout removes it", async () => {
    chmodSync(kept, 0o644);
    expect(await andon(["status"])).toMatchObject({ code: 2, err: expect.stringContaining("can be read by others") });
    expect((await login(harness.tokens.viewer)).code).toBe(0);
    expect(statSync(kept).mode & 0o777).toBe(0o600);
    expect(readFileSync(kept, "utf8")).toContain(harness.tokens.viewer);
    expect((await andon(["logout"])).code).toBe(0);
    expect(existsSync(kept)).toBe(false);
  });
});

const env = () => ({ ANDON_URL: "http://localhost", ANDON_OP_TOKEN: harness.tokens.viewer });

it("andon watch says what is so, then what is new with its time, and when the server is away and back", async () => {
  const kill = { body: { reason: "leak" } };
  const path = "/v1/environments/production/flags/support-chat";
  let isAway = false;
  const between = [
    async () => {},
    async () => void (await expectStatus(harness.call("POST", `${path}/kill`, kill), 200)),
    async () => void (isAway = true),
    async () => void (isAway = false),
  ];
  const { code, out } = await andon(["watch", "--times", "5"], {
    env: env(),
    sleep: async () => between.shift()?.(),
    fetch: async (input, init) => {
      if (isAway) throw new TypeError("fetch failed");
      return harness.app.request(new Request(input, init));
    },
  });
  expect(code).toBe(0);
  const lines = out.split("\n");
  const about = (text: string) => lines.filter((line) => line.includes(text));
  expect(lines[0]).toMatch(/^02:41:07 UTC {2}production, revision /);
  expect(about("support-chat: on")).toHaveLength(1);
  expect(about("support-chat: off since")[0]).toMatch(/^02:41:07 UTC {2}support-chat: off since .*"leak"/);
  expect(about("No answer from http://localhost")).toHaveLength(1);
  expect(about("no more")).toEqual([]);
  expect(lines.at(-1)).toContain("The server answers again.");
});

it.each([
  ["andon st", "status"],
  ["andon apply --dr", "--dry-run"],
  ["andon budget ra", "raise"],
])("completion in a real bash: %s is %s", async (typed, whole) => {
  const { out } = await andon(["completion", "bash"]);
  const words = typed.split(" ");
  const script = `${out}\nCOMP_WORDS=(${words.join(" ")}); COMP_CWORD=${String(words.length - 1)}; _andon; echo "\${COMPREPLY[*]}"`;
  expect(execFileSync("bash", ["--norc", "-c", script], { encoding: "utf8" }).trim()).toBe(whole);
});
