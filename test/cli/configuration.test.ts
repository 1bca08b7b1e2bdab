/** An environment as a file in git: printed, compared, and made so again, by the `andon` command against a real app. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { type Local, run } from "../../src/cli/program.ts";
import { SNAPSHOT_PATH } from "../../sdk-client/src/wire/protocol.ts";
import { expectJson, expectStatus, type Harness, seed, startHarness } from "../http/harness.ts";
import { makeToken } from "../support/server.ts";
import { batchOf, callFor } from "../support/usage.ts";

const folder = mkdtempSync(join(tmpdir(), "andon-configuration-"));
const file = join(folder, "andon.yaml");
const local: Local = { serve: async () => 0, demo: async () => 0, signInLink: async () => 0 };
const SLACK_URL = "https://hooks.slack.com/services/T0/B0/secret-of-slack";
let harness: Harness;

beforeAll(async () => {
  harness = await startHarness({ database: "memory" });
  await seed(harness);
  const production = (method: string, path: string, body: unknown, status = 201) =>
    expectStatus(harness.call(method, `/v1/environments/production/${path}`, { body }), status);
  const steps = [
    { model: "claude-sonnet-5-5", set: { temperature: 0.2 }, unset: ["thinking"] },
    { model: "claude-haiku-4-5" },
  ];
  await production("PUT", "chains/summaries", { steps });
  await production("POST", "flags", {
    key: "summaries",
    name: "Summaries \u202e of \u0085 night",
    chain: "summaries",
    offMode: "message",
    offMessage: "Not now.\nTry later: yes, no # or '\"",
    tags: ["team-support"],
    rollout: 42.5,
    rules: [{ name: "staff", when: [{ attribute: "plan", operator: "in", value: ["1", 2, true] }], then: "off" }],
    limits: { user: { requestsPerMinute: 6 } },
    maxOutputTokens: 4_096,
  });
  await production("POST", "budgets", { name: "Support, daily", scope: { tag: "team-support" }, limitUsd: 12.5 });
  await production("POST", "budgets", {
    name: "Each user: 1 USD",
    scope: { user: "each" },
    limitUsd: 1,
    ladder: [{ atPercent: 100, action: "kill" }],
  });
  await production("POST", "channels", { kind: "slack", name: "#on-call", url: SLACK_URL, minSeverity: "warning" });
  await production("POST", "channels", {
    kind: "email",
    name: "Team list",
    to: "team@example.com",
    quietHours: { from: "22:00", to: "06:00", timezone: "Europe/Berlin" },
  });
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await harness.close();
});

async function andon(args: readonly string[], stdin = "", env: Record<string, string> = {}) {
  const out: string[] = [];
  const err: string[] = [];
  const io = {
    env: { ANDON_URL: "http://localhost", ANDON_OP_TOKEN: harness.tokens.admin, ...env },
    out: (line: string) => out.push(line),
    err: (line: string) => err.push(line),
    progress: null,
    ask: null,
    stdin: async () => stdin,
    fetch: async (...call: Parameters<typeof fetch>) => harness.app.request(new Request(...call)),
    nowMs: () => Date.now(),
    monotonicMs: () => 0,
    sleep: async () => undefined,
  };
  const code = await run(args, io, local, "1.2.3");
  return { code, out: out.join("\n"), err: err.join("\n") };
}

const exported = async (env = "production") => (await andon(["export", "--env", env])).out;
const write = (text: string): void => writeFileSync(file, text);
const edit = (from: string | RegExp, to: string): void => write(readFileSync(file, "utf8").replace(from, to));
const patchFlag = (key: string, body: object) =>
  expectStatus(harness.call("PATCH", `/v1/environments/production/flags/${key}`, { body }), 200);
const revision = async () =>
  (await expectJson(harness.call("GET", "/v1/environments/production"), z.object({ revision: z.string() }))).revision;

/** What clients poll, but for what names the environment and its budgets. */
async function snapshotOf(env: string): Promise<unknown> {
  const token = await makeToken(harness.deps, { kind: "sdk", environments: [env] });
  const headers = { "andon-instance": "host-1" };
  const body = await expectJson(harness.call("GET", SNAPSHOT_PATH, { token, headers }), z.looseObject({}));
  const text = JSON.stringify({ ...body, environment: "", revision: "", committedAtMs: 0 });
  const ids = z.object({ items: z.array(z.object({ id: z.string(), name: z.string() })) });
  const { items } = await expectJson(harness.call("GET", `/v1/environments/${env}/budgets`), ids);
  return JSON.parse(items.reduce((all, { id, name }) => all.replaceAll(id, name), text));
}

