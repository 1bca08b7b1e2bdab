/** What one flag cost and how its calls fared in a window of time, for its page: charts, who spent it, newest calls. */
import { and, asc, eq, gte } from "drizzle-orm";
import { requireEnvironment } from "../../authorize.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { trips } from "../../db/schema/budgets.ts";
import type { CallResource, UsageAnswer } from "../../api/usage.ts";
import { type Period, windowAt } from "../../domain/window.ts";
import { listCalls } from "./recent-calls.ts";
import { type Spenders, topSpenders } from "./top-spenders.ts";
import { getUsage } from "./view.ts";

const HOUR_MS = 3_600_000;
const RECENT_CALLS = 20;

export interface PastTrip {
  budgetId: string;
  action: "downgrade" | "kill";
  atPercent: number;
  model: string | null;
  /** Unix time in milliseconds. */
  sinceMs: number;
}

export interface FlagSpend {
  /** Unix times in milliseconds; the end is exclusive. */
  startMs: number;
  endMs: number;
  period: Period;
  timezone: string;
  /** Minutes, or hours of a week or month; only those with calls, oldest first. */
  usage: UsageAnswer["items"];
  /** Of the last hour, from the calls that are kept. */
  users: Spenders;
  sessions: Spenders;
  /** The newest first. */
  calls: CallResource[];
  trips: PastTrip[];
}

/** The current window of `period` in `timezone`; `model` narrows the sums to one model. */
export async function flagSpend(
  ctx: Ctx,
  environmentKey: string,
  flag: string,
  of: { period: Period; timezone: string; model?: string | undefined },
): Promise<FlagSpend> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const nowMs = ctx.deps.clock.nowMs();
  const { startMs, endMs } = windowAt(of.period, of.timezone, nowMs);
  const to = new Date(nowMs + 1);
  const lastHour = { flag, since: new Date(nowMs - HOUR_MS) };
  const [usage, users, sessions, calls, past] = await Promise.all([
    getUsage(ctx, environmentKey, {
      from: new Date(startMs),
      to,
      bucket: of.period === "week" || of.period === "month" ? "hour" : "minute",
      timezone: of.timezone,
      flag,
      ...(of.model !== undefined && { model: of.model }),
    }),
    read(ctx, (db) => topSpenders(db, environment.id, { ...lastHour, by: "user" })),
    read(ctx, (db) => topSpenders(db, environment.id, { ...lastHour, by: "session" })),
    listCalls(ctx, environmentKey, { flag, limit: RECENT_CALLS }),
    tripsSince(ctx, environment.id, flag, new Date(startMs)),
  ]);
  return {
    startMs,
    endMs,
    period: of.period,
    timezone: of.timezone,
    usage: usage.items,
    users,
    sessions,
    calls: calls.items,
    trips: past,
  };
}

async function tripsSince(ctx: Ctx, environmentId: string, flag: string, since: Date): Promise<PastTrip[]> {
  const rows = await read(ctx, (db) =>
    db
      .select()
      .from(trips)
      .where(and(eq(trips.environmentId, environmentId), eq(trips.flag, flag), gte(trips.since, since)))
      .orderBy(asc(trips.since)),
  );
  return rows.map(({ budgetId, action, atPercent, model, since: at }) => ({
    budgetId,
    action,
    atPercent,
    model,
    sinceMs: at.getTime(),
  }));
}
