/** What the command says of a flag is what is so: off is never called on, and what is for later is said to be. */
import { describe, expect, it } from "vitest";
import { type FlagAnswer, flagAnswer, instancesAnswer } from "../../src/cli/answers.ts";
import { flagLine } from "../../src/cli/flag-text.ts";
import { instanceLines } from "../../src/cli/text.ts";

const SINCE = "2026-01-02T03:04:00.000Z";
const STEPS = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5"].map((model) => ({ model }));
const ON = { state: "on", reason: null, by: null, since: SINCE, until: null, ramp: null };
const KILLED = { ...ON, state: "off", reason: "leak", by: "maria" };

const off = (reason: string) => ({ effective: { state: "off", reason, model: null } });
const downgraded = (model: string) => ({ effective: { state: "downgraded", reason: "ON", model } });
const manual = (level: number, inForce = level) => ({
  level: { level: inForce, manual: { level, reason: "cost", by: "ada", since: SINCE, until: null } },
});
const trip = (action: string, level: number | null, atPercent = 100) => ({
  trips: [{ id: "t", action, level, atPercent, budget: { name: "Daily" }, since: SINCE, until: null }],
});

/** An answer of the server, on unless told otherwise. */
function flagWith(...parts: readonly Record<string, unknown>[]): FlagAnswer {
  const on = {
    key: "chat",
    switch: ON,
    rollout: 100,
    steps: STEPS,
    level: { level: 0, manual: null },
    trips: [],
    effective: { state: "on", reason: "ON", model: "claude-opus-5-5" },
  };
  return flagAnswer.parse(Object.assign(on, ...parts));
}

describe("the line of a flag", () => {
  it.each<[string, FlagAnswer, string]>([
    ["on", flagWith(), "on, claude-opus-5-5"],
    ["on for a share", flagWith({ rollout: 25 }), "on for 25 %, claude-opus-5-5"],
    [
      "ramping inside a rollout",
      flagWith({
        rollout: 50,
        switch: { ...ON, ramp: 10 },
        effective: { state: "ramping", reason: "ON", model: null },
      }),
      "on for 10 %",
    ],
    [
      "downgraded by hand",
      flagWith(downgraded("claude-sonnet-5-5"), manual(1)),
      'downgraded to claude-sonnet-5-5 since 2026-01-02 03:04 UTC by ada, "cost"',
    ],
    [
      "downgraded further by a budget than by hand",
      flagWith(downgraded("claude-haiku-4-5"), manual(1, 2), trip("downgrade", 2, 80)),
      'downgraded to claude-haiku-4-5 since 2026-01-02 03:04 UTC, budget "Daily" reached 80 %',
    ],
    [
      "downgraded by a block",
      flagWith(downgraded("claude-sonnet-5-5")),
      "downgraded to claude-sonnet-5-5; claude-opus-5-5 is blocked",
    ],
    [
      "downgraded and ramping",
      flagWith(downgraded("claude-sonnet-5-5"), { switch: { ...ON, ramp: 10 } }),
      "downgraded to claude-sonnet-5-5, on for 10 %; claude-opus-5-5 is blocked",
    ],
    ["killed", flagWith(off("KILLED"), { switch: KILLED }), 'off since 2026-01-02 03:04 UTC by maria, "leak"'],
    [
      "killed with a level for later",
      flagWith(off("KILLED"), { switch: KILLED }, manual(1)),
      'off since 2026-01-02 03:04 UTC by maria, "leak"; will step to claude-sonnet-5-5 or further down when restored',
    ],
    [
      "killed, tripped and under a dark master",
      flagWith(off("MASTER"), { switch: KILLED }, trip("kill", null)),
      'off since 2026-01-02 03:04 UTC by maria, "leak"; also off since 2026-01-02 03:04 UTC, budget "Daily" reached 100 %; also off by the master switch',
    ],
    ["under a dark master", flagWith(off("MASTER")), "off by the master switch; its own switch is on"],
    [
      "under a dark master with a level of a budget",
      flagWith(off("MASTER"), { level: { level: 2, manual: null } }, trip("downgrade", 2, 80)),
      "off by the master switch; its own switch is on; will step to claude-haiku-4-5 when the master switch is restored",
    ],
    [
      "tripped, with the level of a budget that a restore overrides too",
      flagWith(off("TRIPPED"), { level: { level: 2, manual: null } }, trip("kill", null)),
      'off since 2026-01-02 03:04 UTC, budget "Daily" reached 100 %',
    ],
    ["tripped, as an older server tells it", flagWith(off("TRIPPED")), "off, tripped by a budget"],
    ["without a model", flagWith(off("NO_MODEL"), manual(1)), "off, every model of its chain is blocked"],
    ["off by what a newer server knows", flagWith(off("SOMETHING_NEW")), "off, SOMETHING_NEW"],
  ])("%s", (_what, flag, text) => {
    expect(flagLine(flag)).toBe(`chat: ${text}`);
  });
});

it("more stopped instances than are remembered are no exact count", () => {
  const count = { items: [], live: 1, lost: 0, silent: 0 };
  expect(instanceLines(instancesAnswer.parse({ ...count, stopped: 1000 }))[0]).toContain("1000 or more stopped");
  expect(instanceLines(instancesAnswer.parse({ ...count, stopped: 999 }))[0]).toContain("999 stopped");
});

it("how long ago is told as the board tells it: minutes and hours, not thousands of seconds", () => {
  const one = { id: "a", instance: "host-1", app: null, revision: null, local: null, declaredDead: null };
  const items = [
    { ...one, state: "lost", silentSeconds: 2_700, disconnectedSeconds: 2_638 },
    { ...one, state: "silent", silentSeconds: 7_300, disconnectedSeconds: null },
  ];
  const list = instancesAnswer.parse({ items, live: 0, lost: 1, silent: 1, stopped: 0 });
  expect(instanceLines(list).slice(1)).toEqual([
    "host-1: connection lost 43 min ago, may still be serving, has applied nothing yet",
    "host-1: silent for 2 h, has applied nothing yet",
  ]);
});
