/**
 * A simulated year of a million records a day: what the jobs make of it stays within its bounds, the page of the year answers
 * within three times the month's, and an hour of a million users keeps those that cost most and says what it left out.
 */
import { sql } from "drizzle-orm";
import { returnedRows } from "../../src/db/returned-rows.ts";
import { DEFAULT_KEPT } from "../../src/config.ts";
import type { Deps } from "../../src/deps.ts";
import type { PricedRecord } from "../../src/domain/ledger.ts";
import { foldStaged, stageSums } from "../../src/services/usage/staged-sums.ts";
import { cutHours, MAX_TOP_NAMES } from "../../src/services/usage/top-spans.ts";
import { bootOn, timesOf } from "../usage/year.ts";
import { DAY_MS, DayClock, keepHouse, PARTS, WHOLE, writeDay } from "../usage/year-ledger.ts";

const END_MS = Date.parse("2027-01-01T00:00:00Z");
/** A month of what is printed. */
const DAYS_A_MONTH = 30;
/** As autovacuum does when a fifth of a table is dead. */
const VACUUM_EVERY_DAYS = 7;
const MAX_RATIO = 3;
/** A hot table past its retention may take so much more in the end than then. */
const MAX_GROWTH = 1.3;
const ROUNDS = 5;
const USERS = 1_000_000;
const USERS_AT_ONCE = 20_000;
/** Of one hour that runs: its bound, and what comes between two looks at it. */
const MAX_OPEN_ROWS = 200_000 + 2 * USERS_AT_ONCE;
const HOUR_MS = 3_600_000;

/** Days that rows of a table stay, and the rows of a day. */
const HOT: Readonly<Record<string, { days: number; rowsADay: number }>> = {
  usage_minutes: { days: DEFAULT_KEPT.minutes, rowsADay: 1_440 * PARTS },
  usage_top_hours: { days: DEFAULT_KEPT.topHours, rowsADay: 24 * 2 * MAX_TOP_NAMES },
  usage_batches: { days: DEFAULT_KEPT.batches, rowsADay: 40_000 },
  usage_staged: { days: 0, rowsADay: 1_000 },
};

interface Size {
  rows: number;
  bytes: number;
}

/** What did not hold. */
export async function year({
  url,
  days,
  say,
  signal,
}: {
  url: string;
  days: number;
  say: (text: string) => void;
  signal: AbortSignal;
}): Promise<string[]> {
  const clock = new DayClock(END_MS - days * DAY_MS);
  const { deps, close } = await bootOn(url, clock);
  try {
    const environmentId = deps.snapshots.environmentByKey("production")?.environmentId ?? "";
    const faults: string[] = [];
    const past = new Map<string, Size>();
    for (let day = 1; day <= days; day += 1) {
      signal.throwIfAborted();
      const dayMs = END_MS - (days - day + 1) * DAY_MS;
      clock.put(dayMs + DAY_MS - 1);
      await writeDay(deps.db, environmentId, dayMs, WHOLE);
      await keepHouse(deps, environmentId);
      if (day % VACUUM_EVERY_DAYS === 0) await vacuum(deps);
      if (day % DAYS_A_MONTH !== 0 && day !== days) continue;
      const sizes = await sizesOf(deps);
      say(
        `  day ${day}: ${Array.from(sizes, ([table, { rows, bytes }]) => `${table} ${rows} (${mib(bytes)} MiB)`).join(", ")}`,
      );
      for (const [table, { days: kept, rowsADay }] of Object.entries(HOT)) {
        const { rows, bytes } = sizes.get(table) ?? { rows: 0, bytes: 0 };
        const most = (kept + 2) * rowsADay;
        if (rows > most) faults.push(`${table} has ${rows} rows on day ${day}, more than ${most}`);
        const then = past.get(table);
        if (day > kept && then === undefined) past.set(table, { rows, bytes });
        if (then !== undefined && bytes > then.bytes * MAX_GROWTH)
          faults.push(`${table} takes ${mib(bytes)} MiB on day ${day}, ${mib(then.bytes)} when it was full`);
      }
    }
    for (const { by, yearMs, monthMs } of await timesOf(deps, ROUNDS)) {
      const ratio = yearMs / monthMs;
      say(
        `  by ${by}: the year in ${yearMs.toFixed(0)} ms, the month in ${monthMs.toFixed(0)}, ${ratio.toFixed(2)} times`,
      );
      if (ratio > MAX_RATIO) faults.push(`the year by ${by} takes ${ratio.toFixed(2)} times as long as the month`);
    }
    return [...faults, ...(await millionUsers(deps, clock, environmentId, say))];
  } finally {
    await close();
  }
}

