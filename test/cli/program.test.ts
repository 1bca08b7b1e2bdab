/** The `andon` command against a real app: what it prints, what it waits for, and the code it exits with. */
import { sql } from "drizzle-orm";
import { z } from "zod";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Io } from "../../src/cli/io.ts";
import { type Local, run } from "../../src/cli/program.ts";
import { instances } from "../../src/db/schema/state.ts";
import { ACCOUNT } from "../../src/domain/actor.ts";
import { runAccountFaults } from "../../src/services/accounts/account-faults.ts";
import { SNAPSHOT_PATH } from "../../sdk-client/src/wire/protocol.ts";
import { expectJson, expectStatus, type Harness, seed, startHarness } from "../http/harness.ts";
import { batchOf, callFor, dailyBudget } from "../support/usage.ts";

let harness: Harness;
let clockMs = 0;
/** What happens while the command sleeps between two questions. */
let whileAsleep: () => Promise<void> = async () => {};

beforeAll(async () => {
  harness = await startHarness({ database: "memory" });
  await seed(harness);
});
beforeEach(() => {
  whileAsleep = async () => {};
});
afterAll(() => harness.close());

interface Result {
  code: number;
  out: string;
  err: string;
}

const local: Local = { serve: async () => 0, demo: async (args) => args.length, signInLink: async () => 0 };

async function andon(
  args: readonly string[],
  env: Record<string, string> = {},
  ask: Io["ask"] = null,
): Promise<Result> {
  const out: string[] = [];
  const err: string[] = [];
  const io: Io = {
    env: { ANDON_URL: "http://localhost", ANDON_OP_TOKEN: harness.tokens.operator, ...env },
    out: (line) => out.push(line),
    err: (line) => err.push(line),
    progress: null,
    ask,
    fetch: async (input, init) => harness.app.request(new Request(input, init)),
    nowMs: () => Date.now(),
    monotonicMs: () => clockMs,
    sleep: async (delayMs) => {
      clockMs += delayMs;
      await whileAsleep();
    },
  };
  const code = await run(args, io, local, "1.2.3");
  return { code, out: out.join("\n"), err: err.join("\n") };
}

/** One poll of a client: its receipt for what it has. Answers with the revision it has now. */
async function poll(instance: string, revision?: string): Promise<string> {
  const headers = { "andon-instance": instance, ...(revision !== undefined && { "if-none-match": revision }) };
  const response = await harness.call("GET", SNAPSHOT_PATH, { token: harness.tokens.sdk, headers });
  return response.headers.get("etag") ?? revision ?? "";
}

const secondsAgo = (seconds: number) => sql`clock_timestamp() - make_interval(secs => ${seconds})`;

it("status says what calls really use, and which keys no flag has", async () => {
  const newest = await harness.call("GET", "/v1/environments/production/receipts");
  const { revision } = z.looseObject({ revision: z.string() }).parse(await newest.json());
  const dear = { model: "claude-fable-5-1", requestedModel: "claude-fable-5-1" };
  const records = [callFor(0, { ...dear, revision }), callFor(0, { flag: "suport-chat" })];
  await expectStatus(harness.call("POST", "/sdk/v1/usage", { token: harness.tokens.sdk, body: batchOf(records) }), 200);
  const { out } = await andon(["status"]);
  expect(out).toMatch(/^support-chat: on.*; asks for claude-fable-5-1, outside its chain$/m);
  expect(out).toMatch(/^suport-chat: no flag has this key, did you mean support-chat\? Asked for last .* by host-1$/m);
});

