/** Daily budgets in their own zones over both clock changes: spending lands in the right day, and a reset happens once. */
import { and, eq } from "drizzle-orm";
import { describe, expect, it } from "vitest";
import type { Runtime } from "../../src/boot.ts";
import { audit } from "../../src/db/schema/state.ts";
import { listBudgets } from "../../src/services/budgets/view.ts";
import { createBudget } from "../../src/services/budgets/budgets.ts";
import { endDueBudgets } from "../../src/services/budgets/due.ts";
import { createFlag } from "../../src/services/flags/flags.ts";
import { listIncidents } from "../../src/services/incidents/view.ts";
import { FakeClock } from "../support/clock.ts";
import { adminCtx, startTestServer } from "../support/server.ts";
import { callFor, dailyBudget, report } from "../support/usage.ts";

const HOUR_MS = 3_600_000;
const SECOND_MS = 1_000;

/** Zone, the day's first moment, the next day's, and its length in hours. */
const DAYS = [
  ["America/New_York", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z", 23],
  ["America/New_York", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z", 25],
  ["Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", 23],
  ["Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", 25],
  ["Asia/Kathmandu", "2026-03-28T18:15:00Z", "2026-03-29T18:15:00Z", 24],
  ["Asia/Kathmandu", "2026-10-24T18:15:00Z", "2026-10-25T18:15:00Z", 24],
  ["UTC", "2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z", 24],
  ["UTC", "2026-10-25T00:00:00Z", "2026-10-26T00:00:00Z", 24],
] as const;

describe.each(DAYS)("the day of a budget in %s from %s to %s", (timezone, start, end, hours) => {
  it(`is not reset late by the zone's offset: it has ${String(hours)} hours, and what is spent at its last second is not tomorrow's`, async () => {
    await withTwoServers(Date.parse(start), async ({ a, b, clock, environmentId }) => {
      const ctx = adminCtx(a.deps);
      await createBudget(ctx, "production", dailyBudget({ timezone, ladder: [{ atPercent: 100, action: "kill" }] }));
      const spend = (server: Runtime, usd: number) => report(server.deps, [callFor(usd, { at: clock.nowMs() })]);
      const now = async () => (await listBudgets(ctx, "production")).items[0]?.now;
      const state = (server: Runtime) =>
        server.deps.snapshots.current(environmentId)?.snapshot.flags["support-chat"]?.state;

      expect(await now()).toMatchObject({ windowStartsAt: iso(start), windowEndsAt: iso(end) });
      expect(Date.parse(end) - Date.parse(start)).toBe(hours * HOUR_MS);
      await spend(a, 40);
      clock.advance(hours * HOUR_MS - SECOND_MS);
      await spend(b, 59);
      expect(await now()).toMatchObject({ spentNanoUsd: 99_000_000_000, trips: [] });
      clock.advance(SECOND_MS);
      await spend(a, 99);
      expect(await now()).toMatchObject({ windowStartsAt: iso(end), spentNanoUsd: 99_000_000_000, trips: [] });
      await spend(b, 1);
      await a.deps.snapshots.refresh(environmentId);
      expect(state(a)).toBe("off");
      expect((await now())?.trips).toHaveLength(1);

      // Both servers look at the same moment; the reset is one server's.
      const nextReset = Date.parse((await now())?.windowEndsAt ?? "");
      clock.advance(nextReset - clock.nowMs());
      const ended = async (server: Runtime) => endDueBudgets(adminCtx(server.deps), environmentId);
      await Promise.all([ended(a), ended(b), ended(a), ended(b)]);
      for (const server of [a, b]) {
        await server.deps.snapshots.refresh(environmentId);
        expect(state(server)).toBe("on");
      }
      expect(await now()).toMatchObject({ spentNanoUsd: 0, trips: [] });
      const resets = await a.deps.db
        .select({ id: audit.id })
        .from(audit)
        .where(and(eq(audit.environmentId, environmentId), eq(audit.action, "flag.trip-ended")));
      expect(resets).toHaveLength(1);
      expect((await listIncidents(ctx, "production")).items).toMatchObject([{ resolvedAt: iso(clock.nowMs()) }]);
    });
  });
});

interface World {
  a: Runtime;
  b: Runtime;
  clock: FakeClock;
  environmentId: string;
}

async function withTwoServers(startMs: number, work: (world: World) => Promise<void>): Promise<void> {
  const clock = new FakeClock(startMs);
  const a = await startTestServer({ clock });
  const b = await startTestServer({ clock, database: a.deps.config.database });
  try {
    await createFlag(adminCtx(a.deps), "production", { key: "support-chat", name: "Support chat" });
    const environmentId = a.deps.snapshots.environmentByKey("production")?.environmentId ?? "";
    await work({ a, b, clock, environmentId });
  } finally {
    await b.close();
    await a.close();
  }
}

function iso(moment: string | number): string {
  return new Date(moment).toISOString();
}