/** An hour in which everybody calls once, and a thousand of them for more. */
async function millionUsers(
  deps: Deps,
  clock: DayClock,
  environmentId: string,
  say: (text: string) => void,
): Promise<string[]> {
  const hourMs = END_MS + HOUR_MS;
  clock.put(hourMs + HOUR_MS / 2);
  let most = 0;
  const startedMs = performance.now();
  for (let from = 0; from < USERS; from += USERS_AT_ONCE) {
    const records = Array.from({ length: USERS_AT_ONCE }, (_, n) => callOf(from + n, hourMs));
    await stageSums(deps.db, environmentId, records);
    while (await foldStaged(deps));
    await cutHours(deps);
    most = Math.max(most, (await openHour(deps, hourMs)).rows);
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  clock.put(hourMs + 2 * HOUR_MS);
  await cutHours(deps);
  const kept = await openHour(deps, hourMs);
  say(
    `  ${USERS} users in an hour: at most ${most} rows, ${kept.rows} in the end, ${kept.largest} of the ${MAX_TOP_NAMES} that cost most; ` +
      `at most ${(kept.leftOut / 1e9).toFixed(3)} USD of one left out; ${seconds.toFixed(0)} s`,
  );
  return [
    ...(most > MAX_OPEN_ROWS ? [`an hour of ${USERS} users has ${most} rows while it runs`] : []),
    ...(kept.rows === MAX_TOP_NAMES ? [] : [`${kept.rows} names are kept of an hour, not ${MAX_TOP_NAMES}`]),
    ...(kept.largest === MAX_TOP_NAMES ? [] : [`only ${kept.largest} of the ${MAX_TOP_NAMES} that cost most are kept`]),
  ];
}

/** One user in a thousand costs a dollar, the others up to a tenth. */
function callOf(user: number, atMs: number): PricedRecord {
  const usage = { input: 900, output: 100, cacheWrite5m: 0, cacheWrite1h: 0, cacheRead: 0, webSearches: 0 };
  return {
    record: {
      id: String(user),
      at: atMs,
      flag: "feature-0",
      model: "claude-opus-5-5",
      requestedModel: "claude-opus-5-5",
      outcome: "ok",
      exact: true,
      usage,
      attempt: 1,
      latencyMs: 800,
      user: `user-${user}`,
    },
    instance: "host-1",
    tokenId: "soak",
    atMs,
    costNanoUsd: user % (USERS / MAX_TOP_NAMES) === 0 ? 1_000_000_000 : (user % 97) * 1_000_000,
    priced: true,
  };
}

async function openHour(deps: Deps, hourMs: number): Promise<{ rows: number; largest: number; leftOut: number }> {
  const rows = await deps.db.execute(sql`
    select count(*)::int as rows, count(*) filter (where exact_nano_usd >= 1000000000)::int as largest,
      (select left_out_nano_usd::float8 from usage_top_spans where grain = 3600 and "by" = 'user'
        and start = ${new Date(hourMs).toISOString()}::timestamptz) as left_out
    from usage_top_names where grain = 3600 and "by" = 'user' and start = ${new Date(hourMs).toISOString()}::timestamptz`);
  const [row] = returnedRows(rows);
  return { rows: Number(row?.["rows"]), largest: Number(row?.["largest"]), leftOut: Number(row?.["left_out"]) };
}

async function vacuum({ db }: Deps): Promise<void> {
  for (const table of [
    "usage_minutes",
    "usage_rollups",
    "usage_top_names",
    "usage_top_spans",
    "usage_batches",
    "usage_staged",
  ]) {
    await db.execute(sql`vacuum (analyze) ${sql.raw(table)}`);
  }
}

/** Rows and bytes, indexes and all. Names by the hour are told apart from those by the day and the month, with the table's bytes. */
async function sizesOf({ db }: Deps): Promise<Map<string, Size>> {
  const rows = await db.execute(sql`
    select * from (values
      ('usage_minutes', (select count(*) from usage_minutes), pg_total_relation_size('usage_minutes')),
      ('usage_rollups', (select count(*) from usage_rollups), pg_total_relation_size('usage_rollups')),
      ('usage_top_hours', (select count(*) from usage_top_names where grain = 3600), pg_total_relation_size('usage_top_names')),
      ('usage_top_days', (select count(*) from usage_top_names where grain > 3600), 0::bigint),
      ('usage_batches', (select count(*) from usage_batches), pg_total_relation_size('usage_batches')),
      ('usage_staged', (select count(*) from usage_staged), pg_total_relation_size('usage_staged'))) as sizes(name, n, bytes)`);
  return new Map(
    returnedRows(rows).map((row) => [String(row["name"]), { rows: Number(row["n"]), bytes: Number(row["bytes"]) }]),
  );
}

function mib(bytes: number): string {
  return (bytes / 1_048_576).toFixed(0);
}
