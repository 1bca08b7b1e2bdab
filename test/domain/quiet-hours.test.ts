/** When quiet hours end: over midnight, in their zone, and over a change of clocks. */
import { expect, it } from "vitest";
import { quietUntilMs } from "../../src/domain/quiet-hours.ts";

it.each([
  ["before midnight", "22:00", "07:00", "UTC", "2026-03-02T22:00:00Z", "2026-03-03T07:00:00Z"],
  ["after midnight", "22:00", "07:00", "UTC", "2026-03-03T06:59:59Z", "2026-03-03T07:00:00Z"],
  ["at their end", "22:00", "07:00", "UTC", "2026-03-03T07:00:00Z", null],
  ["before them", "22:00", "07:00", "UTC", "2026-03-02T21:59:59Z", null],
  ["within a day", "12:00", "13:00", "UTC", "2026-03-02T12:30:00Z", "2026-03-02T13:00:00Z"],
  ["in their zone", "22:00", "07:00", "Europe/Berlin", "2026-03-02T21:30:00Z", "2026-03-03T06:00:00Z"],
  [
    "in a night that is an hour shorter",
    "22:00",
    "07:00",
    "Europe/Berlin",
    "2026-03-28T22:00:00Z",
    "2026-03-29T05:00:00Z",
  ],
])("quiet hours end when they say: %s", (_name, from, to, timezone, at, end) => {
  expect(quietUntilMs({ from, to, timezone }, Date.parse(at))).toBe(end === null ? null : Date.parse(end));
});
