/** What a kill, a restore and a level may and may not do, for any sequence of commands. */
import { modelNames } from "../../sdk-client/src/evaluate/model-names.ts";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { kill, later, resolveLevel, restore, type Switch } from "../../src/domain/switch.ts";

const moment = fc.integer({ min: 0, max: 1_000_000 }).map((ms) => new Date(ms));
const until = fc.option(moment, { nil: null });
const reason = fc.option(fc.string({ maxLength: 20 }), { nil: null });

const killCommand = fc.record({
  cause: fc.constant("manual" as const),
  reason,
  by: fc.constantFrom("maria", "tom"),
  until,
  at: moment,
  mayReword: fc.boolean(),
});

const anySwitch: fc.Arbitrary<Switch> = fc.oneof(
  fc.record({
    state: fc.constant("on" as const),
    reason,
    by: fc.constant("maria"),
    since: moment,
    ramp: fc.option(fc.integer({ min: 1, max: 99 }), { nil: null }),
  }),
  fc.record({
    state: fc.constant("off" as const),
    cause: fc.constantFrom("manual" as const, "budget" as const),
    reason,
    by: fc.constant("maria"),
    since: moment,
    until,
    ramp: fc.option(fc.integer({ min: 1, max: 99 }), { nil: null }),
  }),
);

const untilMs = (value: Switch) => (value.state === "on" ? -1 : (value.until?.getTime() ?? Number.POSITIVE_INFINITY));

describe("a kill", () => {
  it("leaves the switch off, whatever it was", () => {
    fc.assert(fc.property(anySwitch, killCommand, (before, command) => kill(before, command).state === "off"));
  });

  it("never makes `until` sooner", () => {
    fc.assert(
      fc.property(anySwitch, killCommand, (before, command) => untilMs(kill(before, command)) >= untilMs(before)),
    );
  });

  it("keeps the moment since when the switch is off", () => {
    fc.assert(
      fc.property(anySwitch, killCommand, (before, command) => {
        fc.pre(before.state === "off");
        expect(kill(before, command).since).toEqual(before.since);
      }),
    );
  });

  it("keeps the ramp, so that one that ends by itself comes back to no more than before", () => {
    fc.assert(
      fc.property(anySwitch, killCommand, (before, command) => {
        expect(kill(before, command)).toMatchObject({ ramp: before.ramp });
      }),
    );
  });

  it("twice is the same as once", () => {
    fc.assert(
      fc.property(anySwitch, killCommand, (before, command) => {
        const once = kill(before, command);
        expect(kill(once, command)).toBe(once);
      }),
    );
  });

  it("by a kill token does not rewrite the reason a person gave", () => {
    fc.assert(
      fc.property(anySwitch, killCommand, (before, command) => {
        fc.pre(before.state === "off" && before.reason !== null);
        expect(kill(before, { ...command, mayReword: false }).reason).toBe(before.reason);
      }),
    );
  });
});

describe("a restore", () => {
  it("turns the switch on with just the ramp that was asked for", () => {
    fc.assert(
      fc.property(anySwitch, fc.option(fc.integer({ min: 1, max: 99 }), { nil: null }), moment, (before, ramp, at) => {
        expect(restore(before, { reason: "fixed", by: "tom", ramp, at })).toMatchObject({ state: "on", ramp });
      }),
    );
  });
});

describe("a manual level", () => {
  it("follows its model when the chain is edited", () => {
    const sonnet = { level: 1, model: "sonnet" };
    expect(resolveLevel(sonnet, ["opus", "sonnet", "haiku"], modelNames())).toBe(1);
    expect(resolveLevel(sonnet, ["fable", "opus", "sonnet", "haiku"], modelNames())).toBe(2);
    expect(resolveLevel(sonnet, ["sonnet", "haiku"], modelNames())).toBe(0);
    expect(resolveLevel(sonnet, ["opus", "haiku", "anthropic.sonnet-20260901-v1:0"], modelNames())).toBe(2);
  });

  it("keeps its depth when its model has left the chain", () => {
    expect(resolveLevel({ level: 2, model: "gone" }, ["opus", "sonnet", "haiku"], modelNames())).toBe(2);
    expect(resolveLevel({ level: 2, model: "gone" }, ["opus", "sonnet"], modelNames())).toBe(1);
    expect(resolveLevel({ level: 2, model: "gone" }, [], modelNames())).toBe(0);
  });
});

describe("the later of two moments", () => {
  it("is never, when one of them is never", () => {
    expect(later(null, new Date(1))).toBeNull();
    expect(later(new Date(1), null)).toBeNull();
    expect(later(new Date(2), new Date(1))).toEqual(new Date(2));
  });
});
