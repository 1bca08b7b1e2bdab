/**
 * `usage.year`: what the page Usage asks for this year, of a ledger of a million records a day in PostgreSQL, beside the same for
 * this month, by flag, by model and by user. The slowest of them counts.
 */
import { randomBytes } from "node:crypto";
import { pino } from "pino";
import { boot, type Runtime } from "../../src/boot.ts";
import { parseConfig } from "../../src/config.ts";
import type { Ctx, Deps } from "../../src/deps.ts";
import { systemActor } from "../../src/domain/actor.ts";
import { explore, type ExploreBy } from "../../src/services/usage/explore.ts";
import { by as byEffort, type Effort } from "../support/effort.ts";
import type { Figure } from "../support/figure.ts";
import { startCluster } from "../support/postgres.ts";
import { median } from "../support/statistics.ts";
import { DAY_MS, DayClock, keepHouse, WHOLE, writeDay } from "./year-ledger.ts";

/** The last evening of a year: its month has 31 days, its year 365. */
const NOW_MS = Date.parse("2026-12-31T18:00:00Z");
const YEAR = { from: new Date("2026-01-01T00:00:00Z"), bucket: "month" } as const;
const MONTH = { from: new Date("2026-12-01T00:00:00Z"), bucket: "day" } as const;
const BYS = ["flag", "model", "user"] as const satisfies readonly ExploreBy[];
/** Older days are read by the day and the month: an hour of names and a minute of each hour are enough to make them. */
const SPARSE = { minutesPerHour: 1, namedHours: 1 };
const WHOLE_DAYS = 33;

const SECRET_BYTES = 32;

export interface YearTimes {
  by: ExploreBy;
  yearMs: number;
  monthMs: number;
}

export async function benchUsageYear(effort: Effort): Promise<Figure> {
  const cluster = await startCluster();
  try {
    const clock = new DayClock(NOW_MS);
    const runtime = await bootOn(await cluster.createDatabase(), clock);
    try {
      const { deps } = runtime;
      const environmentId = deps.snapshots.environmentByKey("production")?.environmentId ?? "";
      const firstMs = byEffort(effort, YEAR.from.getTime(), NOW_MS - 70 * DAY_MS);
      for (let dayMs = Math.floor(firstMs / DAY_MS) * DAY_MS; dayMs < NOW_MS; dayMs += DAY_MS) {
        clock.put(dayMs + DAY_MS - 1);
        const isWhole = !effort.isQuick && NOW_MS - dayMs < WHOLE_DAYS * DAY_MS;
        await writeDay(deps.db, environmentId, dayMs, isWhole ? WHOLE : SPARSE);
        await keepHouse(deps, environmentId);
        if (new Date(dayMs).getUTCDate() === 1) effort.say(`  ${new Date(dayMs).toISOString().slice(0, 10)}`);
      }
      clock.put(NOW_MS);
      const times = await timesOf(deps, byEffort(effort, 9, 3));
      const slowest = times.reduce((a, b) => (b.yearMs / b.monthMs > a.yearMs / a.monthMs ? b : a));
      return {
        name: "usage.year",
        unit: "ms",
        ours: slowest.yearMs,
        peers: { "this month": slowest.monthMs },
        note: times
          .map(
            ({ by, yearMs, monthMs }) =>
              `by ${by} ${yearMs.toFixed(0)} ms beside ${monthMs.toFixed(0)} (${(yearMs / monthMs).toFixed(2)})`,
          )
          .join("; "),
      };
    } finally {
      await runtime.close();
    }
  } finally {
    await cluster.stop();
  }
}

/** A server at that clock, whose jobs are left to the caller. */
export async function bootOn(url: string, clock: DayClock): Promise<Runtime> {
  const secret = randomBytes(SECRET_BYTES).toString("base64url");
  const settings = parseConfig({ DATABASE_URL: url, ANDON_SECRET: secret, ANDON_LOG_LEVEL: "warn" });
  return boot(settings, { log: pino({ level: "warn" }), clock, jobs: false });
}

/** The median of some rounds, in turn, after one that warms up. */
export async function timesOf(deps: Deps, rounds: number): Promise<YearTimes[]> {
  await deps.db.execute("analyze");
  const ctx: Ctx = { actor: systemActor("bench", "bench"), requestId: "bench", deps };
  const to = new Date(deps.clock.nowMs() + 1);
  const times: YearTimes[] = [];
  for (const by of BYS) {
    const ask = (span: typeof YEAR | typeof MONTH) => explore(ctx, "production", { ...span, to, timezone: "UTC", by });
    const taken = { year: [] as number[], month: [] as number[] };
    for (let round = 0; round <= rounds; round += 1) {
      const yearMs = await timed(() => ask(YEAR));
      const monthMs = await timed(() => ask(MONTH));
      if (round === 0) continue;
      taken.year.push(yearMs);
      taken.month.push(monthMs);
    }
    times.push({ by, yearMs: median(taken.year), monthMs: median(taken.month) });
  }
  return times;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}
