/**
 * Who is behind what a watch has found, and since when it is so. From the calls that are kept, so of those alone: asked only
 * when an alert is written.
 */
import { type SQL, sql } from "drizzle-orm";
import { returnedRows } from "../../db/returned-rows.ts";
import type { Db } from "../../db/types.ts";
import {
  beganMs,
  MIN_BAD,
  QUARTER_MS,
  type Reading,
  WATCHED_HOUR_MS,
  type WatchKind,
  type WatchSetting,
} from "../../domain/watch.ts";
import type { Behind } from "../../domain/watch-text.ts";

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
/** From this share on somebody is behind most of it. */
const MOST_PERCENT = 50;
/** What somebody usually does is what they did in so long before that hour, of which at least an hour is known. */
const BEFORE_MS = 6 * HOUR_MS;
/** p95: what may be slower. */
const SLOW_SHARE = 0.05;
const NANO_PER_USD = 1_000_000_000;
/** Users and sessions say most; that there is only one model, app or version says nothing. */
const KINDS = ["user", "session", "model", "app", "version"] as const;
const ALONE: ReadonlySet<string> = new Set(["user", "session"]);

export interface Found {
  kind: WatchKind;
  flag: string;
  setting: WatchSetting;
  reading: Reading;
  nowMs: number;
  /** The first latency bucket, from 1, that is slow. */
  slowBucket: number;
}

/** What of a kept call is unusual. */
function unusualOf({ kind, setting }: Found): SQL {
  switch (kind) {
    case "burn":
    case "largeCall":
      return sql`calls.cost_nano_usd`;
    case "cut":
      return sql`(calls.stop_reason = 'max_tokens')::integer`;
    case "errors":
      return sql`(calls.outcome = 'error')::integer`;
    case "latency":
      return sql`(calls.latency_ms > ${setting.limit})::integer`;
  }
}

const OF_INSTANCE = sql`
  left join lateral (
    select app, sdk from instances where instances.environment_id = calls.environment_id
      and instances.instance = calls.instance order by last_seen desc limit 1
  ) as made on true`;

/** Those behind most of it, the largest share first; of a large call whose it was. */
export async function readBehind(db: Db, environmentId: string, found: Found): Promise<Behind[]> {
  return found.kind === "largeCall" ? ofCall(db, environmentId, found) : ofMost(db, environmentId, found);
}

async function ofMost(db: Db, environmentId: string, found: Found): Promise<Behind[]> {
  const { kind, flag, nowMs } = found;
  const sinceMs = nowMs - QUARTER_MS;
  const hourMs = nowMs - WATCHED_HOUR_MS;
  const since = sql`at >= ${iso(sinceMs)}::timestamptz`;
  const rows = returnedRows(
    await db.execute(sql`
      with unusual as materialized (
        select calls.at, calls.user_id, calls.session_id, calls.model, made.app, made.sdk,
          coalesce(${unusualOf(found)}, 0) as n
        from usage_recent as calls ${OF_INSTANCE}
        where calls.environment_id = ${environmentId} and calls.flag = ${flag}
          and calls.at >= ${iso(hourMs - BEFORE_MS)}::timestamptz
      ), named as (
        select kind, name, coalesce(sum(n) filter (where ${since}), 0) as now,
          coalesce(sum(n) filter (where at < ${iso(hourMs)}::timestamptz), 0) as before
        from unusual cross join lateral (values ('user', user_id), ('session', session_id), ('model', model), ('app', app),
          ('version', sdk)) as parts (kind, name)
        group by kind, name
      )
      select distinct on (kind) kind, name, now::float8 as now, before::float8 as before,
        (sum(now) over (partition by kind))::float8 as total, (count(*) over (partition by kind))::integer as names,
        (select extract(epoch from min(at)) * 1000 from unusual)::float8 as first_ms
      from named order by kind, (coalesce(name, '') = ''), now desc, name`),
  );
  return KINDS.flatMap((by): Behind[] => {
    const row = rows.find((one) => one["kind"] === by);
    const name = row?.["name"];
    const total = Number(row?.["total"] ?? 0);
    if (row === undefined || typeof name !== "string" || name === "" || total === 0) return [];
    const percent = Math.floor((Number(row["now"]) * 100) / total);
    if (percent < MOST_PERCENT || (!ALONE.has(by) && Number(row["names"]) < 2)) return [];
    const beforeMs = hourMs - Number(row["first_ms"]);
    const perHour = (Number(row["before"]) * HOUR_MS) / beforeMs;
    const isKnown = kind === "burn" && beforeMs >= HOUR_MS && perHour > 0;
    const times = isKnown ? (Number(row["now"]) * (HOUR_MS / QUARTER_MS)) / perHour : null;
    return [{ by, name, percent, times: times !== null && times >= 2 ? Math.floor(times * 10) / 10 : null }];
  }).toSorted((a, b) => b.percent - a.percent);
}

