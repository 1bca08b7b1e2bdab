/** However long calls are counted, each table of the ledger holds its days and no more, and a year is read in few rows. */
import { sql } from "drizzle-orm";
import { expect, it } from "vitest";
import { returnedRows } from "../../src/db/returned-rows.ts";
import { DAY_MS, piecesFor, QUARTER_GRAIN } from "../../src/domain/rollups.ts";
import { pruneUsage } from "../../src/services/usage/prune.ts";
import { rollNext } from "../../src/services/usage/rollups.ts";
import { cutHours } from "../../src/services/usage/top-spans.ts";
import { getUsage } from "../../src/services/usage/view.ts";
import { windowAt } from "../../src/domain/window.ts";
import { FakeClock } from "../support/clock.ts";
import { adminCtx, startTestServer } from "../support/server.ts";
import { callFor, report } from "../support/usage.ts";

const START_MS = Date.parse("2026-01-01T12:00:00Z");
const DAYS = 75;
const KEPT = { minutes: 35, rollups: 60, topHours: 32, batches: 1, results: 30 };

it("each table keeps the days that are set, and the sums of what is kept are those of the calls", async () => {
  const clock = new FakeClock(START_MS);
  const { deps, close } = await startTestServer({ clock, settings: { kept: KEPT } });
  try {
    const environmentId = deps.snapshots.environmentByKey("production")?.environmentId ?? "";
    for (let day = 0; day < DAYS; day += 1) {
      clock.jump(START_MS + day * DAY_MS - clock.nowMs());
      await report(deps, [callFor(0.01, { at: clock.nowMs(), user: `user-${day % 3}` })]);
      while (await rollNext(deps, environmentId));
      await cutHours(deps);
      await pruneUsage(deps);
    }
    const rows = await deps.db.execute(sql`
      select (select count(*) from usage_minutes)::int as minutes, (select count(*) from usage_batches)::int as batches,
        (select count(*) from usage_rollups where grain = 3600)::int as hours,
        (select count(*) from usage_rollups where grain = 86400)::int as days,
        (select count(*) from usage_top_names where grain = 3600 and "by" = 'user')::int as "topHours",
        (select count(*) from usage_top_names where grain = 86400 and "by" = 'user')::int as "topDays",
        (select count(*) from usage_rollups where grain = 2592000)::int as months,
        (select count(*) from usage_staged)::int as staged`);
    const [kept] = returnedRows(rows);
    // What is rolled up is a day or two behind, and goes a day later.
    expect(kept).toEqual({
      minutes: 36,
      batches: 2,
      hours: 60,
      days: 59,
      topHours: 33,
      topDays: 59,
      months: 2,
      staged: 0,
    });
    const from = new Date(START_MS + 20 * DAY_MS - DAY_MS / 2);
    const to = new Date(clock.nowMs() + 60_000);
    const sumOf = async (groupBy: "flag" | "user") => {
      const { items, rest = [] } = await getUsage(adminCtx(deps), "production", { from, to, groupBy: [groupBy] });
      return [...items, ...rest].reduce((sum, { calls }) => sum + calls, 0);
    };
    expect([await sumOf("flag"), await sumOf("user")]).toEqual([55, 55]);
  } finally {
    await close();
  }
});

it.each(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"])(
  "in %s a year is read in at most three times the rows of a month, and none of them of a minute",
  (timezone) => {
    const nowMs = Date.parse("2026-12-31T18:00:00Z");
    const rolled = { fromMs: Date.parse("2025-01-01T00:00:00Z"), untilMs: Date.parse("2026-12-30T17:00:00Z") };
    const rowsOf = (bucket: "day" | "month" | null, fromMs: number) => {
      const untilMs = rolled.untilMs;
      const pieces = piecesFor(bucket, timezone, { fromMs, untilMs }, rolled);
      expect(pieces.every(({ grain }) => grain !== null)).toBe(true);
      return pieces.reduce(
        (sum, piece) => sum + Math.round((piece.untilMs - piece.fromMs) / 1_000 / (piece.grain ?? QUARTER_GRAIN)),
        0,
      );
    };
    const month = windowAt("month", timezone, nowMs).startMs;
    let year = month;
    for (let n = 1; n < 12; n += 1) year = windowAt("month", timezone, year - 1).startMs;
    // Over time, and in sum.
    expect(rowsOf("month", year)).toBeLessThanOrEqual(Math.max(3 * rowsOf("day", month), 1_000));
    expect(rowsOf(null, year)).toBeLessThanOrEqual(3 * rowsOf(null, month));
  },
);
