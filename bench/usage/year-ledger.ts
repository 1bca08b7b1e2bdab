/**
 * A ledger of a million records a day, made day by day: what comes in by SQL, as the ledger would have written it, and what is
 * made of it and goes again by the server's own jobs at that day's clock.
 */
import { sql } from "drizzle-orm";
import type { Clock } from "../../src/clock.ts";
import { systemClock } from "../../src/clock.ts";
import type { Deps } from "../../src/deps.ts";
import { pruneUsage } from "../../src/services/usage/prune.ts";
import { rollNext } from "../../src/services/usage/rollups.ts";
import { foldStaged } from "../../src/services/usage/staged-sums.ts";
import { cutHours, MAX_TOP_NAMES } from "../../src/services/usage/top-spans.ts";

export const DAY_MS = 86_400_000;
const MINUTES = 1_440;
const HOURS = 24;
const FLAGS = 5;
const MODELS = ["claude-opus-5-5", "claude-sonnet-5-5"] as const;
/** Flags and models in use: rows a minute. */
export const PARTS = FLAGS * MODELS.length;
export const RECORDS_PER_DAY = 1_000_000;
/** Of a user and an hour: one of these. */
const NANO_USD = 1_000_000;

/** The wall clock stands where it is put; the other one runs. */
export class DayClock implements Clock {
  #nowMs: number;
  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }
  nowMs(): number {
    return this.#nowMs;
  }
  monotonicMs(): number {
    return systemClock.monotonicMs();
  }
  schedule(delayMs: number, callback: () => void): { cancel(): void } {
    return systemClock.schedule(delayMs, callback);
  }
  put(nowMs: number): void {
    this.#nowMs = nowMs;
  }
}

export interface Density {
  /** Minutes of each hour that have rows; their sums are the hour's all the same. */
  minutesPerHour: number;
  /** Hours of the day whose users and sessions are known. */
  namedHours: number;
}
export const WHOLE: Density = { minutesPerHour: 60, namedHours: HOURS };

/** Writes one day's usage down: as many users and sessions in each hour as are kept, others from hour to hour. */
export async function writeDay(
  db: Deps["db"],
  environmentId: string,
  dayMs: number,
  { minutesPerHour, namedHours }: Density,
): Promise<void> {
  const day = sql`${new Date(dayMs).toISOString()}::timestamptz`;
  const attempts = Math.round(RECORDS_PER_DAY / HOURS / minutesPerHour / PARTS);
  const latency = `{${Array.from({ length: 24 }, (_, bucket) => (bucket === 7 ? attempts : 0)).join(",")}}`;
  const models = sql`(array['${sql.raw(MODELS.join("','"))}'])`;
  await db.execute(sql`
    insert into usage_minutes (environment_id, minute, flag, model, calls, attempts, errors, input, output, cache_read,
      exact_nano_usd, latency)
    select ${environmentId}, ${day} + make_interval(mins => minute), 'feature-' || part % ${FLAGS}::int,
      ${models}[1 + part / ${FLAGS}::int], ${attempts}::int, ${attempts}::int, 1, 1200 * ${attempts}::bigint,
      350 * ${attempts}::bigint, 8000 * ${attempts}::bigint, ${NANO_USD}::bigint * ${attempts}::bigint, ${latency}::bigint[]
    from generate_series(0, ${MINUTES - 1}::int, ${60 / minutesPerHour}::int) as minute, generate_series(0, ${PARTS - 1}::int) as part
    order by minute, part`);
  await db.execute(sql`
    insert into usage_top_names (environment_id, grain, "by", start, name, flag, model, calls, attempts, prompt, output, exact_nano_usd)
    select ${environmentId}, 3600, "by", ${day} + make_interval(hours => hour),
      "by" || '-' || (n * 7 + hour * 131 + ${Math.round(dayMs / DAY_MS)}::int * 17) % ${MAX_TOP_NAMES * 5}::int,
      'feature-' || n % ${FLAGS}::int, ${models}[1 + n % ${MODELS.length}::int], 10, 10, 92000, 3500, ${NANO_USD}::bigint * (10 + n % 20)
    from generate_series(0, ${namedHours - 1}::int) as hour, generate_series(1, ${MAX_TOP_NAMES}::int) as n,
      (values ('session'), ('user')) as bys("by")
    order by 3, 4, 5, 6, 7`);
  await db.execute(sql`
    insert into usage_top_spans (environment_id, grain, "by", start, nano_usd, left_out_nano_usd, rows, is_open)
    select ${environmentId}, 3600, "by", ${day} + make_interval(hours => hour), ${NANO_USD}::bigint * ${Math.round(RECORDS_PER_DAY / HOURS)}::bigint,
      ${NANO_USD}::bigint * 10, ${MAX_TOP_NAMES}::int, true
    from generate_series(0, ${namedHours - 1}::int) as hour, (values ('session'), ('user')) as bys("by")`);
  // Batches of 25 records, of which clients send one a second under that load.
  await db.execute(sql`
    insert into usage_batches (environment_id, batch_id, received_at, accepted)
    select ${environmentId}, gen_random_uuid()::text, ${day} + make_interval(secs => n * 2), 25
    from generate_series(0, ${Math.round((RECORDS_PER_DAY / 25) * (minutesPerHour / 60)) - 1}::int) as n`);
}

/** What the server's jobs do in a day. */
export async function keepHouse(deps: Deps, environmentId: string): Promise<void> {
  while (await foldStaged(deps));
  await cutHours(deps);
  while (await rollNext(deps, environmentId));
  await pruneUsage(deps);
}
