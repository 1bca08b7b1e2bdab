/** How money and a budget's clock are written, and where a chart's ticks stand. */
import { describe, expect, it } from "vitest";
import { windowAt } from "../../src/domain/window.ts";
import { amountOf } from "../../src/web/budget-draft.ts";
import { timeTicks, valueTicks } from "../../src/web/chart-axis.ts";
import { resetText, sharePercent, usdLimit, usdOfCall, usdPerHour } from "../../src/web/money-text.ts";

const USD = 1_000_000_000;

describe("money", () => {
  it("never looks cheaper than it is", () => {
    expect(usdPerHour(9.981 * USD)).toBe("$9.99/h");
    expect(usdPerHour(47.2 * USD)).toBe("$48/h");
    expect(usdPerHour(0.421 * USD)).toBe("$0.43/h");
    expect(usdLimit(200 * USD)).toBe("$200");
    expect(usdLimit(1_200.5 * USD)).toBe("$1,200.50");
    expect(usdOfCall(123_456)).toBe("$0.0002");
    expect(usdOfCall(0)).toBe("$0.00");
  });

  it("says 100 % only when the limit is reached", () => {
    expect(sharePercent(199.999 * USD, 200 * USD)).toBe(99);
    expect(sharePercent(200 * USD, 200 * USD)).toBe(100);
  });

  it.each([
    ["$1,200.50", 1_200.5],
    ["200", 200],
    ["0.5", 0.5],
    ["1,2", Number.NaN],
    ["-5", Number.NaN],
    ["1e3", Number.NaN],
    ["", Number.NaN],
  ])("reads %j as people mean it, or not at all", (text, amount) => {
    expect(amountOf(text)).toBe(amount);
  });

  it("names the reset in the budget's own zone", () => {
    expect(resetText("2026-11-21T23:00:00.000Z", "Europe/Berlin", "day")).toBe("resets 00:00 Berlin");
    expect(resetText("2026-12-01T05:00:00.000Z", "America/New_York", "month")).toBe("resets 1 Dec 00:00 New York");
  });
});

function ticksOf(at: string) {
  const day = windowAt("day", "Europe/Berlin", Date.parse(at));
  return timeTicks({ ...day, period: "day", timezone: "Europe/Berlin" }, false);
}

describe("the clock under a chart", () => {
  it("shows every third hour of a day, at its own instant", () => {
    expect(
      ticksOf("2026-11-21T12:00:00Z")
        .map((tick) => tick.label)
        .join(" "),
    ).toBe("00:00 03:00 06:00 09:00 12:00 15:00 18:00 21:00 24:00");
  });

  it("stays right on a day of 23 or 25 hours", () => {
    const [, three] = ticksOf("2026-03-29T12:00:00Z");
    expect(three).toEqual({ at: Date.parse("2026-03-29T01:00:00Z"), label: "03:00" });
    const autumn = ticksOf("2026-10-25T12:00:00Z");
    expect(autumn[1]).toEqual({ at: Date.parse("2026-10-25T02:00:00Z"), label: "03:00" });
    expect(autumn.at(-1)).toEqual({ at: Date.parse("2026-10-25T23:00:00Z"), label: "24:00" });
  });

  it("takes round values up the side", () => {
    expect(valueTicks(216, 4)).toEqual([100, 200]);
    expect(valueTicks(0.9, 4)).toEqual([0.25, 0.5, 0.75]);
    expect(valueTicks(0, 4)).toEqual([]);
  });
});