it("export | apply on an empty environment reproduces the same snapshot, and twice changes nothing", async () => {
  const text = await exported();
  const secretless = await andon(["apply", "-f", "-", "--env", "staging"], text);
  expect(secretless.code).toBe(1);
  expect(secretless.out).toContain("refused: set ANDON_CHANNEL_ON_CALL_URL to its url");
  expect(await exported("staging")).toContain("flags: {}");

  const secret = { ANDON_CHANNEL_ON_CALL_URL: SLACK_URL };
  const first = await andon(["apply", "-f", "-", "--env", "staging"], text, secret);
  expect(first).toMatchObject({ code: 0, err: "" });
  expect(first.out).toMatch(
    /^\+ chain opus-first\n\+ chain summaries\n\+ flag summaries\n.*Done: 8 changes in staging\.$/s,
  );
  expect(await snapshotOf("staging")).toEqual(await snapshotOf("production"));
  expect((await exported("staging")).replaceAll("staging", "production")).toBe(text);

  const second = await andon(["apply", "-f", "-", "--env", "staging"], text);
  expect(second).toEqual({ code: 0, out: "staging is as the file has it: nothing to change.", err: "" });
  expect((await andon(["diff", "-f", "-", "--env", "staging"], text)).code).toBe(0);
});

it("secrets of channels are in no file", async () => {
  const { out, err } = await andon(["export"]);
  expect(out).not.toContain("secret-of-slack");
  expect(out).toContain("urlFrom: ANDON_CHANNEL_ON_CALL_URL");
  expect(err).toContain("set the variable that its urlFrom or routingKeyFrom names");
});

it("an edit in between is shown by diff and refused without --force; the file's own edits are not", async () => {
  write(await exported());
  edit("rollout: 42.5", "rollout: 50");
  expect((await andon(["apply", "-f", file])).code).toBe(0);
  // The file knows of what it did itself: the next edit is its own again.
  edit("rollout: 50", "rollout: 60");
  const before = await revision();
  const dry = await andon(["apply", "-f", file, "--dry-run"]);
  expect(dry).toEqual({ code: 0, out: "~ flag summaries\n    rollout: 50 → 60", err: "" });
  expect(await revision()).toBe(before);
  expect((await andon(["apply", "-f", file])).code).toBe(0);

  await patchFlag("support-chat", { owner: "maria" });
  const shown = await andon(["diff", "-f", file]);
  expect(shown).toMatchObject({ code: 4, out: '~ flag support-chat\n    owner: "maria" → ""' });
  expect(shown.err).toContain("production was edited since");
  const edited = await revision();
  const refused = await andon(["apply", "-f", file]);
  expect(refused.code).toBe(1);
  expect(refused.err).toContain("add --force");
  expect(await revision()).toBe(edited);
  expect(await andon(["apply", "-f", file, "--force", "--json"])).toMatchObject({ code: 0 });
  expect((await andon(["diff", "-f", file])).code).toBe(0);
});

