/** What the ledger keeps has bounds: the newest calls of each environment, and sums for as long as a budget may need them. */
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Runtime } from "../../src/boot.ts";
import { usageBatches, usageMinutes, usageRecent } from "../../src/db/schema/usage.ts";
import { pruneRecentCalls, pruneUsage } from "../../src/services/usage/prune.ts";
import { FakeClock } from "../support/clock.ts";
import { startTestServer } from "../support/server.ts";
import { callFor, report } from "../support/usage.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const KEPT = 100;

let runtime: Runtime;
const clock = new FakeClock(Date.parse("2026-03-02T09:00:00Z"));

beforeAll(async () => {
  runtime = await startTestServer({ clock, settings: { recentCallsMax: KEPT, recentCallsHours: 2 } });
});
afterAll(() => runtime.close());

it("keeps the newest calls by number and age in each environment, and the sums of all", async () => {
  const { deps } = runtime;
  const submit = (environment: string, n: number) =>
    report(
      deps,
      Array.from({ length: n }, (_, index) => callFor(1, { at: clock.nowMs(), requestId: String(index) })),
      environment,
    );
  const idOf = (environment: string) => deps.snapshots.environmentByKey(environment)?.environmentId;
  const kept = async () =>
    deps.db
      .select({ environmentId: usageRecent.environmentId, n: sql`count(*)`.mapWith(Number) })
      .from(usageRecent)
      .groupBy(usageRecent.environmentId);
  const attempts = async () =>
    (await deps.db.select().from(usageMinutes)).reduce((sum, minute) => sum + minute.attempts, 0);

  for (let n = 0; n < 5; n += 1) await submit("production", 40);
  await submit("staging", 30);
  await pruneRecentCalls(deps);
  expect(new Map((await kept()).map(({ environmentId, n }) => [environmentId, n]))).toEqual(
    new Map([
      [idOf("production"), KEPT],
      [idOf("staging"), 30],
    ]),
  );
  clock.jump(3 * HOUR_MS);
  await pruneRecentCalls(deps);
  expect(await kept()).toEqual([]);
  expect(await attempts()).toBe(230);
  clock.jump(4 * DAY_MS);
  await pruneUsage(deps);
  expect(await deps.db.select().from(usageBatches)).toEqual([]);
  expect(await attempts()).toBe(230);
  clock.jump(100 * DAY_MS);
  await pruneUsage(deps);
  expect(await attempts()).toBe(0);
});
