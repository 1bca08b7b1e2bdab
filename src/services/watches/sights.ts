/** What the watches see now of the flags of an environment: three statements, two of them once an hour, whoever is called. */
import { sql } from "drizzle-orm";
import type { Ctx } from "../../deps.ts";
import { returnedRows } from "../../db/returned-rows.ts";
import type { Db } from "../../db/types.ts";
import { GRAINS, piecesOf } from "../../domain/rollups.ts";
import { hourOf } from "../../domain/usual.ts";
import {
  MEAN_SPAN_MS,
  type MeanCall,
  QUARTER_MS,
  type Sight,
  WATCHED_HOUR_MS,
  type WatchSums,
} from "../../domain/watch.ts";
import { Memo } from "../shared/memo.ts";
import { rolledSpan, usageOf } from "../usage/rollups.ts";
import type { Usuals } from "../usage/usual.ts";

const MINUTE_MS = 60_000;
/** What comes late into hours that are over changes their mean so much later. */
const MEANS_KEPT_MS = 30 * MINUTE_MS;

/** A flag that is looked at, and the first latency bucket that is slow for it. */
export interface Watched {
  flag: string;
  slowBucket: number;
}

const means = new Memo<ReadonlyMap<string, MeanCall>>(MEANS_KEPT_MS);

/** By flag; one without a call in the last hour is not in it. */
export async function readSights(
  ctx: Ctx,
  environmentId: string,
  { watched, usuals, nowMs }: { watched: readonly Watched[]; usuals: Usuals; nowMs: number },
): Promise<Map<string, Sight>> {
  const { db } = ctx.deps;
  // The minute under way counts as the last of each span.
  const untilMs = (Math.floor(nowMs / MINUTE_MS) + 1) * MINUTE_MS;
  const quarterMs = untilMs - QUARTER_MS;
  const settledMs = hourOf(quarterMs);
  const before = await means.get(ctx, environmentId, String(settledMs), () => readMeans(db, environmentId, settledMs));
  const fromMs = Math.min(untilMs - WATCHED_HOUR_MS, settledMs);
  const hour = sql`m.minute >= ${iso(untilMs - WATCHED_HOUR_MS)}::timestamptz`;
  const quarter = sql`m.minute >= ${iso(quarterMs)}::timestamptz`;
  const since = sql`m.minute >= ${iso(settledMs)}::timestamptz`;
  const rows = await db.execute(sql`
    select m.flag, ${sumsOf("hour", hour)}, ${sumsOf("quarter", quarter)},
      coalesce(sum(${ANSWERED}) filter (where ${since}), 0)::float8 as calls,
      coalesce(sum(${TOKENS}) filter (where ${since}), 0)::float8 as tokens,
      coalesce(max(m.largest_tokens) filter (where ${since} and not ${quarter}), 0)::float8 as largest
    from usage_minutes as m
    join jsonb_to_recordset(cast(${JSON.stringify(watched)} as text)::jsonb) as asked(flag text, "slowBucket" integer)
      on asked.flag = m.flag
    where m.environment_id = ${environmentId} and m.minute >= ${iso(fromMs)}::timestamptz
    group by m.flag`);
  return new Map(
    returnedRows(rows).map((row) => {
      const flag = String(row["flag"]);
      const quarterSums = sumsIn(row, "quarter");
      const known = before.get(flag) ?? { calls: 0, tokens: 0, largestTokens: 0 };
      const sight: Sight = {
        atMs: nowMs,
        hour: sumsIn(row, "hour"),
        quarter: quarterSums,
        usual: usuals.until(flag, nowMs),
        // Without the largest itself, which would be compared with itself.
        mean: {
          calls: known.calls + Number(row["calls"]) - 1,
          tokens: known.tokens + Number(row["tokens"]) - quarterSums.largestTokens,
          largestTokens: Math.max(known.largestTokens, Number(row["largest"])),
        },
      };
      return [flag, sight];
    }),
  );
}

const ANSWERED = sql.raw("m.attempts - m.errors");
const TOKENS = sql.raw("m.input + m.output + m.cache_write_5m + m.cache_write_1h + m.cache_read");
const SLOW = sql.raw(`(select coalesce(sum(n), 0) from unnest(m.latency[asked."slowBucket":]) as n)`);

/** The columns of {@link WatchSums} over the minutes of a condition; `m` are the minutes, `asked` the flags. */
export function sumsOf(name: "hour" | "quarter", condition: ReturnType<typeof sql>) {
  const sum = (column: ReturnType<typeof sql>, as: string) =>
    sql`coalesce(sum(${column}) filter (where ${condition}), 0)::float8 as ${sql.raw(`${name}_${as}`)}`;
  return sql.join(
    [
      sum(sql`m.attempts`, "attempts"),
      sum(sql`m.errors`, "errors"),
      sum(sql`m.ended`, "ended"),
      sum(sql`m.cut`, "cut"),
      sum(SLOW, "slow"),
      sum(sql`m.exact_nano_usd + m.estimated_nano_usd`, "cost"),
      sql`coalesce(max(m.largest_tokens) filter (where ${condition}), 0)::float8 as ${sql.raw(`${name}_largest`)}`,
    ],
    sql`, `,
  );
}

/** What {@link sumsOf} has read. */
export function sumsIn(row: Readonly<Record<string, unknown>>, name: "hour" | "quarter"): WatchSums {
  const read = (as: string) => Number(row[`${name}_${as}`]);
  return {
    attempts: read("attempts"),
    errors: read("errors"),
    ended: read("ended"),
    cut: read("cut"),
    slow: read("slow"),
    nanoUsd: read("cost"),
    largestTokens: read("largest"),
  };
}

/** The calls of each flag in the week before a moment. */
async function readMeans(db: Db, environmentId: string, untilMs: number): Promise<Map<string, MeanCall>> {
  const span = { fromMs: untilMs - MEAN_SPAN_MS, untilMs };
  const pieces = piecesOf(span, await rolledSpan(db, environmentId), GRAINS);
  const rows = await db.execute(sql`
    select flag, sum(${ANSWERED})::float8 as calls, sum(${TOKENS})::float8 as tokens,
      max(m.largest_tokens)::float8 as largest
    from (select * from ${usageOf(environmentId, pieces)}) as m group by flag`);
  return new Map(
    returnedRows(rows).map((row) => [
      String(row["flag"]),
      { calls: Number(row["calls"]), tokens: Number(row["tokens"]), largestTokens: Number(row["largest"]) },
    ]),
  );
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
