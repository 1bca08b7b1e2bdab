/** The `andon` command's verbs of money against a real app: what they print, what they change, and how they refuse. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Io } from "../../src/cli/io.ts";
import { type Local, run } from "../../src/cli/program.ts";
import { jsonOf } from "../support/json.ts";
import { expectStatus, type Harness, seed, startHarness } from "../http/harness.ts";
import { batchOf, callFor } from "../support/usage.ts";

const P = "/v1/environments/production";
const local: Local = { serve: async () => 0, demo: async () => 0, signInLink: async () => 0 };
let harness: Harness;

beforeAll(async () => {
  harness = await startHarness();
  await seed(harness);
  const budget = { name: "Chat, daily", scope: { flag: "support-chat" }, limitUsd: 10 };
  await expectStatus(harness.call("POST", `${P}/budgets`, { body: budget }), 201);
  const records = [
    callFor(6, { user: "ann" }),
    callFor(1.5, { model: "claude-sonnet-5-5", requestedModel: "claude-sonnet-5-5", user: "=bob" }),
    callFor(0.5, { flag: "draft-reply", outcome: "error" }),
  ];
  await expectStatus(harness.call("POST", "/sdk/v1/usage", { token: harness.tokens.sdk, body: batchOf(records) }), 200);
});
afterAll(() => harness.close());

async function andon(...args: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const io: Io = {
    env: { ANDON_URL: "http://localhost", ANDON_OP_TOKEN: harness.tokens.admin },
    out: (line) => out.push(line),
    err: (line) => err.push(line),
    progress: null,
    ask: null,
    fetch: async (input, init) => harness.app.request(new Request(input, init)),
    nowMs: () => Date.now(),
    monotonicMs: () => 0,
    sleep: async () => {},
  };
  const code = await run(args, io, local, "1.2.3");
  return { code, out: out.join("\n"), err: err.join("\n") };
}

describe("andon budgets", () => {
  it("says what each has spent, of what, and how it acts", async () => {
    const { code, out } = await andon("budgets");
    expect(code).toBe(0);
    expect(out).toMatch(
      /^Chat, daily: \$6\.75 of \$10\.00 a day \(67 %\), \$\d+\.\d\d\/h, limit reached .* UTC at this rate; trip$/,
    );
    const json: { items: object[] } = JSON.parse((await andon("budgets", "--json")).out);
    expect(json.items).toMatchObject([{ name: "Chat, daily", limitUsd: 10 }]);
  });

  it("raises one by its name until its window ends, with a reason, and shows it", async () => {
    expect(await andon("budget", "raise", "Chat, daily", "--add", "5")).toMatchObject({
      code: 2,
      err: "Give --reason <text>: why; the next on-call reads it.",
    });
    const { code, out } = await andon(
      "budget",
      "raise",
      "Chat, daily",
      "--add",
      "5",
      "--reason",
      "launch",
      "--no-wait",
    );
    expect(code).toBe(0);
    expect(out).toMatch(/^Raised until .* 00:00 UTC\. Chat, daily: \$6\.75 of \$15\.00 a day \(45 %\)/);
    const shown = (await andon("budget", "show", "Chat, daily")).out;
    expect(shown).toContain("counts calls of flag support-chat");
    expect(shown).toMatch(/raised by \$5\.00 until .* 00:00 UTC by \S.*, "launch"/);
    const audit = await jsonOf<{ items: object[] }>(await harness.call("GET", `${P}/audit?limit=1`));
    expect(audit.items).toMatchObject([{ action: "budget.raised", reason: "launch" }]);
  });

  it("names the budgets there are for one that is not there, and needs an amount", async () => {
    expect(await andon("budget", "show", "Chat")).toMatchObject({
      code: 1,
      err: 'There is no budget "Chat". There are: "Chat, daily".',
    });
    expect((await andon("budget", "raise", "Chat, daily", "--reason", "x")).code).toBe(2);
    expect((await andon("budget", "raise", "Chat, daily", "--add", "much", "--reason", "x")).code).toBe(2);
    expect((await andon("budget", "raise", "Chat, daily", "--add", "-1", "--reason", "x")).err).toContain("addUsd");
  });
});

describe("andon usage", () => {
  it("sums by what is asked for, dearest first, with the sum of all", async () => {
    const { code, out } = await andon("usage", "--by", "flag,model");
    expect(code).toBe(0);
    const [head, ...rows] = out.split("\n");
    expect(head).toMatch(/^From .* UTC to .* UTC: \$7\.25, 3 calls, 1 errors\.$/);
    expect(rows.map((row) => row.split(/\s+/))).toEqual([
      ["flag", "model", "spent", "calls", "errors", "prompt", "output"],
      ["support-chat", "claude-opus-5-5", "$6.00", "1", "0", "0", "300000"],
      ["support-chat", "claude-sonnet-5-5", "$0.75", "1", "0", "0", "75000"],
      ["draft-reply", "claude-opus-5-5", "$0.50", "1", "1", "0", "25000"],
    ]);
  });

  it("answers over time, as JSON and as CSV whose texts no spreadsheet runs", async () => {
    expect((await andon("usage", "--bucket", "day", "--last", "7d", "--flag", "draft-reply")).out).toMatch(
      /\n\d{4}-\d\d-\d\d 00:00 UTC {2}draft-reply/,
    );
    expect(JSON.parse((await andon("usage", "--json")).out)).toMatchObject({ source: "ledger", groupBy: ["flag"] });
    const { code, out } = await andon("usage", "--by", "user", "--csv");
    expect(code).toBe(0);
    expect(out.split("\n")[0]).toMatch(/^user,calls,attempts,errors,/);
    expect(out).toContain("\n'=bob,1,");
  });

  it("refuses a span that is none, and a grouping that is none", async () => {
    expect(await andon("usage", "--last", "soon")).toMatchObject({ code: 2 });
    expect(await andon("usage", "--last", "1h", "--from", "2026-01-01T00:00:00Z")).toMatchObject({ code: 2 });
    expect((await andon("usage", "--by", "colour")).err).toContain("groupBy");
  });

  it("of a name that nothing knows is an error that says which was meant, and not an empty table", async () => {
    const slip = 'No flag "suport-chat" has usage; did you mean "support-chat"?';
    for (const more of [[], ["--csv"], ["--json"]]) {
      expect(await andon("usage", "--flag", "suport-chat", ...more)).toMatchObject({
        code: 1,
        out: "",
        err: expect.stringContaining(slip),
      });
    }
    const model = await andon("usage", "--model", "claude-opus-5-6");
    expect(model).toMatchObject({
      code: 1,
      err: expect.stringMatching(/knows the model "claude-opus-5-6"; did you mean/),
    });
    const old = await andon(
      "usage",
      "--flag",
      "support-chat",
      "--from",
      "2020-01-01T00:00:00Z",
      "--to",
      "2020-01-02T00:00:00Z",
    );
    expect(old).toMatchObject({ code: 0, out: expect.stringContaining("no calls") });
    expect((await andon("audit", "--flag", "suport-chat")).err).toContain('did you mean "support-chat"?');
    expect((await andon("prices", "claude-opus-5-6")).err).toMatch(/did you mean "claude-opus-\d-\d"/);
  });
});

const set = (...args: string[]) => andon("prices", "set", ...args, "--reason", "published", "--no-wait");

describe("andon prices", () => {
  const NEXT = [
    "--input",
    "1",
    "--output",
    "8",
    "--cache-write-5m",
    "1.25",
    "--cache-write-1h",
    "2",
    "--cache-read",
    "0.1",
  ];

  it("lists what models cost, and one of them", async () => {
    const { out } = await andon("prices");
    expect(out).toMatch(/^claude-opus-5-5 +4 +20 +5 +8 +0\.2\n {2}fast mode +8 +40 +10 +16 +0\.4$/m);
    expect(out).toMatch(/^claude-mythos-5-2 .* Assumed: no price is published/m);
    expect((await andon("prices", "claude-haiku-4-5")).out.split("\n")).toHaveLength(2);
    expect(await andon("prices", "claude-haiku-9")).toMatchObject({
      code: 1,
      err: 'No price is known for "claude-haiku-9"; did you mean "claude-haiku-4-5"?',
    });
  });

  it("adds one with all its rates, and corrects what is given of one that is there", async () => {
    expect((await set("gpt-9", "--input", "1")).err).toBe(
      "gpt-9 has no price yet: give --output, --cache-write-5m, --cache-write-1h, --cache-read too, in USD per million tokens.",
    );
    const added = await set(
      "gpt-9",
      ...NEXT,
      "--fast",
      "2,16,2.5,4,0.2",
      "--from",
      "2026-01-01",
      "--alias",
      "gpt-9-mini",
    );
    expect(added).toMatchObject({ code: 0, err: "" });
    expect(added.out).toContain("gpt-9: 1 USD per million tokens of input and 8 of output from 2026-01-01 on");
    expect((await set("gpt-9", "--output", "9", "--from", "2026-01-01")).code).toBe(0);
    expect((await andon("prices", "gpt-9")).out).toMatch(
      /\ngpt-9 +1 +9 +1\.25 +2 +0\.1 +from 2026-01-01, by \S.*, "published"\n {2}fast mode +2 +16 +2\.5 +4 +0\.2$/,
    );
  });

  it("says what was already counted and keeps its cost", async () => {
    const { out } = await set("claude-opus-5-5", "--output", "21", "--from", "2026-01-01");
    expect(out).toMatch(
      /2 attempts since .* were already counted, at \$6\.50, and keep that; by this price they would be about \$6\.83\./,
    );
  });

  it("asks whether a slip is meant, and takes it when told so", async () => {
    expect((await set("claude-opus-5-6", ...NEXT)).err).toContain("If it is new, add --new-model.");
    expect((await set("gpt-9", "--output", "0.5")).err).toContain("If that is right, add --unusual.");
    expect((await set("gpt-9", "--output", "0.5", "--unusual")).code).toBe(0);
  });

  it("changes no other environment than the one that is named", async () => {
    const before = (await andon("prices", "gpt-9")).out;
    const nowhere = { code: 1, err: 'Not found: There is no environment "nowhere".' };
    expect(await set("gpt-9", "--output", "1.5", "--env", "nowhere")).toMatchObject(nowhere);
    const first = ["prices", "--env", "nowhere", "set", "gpt-9", "--output", "1.5", "--reason", "x", "--no-wait"];
    expect(await andon(...first)).toMatchObject(nowhere);
    expect((await andon("prices", "gpt-9")).out).toBe(before);
    expect((await andon("prices", "set", "--help")).out).toMatch(/--env <key>[\s\S]*$/);
  });
});

describe("a budget", () => {
  it("of each user's says whom it holds and no share of a sum; of one that reserves, what is held and not spent", async () => {
    const made = [
      { name: "Each user", scope: { user: "each" }, limitUsd: 2 },
      { name: "Reserved", scope: { flag: "support-chat" }, limitUsd: 10, enforcement: "reserve" },
    ];
    for (const body of made) await expectStatus(harness.call("POST", `${P}/budgets`, { body }), 201);
    expect((await andon("budgets")).out).toMatch(/^Each user: \$2\.00 for each, a day; 0 spent from it; trip$/m);
    const body = batchOf([callFor(2, { user: "ann" }), callFor(1, { user: "bob" })]);
    await expectStatus(harness.call("POST", "/sdk/v1/usage", { token: harness.tokens.sdk, body }), 200);
    const { out } = await andon("budget", "show", "Each user");
    expect(out).toMatch(/^Each user: \$2\.00 for each, a day; 2 spent from it, 1 stopped; trip\n/);
    expect(out).toMatch(/^  ann: \$2\.\d\d, stop\n  bob: \$1\.\d\d$/m);
    expect((await andon("budget", "show", "Reserved")).out).toContain(
      "held for calls $0.00 by 0 clients, 0 calls wait; indeterminate $0.00",
    );
  });
});

it("andon reconcile says how Claude's bill is read, where it is not", async () => {
  expect(await andon("reconcile", "--days", "40")).toMatchObject({ code: 1 });
  const { code, out } = await andon("reconcile", "--days", "7");
  expect(code).toBe(0);
  expect(out).toContain("the server has no ANDON_ANTHROPIC_ADMIN_KEY");
});