async function ofCall(db: Db, environmentId: string, { flag, reading, nowMs }: Found): Promise<Behind[]> {
  const [row] = returnedRows(
    await db.execute(sql`
      select calls.user_id, calls.session_id, calls.model, made.app, made.sdk
      from usage_recent as calls ${OF_INSTANCE}
      where calls.environment_id = ${environmentId} and calls.flag = ${flag}
        and calls.at >= ${iso(nowMs - QUARTER_MS - MINUTE_MS)}::timestamptz
        and calls.input + calls.output = ${reading.value}
      order by calls.id desc limit 1`),
  );
  if (row === undefined) return [];
  const names = {
    user: row["user_id"],
    session: row["session_id"],
    model: row["model"],
    app: row["app"],
    version: row["sdk"],
  };
  return KINDS.flatMap((by): Behind[] => {
    const name = names[by];
    return typeof name === "string" && name !== "" ? [{ by, name, percent: 100, times: null }] : [];
  });
}

/** Since when it is so, see `beganMs`: from the minutes of the last hour. */
export async function readBegan(db: Db, environmentId: string, found: Found): Promise<number | null> {
  const { kind, flag, nowMs, slowBucket } = found;
  const rows = returnedRows(
    await db.execute(sql`
      select extract(epoch from minute)::float8 * 1000 as at_ms, sum(attempts)::float8 as attempts,
        sum(errors)::float8 as errors, sum(ended)::float8 as ended, sum(cut)::float8 as cut,
        sum((select coalesce(sum(n), 0) from unnest(latency[${slowBucket}::integer:]) as n))::float8 as slow,
        sum(exact_nano_usd + estimated_nano_usd)::float8 as cost, max(largest_tokens)::float8 as largest
      from usage_minutes where environment_id = ${environmentId} and flag = ${flag}
        and minute > ${iso(nowMs - WATCHED_HOUR_MS)}::timestamptz
      group by minute order by minute`),
  );
  if (kind === "largeCall") {
    const row = rows.findLast((one) => Number(one["largest"]) === found.reading.value);
    return row === undefined ? null : Number(row["at_ms"]);
  }
  const lastMinuteMs = Math.floor(nowMs / MINUTE_MS) * MINUTE_MS;
  const known = new Map(rows.map((row) => [Number(row["at_ms"]), row]));
  // Minutes without a call speak against a burn too.
  const minutes = Array.from({ length: WATCHED_HOUR_MS / MINUTE_MS }, (_, n) => {
    const atMs = lastMinuteMs - n * MINUTE_MS;
    const row = known.get(atMs);
    return { atMs, excess: excessOf(found, (name) => Number(row?.[name] ?? 0)) };
  });
  return beganMs(minutes);
}

function excessOf({ kind, setting, reading }: Found, of: (name: string) => number): number {
  switch (kind) {
    case "burn":
      return of("cost") - Math.max(reading.against * setting.limit, setting.minimum * NANO_PER_USD) / 60;
    case "cut":
      return of("cut") - (of("ended") * setting.limit) / 100;
    case "errors":
      return of("errors") - (of("attempts") * setting.limit) / 100;
    case "latency":
      return of("slow") - of("attempts") * SLOW_SHARE;
    case "largeCall":
      return of("largest") - MIN_BAD;
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
