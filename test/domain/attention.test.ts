/** What a stranger finds first on a board. */
import { describe, expect, it } from "vitest";
import { type AttentionFacts, byAttention, rankOf, timesUsual } from "../../src/domain/attention.ts";

const NOW_MS = Date.parse("2026-11-21T02:41:00Z");
const MINUTE_MS = 60_000;
const usd = (dollars: number): number => dollars * 1_000_000_000;

const flag = (key: string, fields: Partial<AttentionFacts> = {}): AttentionFacts => ({
  key,
  name: key,
  state: "on",
  refused: false,
  burnNanoUsdPerHour: 0,
  usualNanoUsdPerHour: null,
  usualWords: "",
  limitReachedAtMs: null,
  todayNanoUsd: 0,
  ...fields,
});

describe("the order of attention", () => {
  it("is: over the limit, off, refused by Claude, limit within the hour, far above usual, downgraded, the rest by spend", () => {
    const flags = [
      flag("calm-dear", { todayNanoUsd: usd(900) }),
      flag("calm-cheap", { todayNanoUsd: usd(1) }),
      flag("ramping", { state: "ramping", todayNanoUsd: usd(1) }),
      flag("downgraded", { state: "downgraded", todayNanoUsd: usd(2) }),
      flag("runaway", { burnNanoUsdPerHour: usd(50), usualNanoUsdPerHour: usd(10) }),
      flag("soon", { state: "downgraded", limitReachedAtMs: NOW_MS + 60 * MINUTE_MS }),
      flag("refused", { state: "downgraded", refused: true }),
      flag("off", { state: "off", refused: true }),
      flag("over", { state: "over" }),
    ];
    const order = flags.toSorted(byAttention(NOW_MS)).map(({ key }) => key);
    expect(order).toEqual([
      "over",
      "off",
      "refused",
      "soon",
      "runaway",
      "downgraded",
      "ramping",
      "calm-dear",
      "calm-cheap",
    ]);
  });

  it("is the same whatever order they come in, also of flags that spend the same", () => {
    const flags = ["b", "a", "c"].map((key) => flag(key));
    expect(flags.toSorted(byAttention(NOW_MS)).map(({ key }) => key)).toEqual(["a", "b", "c"]);
    expect(
      flags
        .toReversed()
        .toSorted(byAttention(NOW_MS))
        .map(({ key }) => key),
    ).toEqual(["a", "b", "c"]);
  });

  it("does not call anybody for cents, for a limit of tomorrow, or for a flag whose usual nobody knows", () => {
    expect(rankOf(flag("cents", { burnNanoUsdPerHour: usd(0.5), usualNanoUsdPerHour: usd(0.01) }), NOW_MS)).toBe(
      "calm",
    );
    expect(rankOf(flag("later", { limitReachedAtMs: NOW_MS + 61 * MINUTE_MS }), NOW_MS)).toBe("calm");
    expect(rankOf(flag("new", { burnNanoUsdPerHour: usd(500) }), NOW_MS)).toBe("calm");
    expect(timesUsual({ burnNanoUsdPerHour: usd(0.5), usualNanoUsdPerHour: 0 })).toBeNull();
  });

  it("calls for a flag that burns where its usual is nothing", () => {
    const night = flag("night", { burnNanoUsdPerHour: usd(5), usualNanoUsdPerHour: 0 });
    expect(rankOf(night, NOW_MS)).toBe("far above usual");
  });
});
