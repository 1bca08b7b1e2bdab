/**
 * A day of spending: budgets in Berlin, calls of three flags, and a wall clock that a test moves by hand while timers
 * run. The runaway feature is left a few dollars below its limit, so that a test can push it over.
 */
import { z } from "zod";
import type { UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";
import { WallClock } from "../support/clock.ts";
import { callFor, dailyBudget, report } from "../support/usage.ts";
import { PRODUCTION, startWorld, type World } from "./world.ts";

const MINUTE_MS = 60_000;
const listSchema = z.object({ items: z.array(z.object({ id: z.string(), name: z.string() })) });
/** Midnight in Berlin. */
export const MIDNIGHT_MS = Date.parse("2026-11-20T23:00:00Z");

export interface MoneyWorld extends World {
  clock: WallClock;
  /** Reports calls as an application does; answers when they are counted. */
  spend(...records: UsageRecord[]): Promise<void>;
  /** A call of this flag now. */
  call(flag: string, usd: number, fields?: Partial<UsageRecord>): UsageRecord;
}

/** Three flags, and no money yet. */
export async function startMoneyWorld(options: { instances?: number; jobs?: boolean } = {}): Promise<MoneyWorld> {
  const clock = new WallClock(MIDNIGHT_MS);
  const world = await startWorld({ ...options, clock });
  return {
    ...world,
    clock,
    spend: async (...records) => {
      await report(world.server.deps, records);
    },
    call: (flag, usd, fields) => callFor(usd, { flag, at: clock.nowMs(), user: `user-${flag}`, ...fields }),
  };
}

/** Budgets for three flags, and calls from midnight until 02:41: one flag downgraded, one near its limit, one calm. */
export async function spendUntilNight(world: MoneyWorld, everyMinutes = 3): Promise<void> {
  const share = everyMinutes / 3;
  const zone = { timezone: "Europe/Berlin" };
  for (const budget of [
    dailyBudget({ ...zone, name: "Support chat, daily", scope: { flag: "support-chat" }, limitUsd: 200 }),
    dailyBudget({ ...zone, name: "Summaries, daily", scope: { flag: "summarize-ticket" }, limitUsd: 200 }),
    dailyBudget({ ...zone, name: "Drafts, daily", scope: { flag: "draft-reply" }, limitUsd: 300 }),
  ]) {
    await world.api("POST", `${PRODUCTION}/budgets`, budget);
  }
  for (let minute = 1; minute <= 160; minute += everyMinutes) {
    world.clock.moveTo(MIDNIGHT_MS + minute * MINUTE_MS + 20_000);
    const runaway = (minute > 140 ? 18 : 0.4 + (minute % 5) / 10) * share;
    const failed = minute % 21 === 1;
    await world.spend(
      world.call("support-chat", runaway, { session: minute > 140 ? "bulk-import-77" : `web-${minute % 7}` }),
      world.call("summarize-ticket", 3.02 * share, { latencyMs: 3_100 }),
      world.call("draft-reply", (0.3 + (minute % 7) / 20) * share, {
        latencyMs: 4_800,
        ...(failed && { outcome: "error", status: 529, errorType: "overloaded_error" }),
        exact: !failed,
      }),
    );
  }
  world.clock.moveTo(MIDNIGHT_MS + 161 * MINUTE_MS + 7_000);
}

/** The id of the budget with this name, as the API lists it. */
export async function budgetIdOf(world: World, name: string): Promise<string> {
  const { items } = listSchema.parse(await (await world.server.api("GET", `${PRODUCTION}/budgets`)).json());
  const found = items.find((budget) => budget.name === name);
  if (found === undefined) throw new Error(`no budget ${name}`);
  return found.id;
}
