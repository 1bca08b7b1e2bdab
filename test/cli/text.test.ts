/** What the command says of a flag is what is so: off is never called on, and a ramp is never left out. */
import { describe, expect, it } from "vitest";
import type { FlagAnswer } from "../../src/cli/answers.ts";
import { flagLine } from "../../src/cli/text.ts";

const flagWith = (effective: FlagAnswer["effective"], ramp: number | null = null): FlagAnswer => ({
  key: "support-chat",
  switch: { state: "on", reason: null, by: null, since: "2026-01-02T03:00:00.000Z", until: null, ramp },
  level: { level: 0, manual: null },
  effective,
});

describe("the line of a flag", () => {
  it.each([
    ["MASTER", "off by the master switch"],
    ["TRIPPED", "off, tripped by a budget"],
    ["NO_MODEL", "off, every model of its chain is blocked"],
    ["SOMETHING_NEW", "off, SOMETHING_NEW"],
  ])("says off when it is off by %s, though its own switch is on", (reason, text) => {
    expect(flagLine(flagWith({ state: "off", reason, model: null }))).toBe(`support-chat: ${text}`);
  });

  it("tells of the ramp of a flag that is downgraded too", () => {
    const line = flagLine(flagWith({ state: "downgraded", reason: "ON", model: "claude-sonnet-5-5" }, 10));
    expect(line).toBe("support-chat: downgraded to claude-sonnet-5-5, on for 10 %");
  });
});