describe("andon kill", () => {
  it("turns the flag off and counts the receipts until every live instance applied it", async () => {
    const revision = await poll("host-1");
    await poll("host-1", revision);
    whileAsleep = async () => {
      const newest = await poll("host-1");
      await poll("host-1", newest);
    };
    const { code, out, err } = await andon(["kill", "support-chat", "--reason", "answers leak prices"]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(
      /^support-chat: off since .* UTC by test op, "answers leak prices"\n1 of 1 instances applied it/,
    );
  });

  it("exits with 3, naming who is late, when not every live instance applied it within 10 s", async () => {
    const startedMs = clockMs;
    const { code, out, err } = await andon(["kill", "--all", "--reason", "drill"]);
    expect(code).toBe(3);
    expect(clockMs - startedMs).toBeGreaterThanOrEqual(10_000);
    expect(out).toContain("Everything is off");
    expect(out).toContain("0 of 1 instances applied it");
    expect(err).toMatch(
      /^Not applied by host-1: live, last heard of \d+ s ago\nThe change is made, but not confirmed by all. Ask again: andon receipts --revision /,
    );
    expect((await andon(["restore", "--all", "--reason", "drill over", "--no-wait"])).code).toBe(0);
  });

  it("prints JSON when asked", async () => {
    const { out } = await andon(["kill", "support-chat", "--reason", "again", "--json", "--no-wait"]);
    expect(JSON.parse(out)).toMatchObject({
      key: "support-chat",
      switch: { state: "off" },
      revision: expect.any(String),
    });
  });

  it.each([
    ["cut", /connection lost \d+ s ago, may still be serving/],
    ["quiet", /not heard of for \d+ s, since /],
  ])(
    "waits three seconds only for one that was lost or is probably gone, and does not call it stopped: %s",
    async (how, words) => {
      const set = how === "cut" ? { disconnectedAt: secondsAgo(5.1) } : { lastSeen: secondsAgo(50.1) };
      const restoreAll = ["restore", "--all", "--reason", "drill over", "--no-wait"];
      await poll("host-1", await poll("host-1"));
      await harness.deps.instances.flush();
      await harness.deps.db.update(instances).set(set);
      const startedMs = clockMs;
      const { code, out, err } = await andon(["kill", "--all", "--reason", "drill"]);
      expect({ code, waitedMs: clockMs - startedMs }).toEqual({ code: 3, waitedMs: 3_000 });
      expect(out).toContain("0 of 1 instances applied it");
      expect(err).toMatch(new RegExp(`Not applied by host-1: ${words.source}`));
      expect((await andon(restoreAll)).code).toBe(0);
      await poll("host-1");
    },
  );

  it("works with a kill token, which may not read receipts: made, and not confirmed", async () => {
    const kill = ["kill", "support-chat", "--reason", "x"];
    const { code, err } = await andon(kill, { ANDON_OP_TOKEN: harness.tokens.kill });
    expect(code).toBe(3);
    expect((await andon([...kill, "--no-wait"], { ANDON_OP_TOKEN: harness.tokens.kill })).code).toBe(0);
    expect(err).toContain("The change is made, but its receipts cannot be read with this token");
  });
});

const stateLines = async () =>
  (await andon(["status"])).out.split("\n").filter((line) => /^(?:ticket|support|draft)/.test(line));

describe("a tag", () => {
  const tag = ["--tag", "team-support", "--reason", "leak"];

  it("kills all flags that carry it in one change with one proof, which a lost instance is named in, and no other flag", async () => {
    for (const key of ["ticket-triage", "draft-reply"]) {
      const body = { key, name: key, tags: key === "ticket-triage" ? ["team-support"] : [] };
      await expectStatus(harness.call("POST", "/v1/environments/production/flags", { body }), 201);
    }
    await andon(["restore", "support-chat", "--reason", "begin", "--no-wait"]);
    await harness.deps.db.delete(instances);
    const names = ["host-1", "host-2"];
    for (const name of names) await poll(name, await poll(name));
    await poll("gone");
    await harness.deps.instances.flush();
    await harness.deps.db
      .update(instances)
      .set({ disconnectedAt: secondsAgo(60) })
      .where(sql`instance = 'gone'`);
    whileAsleep = async () => {
      for (const name of names) await poll(name, await poll(name));
    };
    const { code, out, err } = await andon(["kill", ...tag]);
    expect(code).toBe(3);
    expect(out).toMatch(
      /^2 of 2 with the tag "team-support" changed\nsupport-chat: off .*\nticket-triage: off .*\n2 of 3 /,
    );
    expect(err).toContain("Not applied by gone: connection lost");
    expect(await stateLines()).toEqual([
      expect.stringMatching(/^draft-reply: on/),
      expect.stringMatching(/^support-chat: off .*"leak"/),
      expect.stringMatching(/^ticket-triage: off .*"leak"/),
    ]);
    const again = await andon(["kill", ...tag, "--no-wait"]);
    expect(again.out).toMatch(/^0 of 2 .*(?:\n.*\(it was so before\)){2}$/);
  });

  it("is restored where it is off, after a look at what that is; a kill token may not, and a slip is told", async () => {
    const killToken = await andon(["restore", ...tag], { ANDON_OP_TOKEN: harness.tokens.kill });
    expect(killToken).toMatchObject({ code: 1, out: "" });
    await andon(["restore", "ticket-triage", "--reason", "mended", "--no-wait"]);
    const { out, err } = await andon(["restore", "--tag", "team-support", "--no-wait"], {}, async () => "mended");
    expect(err).toMatch(/^Turns on what is off of 2 .*\nsupport-chat: off .*\nticket-triage: on/);
    expect(out).toMatch(/^1 of 2 .*\nsupport-chat: on.*\nticket-triage: on.*\(it was so before\)$/);
    const slip = await andon(["kill", "--tag", "team-suport", "--reason", "x"]);
    expect(slip).toMatchObject({ code: 1, out: "" });
    expect(slip.err).toContain('did you mean "team-support"?');
    expect(await andon(["kill", "support-chat", ...tag])).toMatchObject({ code: 2, out: "" });
  });

  it("is asked why once after a kill, for all that was turned off", async () => {
    const { out } = await andon(["kill", "--tag", "team-support", "--no-wait"], {}, async () => "leak again");
    expect(out).toContain("Noted: leak again");
    expect((await stateLines()).filter((line) => line.includes('"leak again"'))).toHaveLength(2);
    await andon(["restore", ...tag, "--no-wait"]);
    await harness.deps.db.delete(instances);
    await poll("host-1", await poll("host-1"));
    for (const key of ["ticket-triage", "draft-reply"])
      await expectStatus(harness.call("DELETE", `/v1/environments/production/flags/${key}`), 200);
  });
});

const reasonNow = async () => (await andon(["status", "support-chat"])).out;
const asked = async () => {
  throw new Error("was asked");
};

describe("why", () => {
  const quick = ["kill", "support-chat", "--no-wait"];
  const restoreIt = ["restore", "support-chat", "--no-wait", "--reason", "next test"];
  beforeEach(async () => {
    await andon(restoreIt);
  });

  it("is asked after a kill on a terminal: by then the flag is off", async () => {
    let stateWhenAsked = "";
    const { code, out, err } = await andon(quick, {}, async () => {
      stateWhenAsked = await reasonNow();
      return "2";
    });
    expect(code).toBe(0);
    expect(stateWhenAsked).toMatch(/^support-chat: off since .* by test op$/);
    expect(err).toContain("1 Cost · 2 Bad answers");
    expect(out).toContain("Noted: Bad answers");
    expect(await reasonNow()).toContain('"Bad answers"');
  });

  it("may be told later: an empty answer, or none, leaves the kill as it is", async () => {
    for (const answer of ["", null]) {
      expect((await andon(quick, {}, async () => answer)).code).toBe(0);
      expect(await reasonNow()).toMatch(/^support-chat: off since .* by test op$/);
    }
  });

  it("is never asked in a pipe, with --reason, or of a kill token; the kill is made all the same", async () => {
    const piped = await andon(quick);
    expect(piped).toMatchObject({ code: 0, err: expect.stringContaining("No reason was given") });
    await andon(restoreIt);
    expect((await andon([...quick, "--reason", "given"], {}, asked)).code).toBe(0);
    await andon(restoreIt);
    expect((await andon([...quick, "--json"], {}, asked)).code).toBe(0);
    await andon(restoreIt);
    expect((await andon(quick, { ANDON_OP_TOKEN: harness.tokens.kill }, asked)).code).toBe(0);
    expect(await reasonNow()).toContain("off since");
  });

  it("that is answered after somebody restored the flag does not turn it off again", async () => {
    const { code, err } = await andon(quick, {}, async () => {
      await andon(restoreIt);
      return "too late";
    });
    expect(code).toBe(0);
    expect(err).toContain("Its reason was not noted");
    expect(await reasonNow()).toMatch(/^support-chat: (?:on|downgraded)/);
  });

  it("is asked before a restore until it is answered; in a pipe that is wrong usage and nothing is done", async () => {
    await andon([...quick, "--reason", "x"]);
    const restore = ["restore", "support-chat", "--no-wait"];
    const piped = await andon(restore);
    expect(piped).toMatchObject({ code: 2, err: expect.stringContaining("Give --reason") });
    expect((await andon(restore, {}, async () => null)).err).toContain("Nothing was changed");
    expect(await reasonNow()).toContain("off since");
    const answers = ["", "1"];
    expect((await andon(restore, {}, async () => answers.shift() ?? null)).code).toBe(0);
    expect((await andon(["audit", "--flag", "support-chat", "--limit", "1"])).out).toContain('"Fixed"');
  });
});

describe("the other verbs", () => {
  it("restore, downgrade, block, status and audit say what is so now", async () => {
    const quick = ["--reason", "x", "--no-wait"];
    await andon(["kill", "support-chat", ...quick]);
    expect((await andon(["restore", "support-chat", ...quick])).out).toBe("support-chat: on, claude-opus-5-5");
    expect((await andon(["downgrade", "support-chat", ...quick])).out).toMatch(
      /^support-chat: downgraded to claude-sonnet-5-5 since/,
    );
    expect((await andon(["downgrade", "support-chat", "--model", "claude-haiku-4-5", ...quick])).out).toContain(
      "claude-haiku-4-5",
    );
    expect((await andon(["block", "claude-haiku-4-5", ...quick])).out).toBe("claude-haiku-4-5: blocked");
    const status = await andon(["status"]);
    expect(status.out).toContain("The master switch is on");
    expect(status.out).toContain("claude-haiku-4-5: blocked by test op");
    expect(status.out).toMatch(/support-chat: off since .* UTC, every model of its chain is blocked by test op, "x"/);
    expect((await andon(["unblock", "claude-haiku-4-5", ...quick])).out).toBe("claude-haiku-4-5: not blocked");
    expect((await andon(["status", "support-chat"])).out).toContain("downgraded to claude-haiku-4-5");
    expect((await andon(["audit", "--flag", "support-chat", "--limit", "1"])).out).toMatch(
      /flag\.moved {2}flag support-chat {2}by test op, "the block of claude-haiku-4-5 was lifted: x"$/,
    );
    expect((await andon(["receipts"])).out).toMatch(/instances applied it/);
    expect((await andon(["status", "--env", "staging"])).out).toContain("There are no flags yet");
  });
});

describe("what is so, and not what was asked for", () => {
  const quick = ["--reason", "x", "--no-wait"];
  const budgets = "/v1/environments/production/budgets";

  it("a downgrade of a flag that is off is for later", async () => {
    await andon(["kill", "support-chat", ...quick]);
    const { out } = await andon(["downgrade", "support-chat", "--level", "1", ...quick]);
    expect(out).toMatch(
      /^support-chat: off since .* by test op, "x"; will step to claude-sonnet-5-5 or further down when restored$/,
    );
    expect((await andon(["restore", "support-chat", ...quick])).out).toMatch(
      /^support-chat: downgraded to claude-sonnet/,
    );
    expect((await andon(["restore", "support-chat", ...quick])).out).toBe("support-chat: on, claude-opus-5-5");
  });

  it("whoever kills or restores what is so already is told that nothing changed", async () => {
    const kill = ["kill", "support-chat", "--no-wait", "--reason"];
    expect((await andon([...kill, "first"])).out).not.toContain("nothing changed");
    expect((await andon([...kill, "first"])).out).toMatch(
      /^support-chat: off since .*\(it was so before: nothing changed\)$/,
    );
    await andon(["restore", "support-chat", ...quick]);
    expect((await andon(["restore", "support-chat", ...quick])).out).toContain("nothing changed");
    expect((await andon(["restore", "--all", ...quick])).out).toBe(
      "The master switch is on (it was so before: nothing changed)",
    );
  });

  it("a restore under a dark master says that the flag stays off, and the master's says which flags do", async () => {
    await andon(["kill", "--all", ...quick]);
    await andon(["kill", "support-chat", ...quick]);
    expect((await andon(["restore", "support-chat", ...quick])).out).toMatch(
      /^support-chat: off since .* UTC by the master switch, test op, "x"; its own switch is on$/,
    );
    await andon(["kill", "support-chat", ...quick]);
    expect((await andon(["restore", "--all", ...quick])).out).toMatch(
      /^The master switch is on\nNot back: support-chat: off since .* by test op, "x"$/,
    );
    await andon(["restore", "support-chat", ...quick]);
  });

  it("a tripped flag names its budget, and its restore says that the trip is overridden", async () => {
    const budget = { name: "Daily", scope: { flag: "support-chat" }, limitUsd: 1, period: "day", timezone: "UTC" };
    const ladder = [
      { atPercent: 80, action: "downgrade" },
      { atPercent: 100, action: "kill" },
    ];
    await expectStatus(harness.call("POST", budgets, { body: { ...budget, ladder } }), 201);
    const body = batchOf([callFor(2, { at: Date.now() })]);
    await expectStatus(harness.call("POST", "/sdk/v1/usage", { token: harness.tokens.sdk, body }), 200);
    expect((await andon(["status", "support-chat"])).out).toMatch(
      /^support-chat: off since .*, budget "Daily" reached 100 %, until /,
    );
    expect((await andon(["restore", "support-chat", ...quick])).out).toMatch(
      /^support-chat: over its limit, claude-opus-5-5, since .* UTC, test op restored it over budget "Daily", "x": \$2\.00 of \$1\.00\nBudget "Daily" had reached 80 % and 100 %: overridden until its window ends\. No higher step is left: nothing stops its spending until then\.$/,
    );
    await andon(["kill", "support-chat", "--reason", "leak", "--no-wait"]);
    const again = await andon(["restore", "support-chat", "--reason", "the leak is closed", "--no-wait"]);
    expect(again.out, "who let it run is who restored it last").toMatch(
      /^support-chat: over its limit, .*, test op restored it over budget "Daily", "the leak is closed": [^"]*$/,
    );
    expect((await andon(["status", "support-chat"])).out).toBe(again.out);
  });

  it("who refuses by ANDON_KILL does not follow a restore: it is named, is not waited for, and status names it", async () => {
    const refuses: Record<string, string> = { "host-7": "support-chat", "host-8": "*" };
    const report = async (instance: string) => {
      const headers = { "andon-instance": instance, "andon-local": refuses[instance] ?? "" };
      const first = await harness.call("GET", SNAPSHOT_PATH, { token: harness.tokens.sdk, headers });
      const had = first.headers.get("etag") ?? "";
      await harness.call("GET", SNAPSHOT_PATH, {
        token: harness.tokens.sdk,
        headers: { ...headers, "if-none-match": had },
      });
    };
    await harness.deps.db.delete(instances);
    const all = async () => {
      for (const name of ["host-1", "host-7", "host-8"]) await report(name);
    };
    whileAsleep = all;
    await all();
    const kill = await andon(["kill", "support-chat", "--reason", "leak"]);
    expect(kill).toMatchObject({ code: 0, err: "" });
    expect(kill.out).toContain("3 of 3 instances applied it");
    const startedMs = clockMs;
    const restore = await andon(["restore", "support-chat", "--reason", "mended"]);
    expect(restore).toMatchObject({ code: 0, err: "" });
    expect(clockMs - startedMs).toBeLessThan(3000);
    expect(restore.out).toMatch(
      /^1 of 1 instances applied it.*\n2 more refuse by ANDON_KILL: host-7, host-8; they do not follow a restore$/m,
    );
    const words = "2 instances refuse by ANDON_KILL: host-7 (support-chat), host-8 (everything)";
    expect((await andon(["status"])).out).toContain(words);
    expect((await andon(["status", "support-chat"])).out).toContain(words);
    const { out } = await andon(["status", "--json"]);
    const refusing = [
      { instance: "host-7", flags: ["support-chat"] },
      { instance: "host-8", flags: ["*"] },
    ];
    expect(JSON.parse(out)).toMatchObject({ refusing });
    await harness.deps.db.delete(instances);
  });
});

describe("a process that somebody knows to be dead", () => {
  it("is declared dead by the name that the command itself gives, one alone or all that are lost", async () => {
    await poll("alive");
    for (const name of ["gone-1", "gone-2", "it's gone"]) await poll(name);
    await harness.deps.instances.flush();
    const gone = sql`instance like '%gone%'`;
    await harness.deps.db
      .update(instances)
      .set({ disconnectedAt: secondsAgo(60) })
      .where(gone);
    const listed = await andon(["instances"]);
    expect(listed.out).toMatch(/^\d live, 3 lost \(may still be serving\), /);
    expect(listed.out).toMatch(/^gone-1: connection lost 1 min ago, may still be serving, has applied nothing yet$/m);
    const kill = await andon(["kill", "support-chat", "--reason", "drill"]);
    expect(kill.err).toMatch(/^If you know that one is dead: andon declare-dead gone-1$/m);
    const one = await andon(["declare-dead", "it's gone", "--reason", "its node is gone"]);
    expect(one).toMatchObject({ code: 0, err: "" });
    expect(one.out).toMatch(/^Declared dead: it's gone\. No longer counted; whoever is heard of again counts again/);
    const all = await andon(["declare-dead", "--all", "--json"]);
    expect(JSON.parse(all.out)).toMatchObject({ declared: 2, instances: ["gone-1", "gone-2"] });
    expect((await andon(["declare-dead", "--all"])).out).toBe("No connection is lost: nothing to declare.");
    expect((await andon(["audit"])).out).toContain("declared-dead  instance it's gone  by test op");
    const alive = await andon(["declare-dead", "alive"]);
    expect(alive).toMatchObject({ code: 1, out: "" });
    expect(alive.err).toContain("alive is connected: it would be counted again with its next poll.");
    expect((await andon(["declare-dead", "gone-1"])).err).toBe(
      'No instance "gone-1" runs or may still run. Lost now: none.',
    );
    await poll("gone-1");
    await harness.deps.instances.flush();
    expect((await andon(["instances"])).out).toMatch(
      /^gone-1: live, .*; was declared dead by test op at .* UTC, and is polling$/m,
    );
    await andon(["restore", "support-chat", "--reason", "drill over", "--no-wait"]);
    await harness.deps.db.delete(instances);
  });
});

it("a name that looks like a slip is confirmed with the command's own option", async () => {
  const { code, err } = await andon(["block", "claude-sonet-5-5", "--reason", "x", "--no-wait"]);
  expect(code).toBe(1);
  expect(err).toMatch(/did you mean "claude-sonnet-5-5"\? If it is new, add --new-model\.$/);
  expect(err).not.toContain("newModel");
});

describe("wrong usage exits with 2", () => {
  it.each([
    [["restore", "support-chat"]],
    [["kill", "--reason", "x"]],
    [["kill", "support-chat", "--all", "--reason", "x"]],
    [["restore", "--all", "--ramp", "10", "--reason", "x"]],
    [["downgrade", "support-chat", "--level", "far", "--reason", "x"]],
    [["frobnicate"]],
    [["status", "--nonsense"]],
  ])("%j", async (args) => {
    const { code, err } = await andon(args);
    expect(code).toBe(2);
    expect(err).not.toBe("");
  });

  it.each([[["declare-dead"]], [["declare-dead", "host-1", "--all"]]])(
    "%j, which names nobody or too many",
    async (args) => {
      expect(await andon(args)).toMatchObject({ code: 2, out: "" });
    },
  );

  it.each([[["raise", "daily", "--reason", "x"]], [["channels"]]])(
    "a command that is not there, %j, is answered with those that are and where budgets are",
    async (args) => {
      const { code, err } = await andon(args);
      expect(code).toBe(2);
      expect(err).toContain(`unknown command '${args[0] ?? ""}'`);
      expect(err).toContain("Commands: serve, demo, sign-in-link, status, kill, restore, drill, downgrade, block");
      expect(err).toContain("Budgets are made and edited on the board");
    },
  );

  it.each([{ ANDON_OP_TOKEN: "" }, { ANDON_URL: "" }, { ANDON_URL: "localhost:4280" }])("%j", async (env) => {
    const { code, err } = await andon(["status"], env);
    expect(code).toBe(2);
    expect(err).toContain(Object.keys(env)[0]);
  });
});

describe("a token of the wrong kind", () => {
  it.each([
    [{ ANDON_OP_TOKEN: "", ANDON_TOKEN: "andon_sdk_secret" }, "ANDON_TOKEN is the application's (kind sdk)"],
    [{ ANDON_OP_TOKEN: "andon_sdk_secret" }, "ANDON_OP_TOKEN holds an sdk token"],
  ])("is told which one the command wants, and where to make it: %j", async (env, words) => {
    const { code, err } = await andon(["status"], env);
    expect(code).toBe(2);
    expect(err).toContain(words);
    expect(err).toContain("Set ANDON_OP_TOKEN to an op token");
    expect(err).toContain("Tokens page");
    expect(err).not.toContain("secret");
  });
});

describe("what fails exits with 1 and says what to do", () => {
  it.each([
    [["status", "nowhere"], {}, 'There is no flag "nowhere"'],
    [["status"], { ANDON_OP_TOKEN: "andon_op_unknown" }, "Check ANDON_OP_TOKEN"],
    [["status", "--env", "nowhere"], {}, 'There is no environment "nowhere"'],
    [["kill", "support-chat", "--reason", "x", "--until", "2020-01-01T00:00:00Z"], {}, "until: must be in the future"],
    [["restore", "support-chat", "--reason", "x"], { ANDON_OP_TOKEN: "kill" }, "Not allowed"],
  ] as const)("%j", async (args, env, words) => {
    const token =
      "ANDON_OP_TOKEN" in env && env.ANDON_OP_TOKEN === "kill" ? { ANDON_OP_TOKEN: harness.tokens.kill } : env;
    const { code, err } = await andon(args, token);
    expect(code).toBe(1);
    expect(err).toContain(words);
    expect(err).not.toContain(harness.tokens.operator);
  });

  it("a server that does not answer, with the way to stop calls without it", async () => {
    const io: Io = {
      env: { ANDON_URL: "http://127.0.0.1:1", ANDON_OP_TOKEN: "x" },
      out: () => {},
      err: (line) => lines.push(line),
      progress: null,
      ask: null,
      fetch,
      nowMs: () => 0,
      monotonicMs: () => 0,
      sleep: async () => {},
    };
    const lines: string[] = [];
    expect(await run(["kill", "support-chat", "--reason", "x"], io, local, "1")).toBe(1);
    expect(lines.join()).toContain("No answer from http://127.0.0.1:1");
    expect(lines.join()).toContain("ANDON_KILL=*");
  });
});

describe("help and version", () => {
  it("are answered with 0, with examples", async () => {
    const help = await andon(["--help"]);
    expect(help.code).toBe(0);
    expect(help.out).toContain("andon kill support-chat --reason");
    expect(help.out).toMatch(/^ {2}3 {2}the change is made, but within 10 s not confirmed by all/m);
    expect(await andon(["--version"])).toMatchObject({ code: 0, out: "1.2.3" });
    expect((await andon([])).code).toBe(2);
  });

  it("hand serve, demo and sign-in-link to this installation", async () => {
    expect((await andon(["serve"])).code).toBe(0);
    expect((await andon(["demo", "--keep"])).code).toBe(1);
    expect((await andon(["sign-in-link"])).code).toBe(0);
  });
});

it("incidents are listed with who is on them, acknowledged without naming the only one, and closed when their cause has ended", async () => {
  const path = "/v1/environments/production/budgets";
  const ids = z.looseObject({ items: z.array(z.looseObject({ id: z.string() })) });
  for (const { id } of (await expectJson(harness.call("GET", path), ids)).items)
    await expectStatus(harness.call("DELETE", `${path}/${id}`), 200);
  expect((await andon(["incidents"])).out).toBe("No incident is open.");
  const made = await expectJson(
    harness.call("POST", path, {
      body: dailyBudget({ name: "Haiku", scope: { model: "claude-haiku-5-5" }, limitUsd: 1 }),
    }),
    z.looseObject({ id: z.string() }),
    201,
  );
  const body = batchOf([callFor(100, { at: harness.deps.clock.nowMs(), model: "claude-haiku-5-5" })]);
  await expectStatus(harness.call("POST", "/sdk/v1/usage", { token: harness.tokens.sdk, body }), 200);
  expect((await andon(["incidents"])).out).toMatch(
    /^[0-9a-f]{8}  Haiku .* of \$1\.00  open since .* UTC, nobody has acknowledged for \d s$/,
  );
  const acknowledged = await andon(["incident", "ack"]);
  expect(acknowledged).toMatchObject({ code: 0, out: expect.stringMatching(/: acknowledged .* UTC by /) });
  expect(await andon(["incident", "resolve"])).toMatchObject({
    code: 1,
    err: expect.stringMatching(/Its cause stands\. Raise/),
  });
  expect(await andon(["incident", "ack", "zzz"])).toMatchObject({ code: 1, err: expect.stringContaining("Open:") });
  await expectStatus(harness.call("DELETE", `${path}/${made.id}`), 200);
  expect((await andon(["incident", "resolve"])).err).toBe("No incident is open.");
  expect((await andon(["incidents", "--all"])).out).toMatch(/^[0-9a-f]{8}  Haiku .* UTC to .* UTC$/m);
});

it("status says which account Claude refuses, for which flags and where", async () => {
  // A clock ahead: a fault is told of when it has settled.
  const at = Date.now() + 30_000;
  const refused = callFor(0, { at, outcome: "error", status: 402, errorType: "billing_error" });
  const batch = { ...batchOf([refused]), instance: "host-7" };
  await expectStatus(harness.call("POST", "/sdk/v1/usage", { token: harness.tokens.sdk, body: batch }), 200);
  const environmentId = harness.deps.snapshots.environmentByKey("production")?.environmentId ?? "";
  await runAccountFaults({ actor: ACCOUNT, requestId: "test", deps: harness.deps }, environmentId);
  const words = "The Claude account is out of money: support-chat refused by Claude, on host-7";
  expect((await andon(["status"])).out).toContain(words);
  expect((await andon(["status", "support-chat"])).out).toContain(words);
  expect((await andon(["status", "--env", "staging"])).out).not.toContain("refused by Claude");
});
