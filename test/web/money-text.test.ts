/** How money and a budget's clock are written, and where a chart's ticks stand. */
import { array, assert, double, property, record, string } from "fast-check";
import { describe, expect, it } from "vitest";
import { windowAt } from "../../src/domain/window.ts";
import { amountOf } from "../../src/web/budgets/draft.ts";
import { timeTicks, valueTicks } from "../../src/web/chart/axis.ts";
import { boxOf, overlap, placeLevels, placeMarks } from "../../src/web/chart/labels.ts";
import { resetText, sharePercent, usdLimit, usdOfCall, usdPerHour } from "../../src/web/text/money.ts";

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

const within = (min: number, max: number) => double({ min, max, noNaN: true });

describe("the words in a chart", () => {
  const frame = { left: 46, right: 324, top: 0, bottom: 206 };
  const label = string({ minLength: 1, maxLength: 30 });
  const levels = array(record({ y: within(14, 206), label }), { maxLength: 6 });
  const marks = array(record({ x: within(46, 324), y: within(14, 206), label }), { maxLength: 20 });

  it("never overlap nor leave it, however near each other trips and levels are", () => {
    assert(
      property(levels, marks, (someLevels, someMarks) => {
        const spots = placeLevels(someLevels, frame);
        const ofLevels = someLevels.map((level, at) => ({ label: level.label, spot: spots[at] ?? null }));
        const placed = placeMarks(someMarks, ofLevels, frame);
        const words = [...ofLevels, ...someMarks.map((mark, at) => ({ label: mark.label, spot: placed[at] ?? null }))];
        const boxes = words.flatMap((word) => (word.spot === null ? [] : [boxOf(word.spot, word.label)]));
        for (const [at, box] of boxes.entries()) {
          expect(box.left).toBeGreaterThanOrEqual(frame.left);
          expect(box.right).toBeLessThanOrEqual(frame.right);
          expect(boxes.slice(at + 1).some((other) => overlap(box, other))).toBe(false);
        }
      }),
    );
  });

  it("all stand while there is room: a budget that tripped, was raised and tripped again within minutes", () => {
    const trips = [
      { x: 150, y: 60, label: "02:40 → claude-sonnet-5-5" },
      { x: 152, y: 40, label: "02:41 off" },
      { x: 155, y: 38, label: "02:44 off" },
    ];
    expect(placeMarks(trips, [], frame).every((spot) => spot !== null)).toBe(true);
  });
});