it("what the file has not is kept, and deleted with --prune: a flag before its chain", async () => {
  write(await exported());
  const body = { key: "old-flag", name: "Old", chain: "old-chain" };
  await expectStatus(
    harness.call("PUT", "/v1/environments/production/chains/old-chain", {
      body: { steps: [{ model: "claude-haiku-4-5" }] },
    }),
    201,
  );
  await expectStatus(harness.call("POST", "/v1/environments/production/flags", { body }), 201);
  expect(await andon(["diff", "-f", file])).toMatchObject({
    code: 4,
    out: "  flag old-flag is not in the file's flags; --prune deletes it\n  chain old-chain is not in the file's chains; --prune deletes it",
  });
  const kept = await andon(["apply", "-f", file]);
  expect(kept.code).toBe(0);
  expect(kept.out).toContain("--prune");
  const pruned = await andon(["apply", "-f", file, "--prune"]);
  expect(pruned).toMatchObject({ code: 0, out: "- flag old-flag\n- chain old-chain\nDone: 2 changes in production." });
});

it("nothing that a person or a budget turned off is turned on, whoever forces it", async () => {
  const stateOf = async () => (await andon(["status", "summaries"])).out;
  const body = { reason: "leak" };
  await expectStatus(harness.call("POST", "/v1/environments/production/flags/summaries/kill", { body }), 200);
  write(await exported());
  edit("rollout: 60", "rollout: 100");
  expect((await andon(["apply", "-f", file])).code).toBe(0);
  expect(await stateOf()).toMatch(/^summaries: off /);
  await expectStatus(harness.call("POST", "/v1/environments/production/flags/summaries/restore", { body }), 200);

  const spent = {
    usage: { input: 5_000_000, output: 0, cacheWrite5m: 0, cacheWrite1h: 0, cacheRead: 0, webSearches: 0 },
  };
  const records = [callFor(0, { flag: "summaries", ...spent })];
  await expectStatus(harness.call("POST", "/sdk/v1/usage", { token: harness.tokens.sdk, body: batchOf(records) }), 200);
  const text = await exported();
  const edits: [string | RegExp, string, string][] = [
    ["limitUsd: 12.5", "limitUsd: 1000", "it holds summaries, support-chat now"],
    [/- team-support/, "- team-other", "tags: a budget holds it now"],
    [/chain: summaries/, "chain: opus-first", "chain: it is off or downgraded now"],
    ["temperature: 0.2", "temperature: 0.3", "summaries is off or downgraded now"],
  ];
  for (const [from, to, words] of edits) {
    write(text.replace(from, to));
    const refused = await andon(["apply", "-f", file, "--force"]);
    expect(refused.code, words).toBe(1);
    expect(refused.out).toContain(`refused: ${words}`);
    expect(await exported()).toBe(text);
  }
});

it.each([
  ["flags:\n  chat:\n    name: Chat\n    rollout: 101\n", ":5: flags.chat.rollout: must be 0 to 100"],
  ["flags:\n  chat:\n    name: Chat\n    rolout: 1\n", ":5: flags.chat.rolout: is not a field here"],
  ["flags:\n  chat:\n    owner: me\n", ":3: flags.chat.name: "],
  ["flags:\n  Chat!:\n    name: Chat\n", ":3: flags.Chat!: the name must be 1 to 64 lower-case"],
  [
    "chains:\n  a:\n    steps:\n      - model: claude-opus-5-5\n      - model: 7\n",
    ":6: chains.a.steps.1.model: must be a model id",
  ],
  ["flags:\n  chat: {name: a}\n  chat: {name: b}\n", ":4: Map keys must be unique"],
  ["channels:\n  a:\n    kind: slack\n    url: https://example.com/x\n", ":5: channels.a.url: is not a field here"],
])("a fault is told with its line and path, and nothing is done: %j", async (text, words) => {
  write(`andon: 1\n${text}`);
  const { code, err } = await andon(["apply", "-f", file]);
  expect(code).toBe(2);
  expect(err).toContain(`${file}${words}`);
});
