/**
 * The names that cost most in an hour, a day or a month, and the rest. While an hour runs, all of its names have rows, up to a
 * bound; when it is over it is cut to those that cost most, and again when late records come. Invariant: a name's rows never
 * tell more than it used, and `left_out_nano_usd` is no less than what they miss of any one name.
 */
import { and, asc, eq, gt, lt, or, sql } from "drizzle-orm";
import type { Deps } from "../../deps.ts";
import { usageTopSpans } from "../../db/schema/usage.ts";
import { returnedRows } from "../../db/returned-rows.ts";
import type { Db } from "../../db/types.ts";
import { TOP_BYS } from "../../domain/name-sums.ts";
import { type Grain, HOUR_GRAIN, type Span } from "../../domain/rollups.ts";
import { ADDED, SUM_COLUMNS, TOTALS } from "./staged-sums.ts";

/** Names kept apart of each span. */
export const MAX_TOP_NAMES = 1_000;
/** Flags and models that one name is told apart by in a span; what it used of more is summed. */
const PARTS_PER_NAME = 4;
/** Of an hour that runs: beyond so many rows it is cut to so many names. */
const MAX_OPEN_ROWS = 200_000;
const OPEN_NAMES = 20_000;
/** After the end of an hour its last calls have been reported. */
const CUT_AFTER_MS = 10 * 60_000;
/** Of one turn. */
const MAX_CUTS = 500;

const COST = sql.raw("exact_nano_usd + estimated_nano_usd");
const moment = (ms: number) => sql`${new Date(ms).toISOString()}::timestamptz`;

export interface TopBounds {
  names: number;
  parts: number;
  openRows: number;
  openNames: number;
}
const BOUNDS: TopBounds = {
  names: MAX_TOP_NAMES,
  parts: PARTS_PER_NAME,
  openRows: MAX_OPEN_ROWS,
  openNames: OPEN_NAMES,
};

/** Cuts hours that are over, and those that have too many rows before. */
export async function cutHours({ db, clock }: Pick<Deps, "db" | "clock">, bounds = BOUNDS): Promise<void> {
  const over = new Date(clock.nowMs() - HOUR_GRAIN * 1_000 - CUT_AFTER_MS);
  const due = await db
    .select()
    .from(usageTopSpans)
    .where(
      and(eq(usageTopSpans.isOpen, true), or(lt(usageTopSpans.start, over), gt(usageTopSpans.rows, bounds.openRows))),
    )
    .orderBy(asc(usageTopSpans.start))
    .limit(MAX_CUTS);
  for (const span of due) {
    const isOver = span.start < over;
    await db.transaction((tx) => cut(tx, span, isOver ? bounds : { ...bounds, names: bounds.openNames }, !isOver));
  }
}

type SpanKey = Pick<typeof usageTopSpans.$inferSelect, "environmentId" | "grain" | "by" | "start">;

