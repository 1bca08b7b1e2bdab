/** Budget windows by the vectors in test/vectors/window.json, computed with another implementation of time zones. */
import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isTimeZone, type Period, PERIODS, type Window, windowAt } from "../../../src/domain/window.ts";

interface Vector {
  period: Period;
  zone: string;
  start: string;
  end: string;
  hours: number;
  key: string;
}

const vectors: Vector[] = JSON.parse(readFileSync(new URL("../../vectors/window.json", import.meta.url), "utf8"));
const HOUR_MS = 3_600_000;

describe("a window", () => {
  it.each(vectors)("$zone $period $key has $hours hours", ({ period, zone, start, end, hours, key }) => {
    const window = { startMs: Date.parse(start), endMs: Date.parse(end), key };
    expect((window.endMs - window.startMs) / HOUR_MS).toBe(hours);
    for (const atMs of [window.startMs, window.startMs + 1, (window.startMs + window.endMs) / 2, window.endMs - 1]) {
      expect(windowAt(period, zone, atMs)).toEqual(window);
    }
    expect(windowAt(period, zone, window.startMs - 1).endMs).toBe(window.startMs);
    expect(windowAt(period, zone, window.endMs).startMs).toBe(window.endMs);
  });

  it("of an hour begins at the hour of its zone", () => {
    const atMs = Date.parse("2026-11-20T10:20:00Z");
    expect(windowAt("hour", "Asia/Kathmandu", atMs)).toEqual({
      startMs: Date.parse("2026-11-20T10:15:00Z"),
      endMs: Date.parse("2026-11-20T11:15:00Z"),
      key: "2026-11-20T10:15Z",
    });
    expect(windowAt("hour", "Europe/Berlin", atMs).key).toBe("2026-11-20T10:00Z");
  });

  it("of an hour is two windows when clocks are set back and the hour comes twice", () => {
    const keys = ["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"].map(
      (at) => windowAt("hour", "America/New_York", Date.parse(at)).key,
    );
    expect(keys).toEqual(["2026-11-01T05:00Z", "2026-11-01T06:00Z"]);
  });

  it("of an hour is short at the end of a day that is half an hour longer", () => {
    const day = windowAt("day", "Australia/Lord_Howe", Date.parse("2026-04-05T00:00:00Z"));
    expect(windowAt("hour", "Australia/Lord_Howe", day.endMs - 1)).toMatchObject({
      startMs: day.endMs - HOUR_MS / 2,
      endMs: day.endMs,
    });
  });

  it("of a day is the new one when clocks go back across midnight and show the old date once more", () => {
    // In St. John's on 2009-11-01 clocks went from 00:01 back to 23:01, which is 02:31 UTC.
    const again = Date.parse("2009-11-01T03:00:00Z");
    expect(windowAt("day", "America/St_Johns", again)).toEqual({
      startMs: Date.parse("2009-11-01T02:30:00Z"),
      endMs: Date.parse("2009-11-02T03:30:00Z"),
      key: "2009-11-01",
    });
  });

  it("is refused out of the years 1970 to 9999, and in an unknown zone", () => {
    for (const atMs of [-1, 0.5, Number.NaN, 8.64e15]) {
      expect(() => windowAt("day", "UTC", atMs)).toThrow(RangeError);
    }
    expect(() => windowAt("day", "Mars/Olympus", 0)).toThrow(RangeError);
  });
});

describe("a time zone", () => {
  it("is an IANA name", () => {
    for (const zone of ["UTC", "America/New_York", "Asia/Kathmandu", "America/Argentina/Buenos_Aires"]) {
      expect(isTimeZone(zone)).toBe(true);
    }
    for (const zone of ["", "+05:45", "Mars/Olympus", "Europe/Berlin ", "2026-01-01", "Z".repeat(100)]) {
      expect(isTimeZone(zone)).toBe(false);
    }
  });
});

describe("the windows of any period and zone", () => {
  const others = ["America/St_Johns", "Asia/Gaza", "Africa/Casablanca", "Antarctica/Troll", "Europe/Dublin"];
  const zones = [...new Set(vectors.map((vector) => vector.zone)), ...others];
  const anyMoment = fc.oneof(
    fc.integer({ min: Date.UTC(1970, 2, 1), max: Date.UTC(2100, 0, 1) }),
    // Near the clock changes of the vectors, where it is hard.
    fc
      .tuple(fc.constantFrom(...vectors.map((vector) => Date.parse(vector.end))), fc.integer({ min: -48, max: 48 }))
      .map(([endMs, halfHours]) => endMs + (halfHours * HOUR_MS) / 2),
  );

  it("tile the time line: each instant is in exactly one, and neighbours touch", () => {
    fc.assert(
      fc.property(fc.constantFrom(...PERIODS), fc.constantFrom(...zones), anyMoment, (period, zone, atMs) => {
        const window = windowAt(period, zone, atMs);
        expect(window.startMs <= atMs && atMs < window.endMs).toBe(true);
        expect(windowAt(period, zone, window.startMs)).toEqual(window);
        expect(windowAt(period, zone, window.endMs - 1)).toEqual(window);
        const next = windowAt(period, zone, window.endMs);
        expect(next.startMs).toBe(window.endMs);
        expect(next.key).not.toBe(window.key);
        expect(windowAt(period, zone, window.startMs - 1).endMs).toBe(window.startMs);
      }),
      { numRuns: 400 },
    );
  });
});

const MINUTE_MS = 60_000;
const ZONES = ["America/New_York", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Chatham", "UTC"];
const LONGEST_HOURS: Readonly<Record<Period, number>> = { hour: 1, day: 25, week: 169, month: 745 };

describe("every minute of a year", () => {
  it.each(ZONES)("belongs to exactly one hour, day, week and month of %s", (zone) => {
    const [fromMs, untilMs] = [Date.UTC(2026, 0, 1), Date.UTC(2027, 0, 1)];
    for (const period of PERIODS) {
      const windows: Window[] = [];
      for (let atMs = fromMs; atMs < untilMs; atMs += MINUTE_MS) {
        const window = windowAt(period, zone, atMs);
        // Compared by hand: half a million expectations would take a minute.
        if (atMs < window.startMs || atMs + MINUTE_MS > window.endMs) throw new Error(`${period} ${zone} at ${atMs}`);
        const last = windows.at(-1);
        if (last?.startMs === window.startMs && last.endMs === window.endMs && last.key === window.key) continue;
        if (last !== undefined) expect(window.startMs).toBe(last.endMs);
        windows.push(window);
      }
      expect(new Set(windows.map(({ key }) => key)).size).toBe(windows.length);
      for (const { startMs, endMs } of windows) {
        expect((endMs - startMs) / HOUR_MS).toBeLessThanOrEqual(LONGEST_HOURS[period]);
        if (period !== "hour") expect(localTime(zone, startMs)).toBe("00:00");
        if (period === "week") expect(weekday(zone, startMs)).toBe("Mon");
      }
    }
  });
});

function localTime(timeZone: string, atMs: number): string {
  return new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit" }).format(atMs);
}

function weekday(timeZone: string, atMs: number): string {
  return new Intl.DateTimeFormat("en-GB", { timeZone, weekday: "short" }).format(atMs);
}