/** Leaves the names that cost most, each by the flags and models that it used most. */
async function cut(tx: Db, span: SpanKey, { names, parts }: TopBounds, isOpen: boolean): Promise<void> {
  const { environmentId, grain, by, start } = span;
  const own = sql`environment_id = ${environmentId} and grain = ${raw(grain)} and "by" = ${by}
    and start = ${moment(start.getTime())}`;
  const [locked] = await tx
    .select({ rows: usageTopSpans.rows })
    .from(usageTopSpans)
    .where(
      and(
        eq(usageTopSpans.environmentId, environmentId),
        eq(usageTopSpans.grain, grain),
        eq(usageTopSpans.by, by),
        eq(usageTopSpans.start, start),
      ),
    )
    .for("update");
  if (locked === undefined) return;
  // By place and not by joins: of an hour that is new the planner takes any number of rows for one.
  await tx.execute(sql`
    with ranked as (
      select ctid, total, dense_rank() over (order by total desc, name) as place
      from (select ctid, name, sum(${COST}) over (partition by name) as total from usage_top_names where ${own}) as sums
    ), gone as (
      delete from usage_top_names
      where ctid = any(array(select ctid from ranked where place > ${raw(names)}))
    )
    update usage_top_spans
    set left_out_nano_usd = left_out_nano_usd + coalesce((select max(total) from ranked where place > ${raw(names)}), 0)
    where ${own}`);
  await tx.execute(sql`
    with placed as (
      select ctid, row_number() over (partition by name order by ${COST} desc, flag, model) as place
      from usage_top_names where ${own} and flag <> ''
    ), moved as (
      delete from usage_top_names
      where ctid = any(array(select ctid from placed where place > ${raw(parts)})) returning *
    )
    insert into usage_top_names as known (environment_id, grain, "by", start, name, flag, model, ${SUM_COLUMNS})
    select environment_id, grain, "by", start, name, '', '', ${TOTALS} from moved group by 1, 2, 3, 4, 5
    on conflict (environment_id, grain, "by", start, name, flag, model) do update set ${ADDED}`);
  await tx.execute(sql`
    update usage_top_spans set is_open = ${isOpen}, rows = (select count(*) from usage_top_names where ${own})
    where ${own}`);
}

/**
 * Makes the names of a day or a month of those of its hours or days, in the transaction that rolls up its other sums. What is
 * left out of it is what was left out of each of those, and of them all.
 */
export async function rollTops(
  tx: Db,
  environmentId: string,
  { grain, of, span, bounds = BOUNDS }: { grain: Grain; of: Grain; span: Span; bounds?: TopBounds },
): Promise<void> {
  const own = sql`environment_id = ${environmentId} and grain = ${raw(grain)} and start = ${moment(span.fromMs)}`;
  await tx.execute(sql`delete from usage_top_names where ${own}`);
  await tx.execute(sql`delete from usage_top_spans where ${own}`);
  for (const by of TOP_BYS) {
    const within = sql`environment_id = ${environmentId} and grain = ${raw(of)} and "by" = ${by}
      and start >= ${moment(span.fromMs)} and start < ${moment(span.untilMs)}`;
    const dearest = await tx.execute(sql`
      select name, sum(${COST})::text as total from usage_top_names where ${within} group by name
      order by sum(${COST}) desc, name offset ${raw(bounds.names - 1)} limit 2`);
    // The last that is kept, and the first that is not. Names of one text compare as the database orders them.
    const [last, beyond] = returnedRows(dearest);
    const isKept =
      last === undefined
        ? sql`true`
        : sql`(total > ${String(last["total"])}::numeric or total = ${String(last["total"])}::numeric and name <= ${String(last["name"])})`;
    await tx.execute(sql`
      with sums as (
        select name, flag, model, ${TOTALS} from usage_top_names where ${within} group by 1, 2, 3
      ), parts as (
        select *, sum(${COST}) over (partition by name) as total,
          row_number() over (partition by name order by flag = '', ${COST} desc, flag, model) <= ${raw(bounds.parts)} as is_apart
        from sums
      )
      insert into usage_top_names (environment_id, grain, "by", start, name, flag, model, ${SUM_COLUMNS})
      select ${environmentId}, ${raw(grain)}, ${by}, ${moment(span.fromMs)}, name, case when is_apart then flag else '' end,
        case when is_apart then model else '' end, ${TOTALS}
      from parts where ${isKept} group by name, 6, 7`);
    await tx.execute(sql`
      insert into usage_top_spans (environment_id, grain, "by", start, nano_usd, left_out_nano_usd, rows, is_open)
      select ${environmentId}, ${raw(grain)}, ${by}, ${moment(span.fromMs)}, sum(nano_usd),
        sum(left_out_nano_usd) + ${beyond === undefined ? "0" : String(beyond["total"])}::numeric, (select count(*) from usage_top_names where ${own} and "by" = ${by}), false
      from usage_top_spans where ${within} having count(*) > 0`);
  }
}

function raw(n: number) {
  return sql.raw(String(n));
}
