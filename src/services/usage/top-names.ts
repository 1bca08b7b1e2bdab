/**
 * Who used most in a span: users, sessions, apps or versions of the client. Whole hours are read from the sums of names, in
 * the coarsest pieces that fit, with what is staged for them; of what the span has besides, the single calls that are kept.
 * Invariant: a name is told no more than it used, so that the rest up to the ledger's sum of the same span is never negative.
 */
import { type SQL, sql } from "drizzle-orm";
import { returnedRows } from "../../db/returned-rows.ts";
import type { Db } from "../../db/types.ts";
import { MAX_EARLY_MS, MINUTE_MS } from "../../domain/ledger.ts";
import type { TopBy } from "../../domain/name-sums.ts";
import { HOUR_GRAIN, type Piece, type Span } from "../../domain/rollups.ts";
import { namedSums, SUM_COLUMNS } from "./staged-sums.ts";
import { MAX_TOP_NAMES } from "./top-spans.ts";

const HOUR_MS = 3_600_000;
/** Staged sums that an answer adds up itself, the newest; of more, the rest is told until they are added. */
const MAX_STAGED_READ = 20_000;

export interface NameSums {
  /** `""` where the calls name none. */
  name: string;
  calls: number;
  attempts: number;
  errors: number;
  promptTokens: bigint;
  outputTokens: bigint;
  costNanoUsd: bigint;
}

/** Where the names of a span are read. */
export interface TopSpan {
  /** The whole hours of it. */
  whole: Span;
  pieces: readonly Piece[];
  /** What it has before and after them. */
  edges: readonly Span[];
}

const minute = (ms: number): number => Math.ceil(ms / MINUTE_MS) * MINUTE_MS;

/** The minutes that the ledger counts in a span that may end now: those of clocks that are ahead too. */
export function countedSpan({ fromMs, untilMs }: Span, nowMs: number): Span {
  return {
    fromMs: minute(fromMs),
    untilMs: minute(untilMs >= nowMs ? Math.max(untilMs, nowMs + MAX_EARLY_MS) : untilMs),
  };
}

/** @param piecesOf how whole hours are divided */
export function topSpan(span: Span, nowMs: number, piecesOf: (whole: Span) => readonly Piece[]): TopSpan {
  const fromMs = Math.ceil(span.fromMs / HOUR_MS) * HOUR_MS;
  // Of an hour that runs there is nothing after now.
  const isOpen = span.untilMs >= nowMs + MAX_EARLY_MS;
  const untilMs = (isOpen ? Math.ceil(span.untilMs / HOUR_MS) : Math.floor(span.untilMs / HOUR_MS)) * HOUR_MS;
  if (fromMs >= untilMs) return { whole: { fromMs, untilMs: fromMs }, pieces: [], edges: [span] };
  const whole = { fromMs, untilMs };
  const edges = [
    { fromMs: span.fromMs, untilMs: fromMs },
    { fromMs: untilMs, untilMs: span.untilMs },
  ].filter((edge) => edge.fromMs < edge.untilMs);
  return { whole, pieces: piecesOf(whole), edges };
}

const moment = (ms: number) => sql`${new Date(ms).toISOString()}::timestamptz`;
const grainOf = ({ grain }: Piece) => sql.raw(String(grain ?? HOUR_GRAIN));
export const within = (column: SQL, { fromMs, untilMs }: Span) =>
  sql`${column} >= ${moment(fromMs)} and ${column} < ${moment(untilMs)}`;

const STAGED = (environmentId: string, { whole }: TopSpan) => sql`
  select * from (
    select environment_id, hour, rows, nano_usd, sums, sum(rows) over (order by id desc) as with_newer
    from usage_staged where environment_id = ${environmentId} and ${within(sql`hour`, whole)}
  ) as newest where with_newer - rows < ${MAX_STAGED_READ}::int`;

/** A table `tops` for any query: sums of names with the beginning of their span as `start`; behind a `with` of its own. */
export function topsOf(environmentId: string, by: TopBy, span: TopSpan): SQL {
  const parts = span.pieces.map(
    (piece) => sql`
      select start, name, flag, model, ${SUM_COLUMNS} from usage_top_names where environment_id = ${environmentId}
        and grain = ${grainOf(piece)} and "by" = ${by} and ${within(sql`start`, piece)}`,
  );
  parts.push(sql`select hour, name, flag, model, ${SUM_COLUMNS} from named where "by" = ${by}`);
  for (const edge of span.edges) parts.push(callsOf(environmentId, by, edge));
  return sql`with staged as (${STAGED(environmentId, span)}), ${namedSums(sql`staged`)}, tops as (${sql.join(parts, sql` union all `)})`;
}

/** Of a call `r`: an app and a version are those of the instance that reported it. */
export const NAME_OF_CALL = {
  user: sql`r.user_id`,
  session: sql`r.session_id`,
  app: sql`(select app from instances as i where i.environment_id = r.environment_id and i.instance = r.instance
    order by last_seen desc limit 1)`,
  version: sql`(select sdk from instances as i where i.environment_id = r.environment_id and i.instance = r.instance
    order by last_seen desc limit 1)`,
};

const one = (condition: SQL): SQL => sql`(${condition})::int`;

function callsOf(environmentId: string, by: TopBy, edge: Span): SQL {
  return sql`
    select r.at, coalesce(${NAME_OF_CALL[by]}, ''), r.flag, r.model, ${one(sql`r.attempt = 1`)}, 1,
      ${one(sql`r.outcome = 'error'`)}, ${one(sql`r.outcome = 'aborted'`)}, ${one(sql`r.outcome = 'refused'`)}, r.input,
      r.output, case when r.exact then r.cost_nano_usd else 0 end, case when r.exact then 0 else r.cost_nano_usd end
    from usage_recent as r where r.environment_id = ${environmentId} and ${within(sql`r.at`, edge)}`;
}

/** Which flag and which spellings of a model: what a name used of more than are told apart is of none. */
export function ofParts({ flag, models }: { flag?: string | undefined; models?: readonly string[] | undefined }): SQL {
  return sql.join(
    [
      sql`true`,
      ...(flag === undefined ? [] : [sql`flag = ${flag}`]),
      ...(models === undefined
        ? []
        : [
            sql`model = any(array[${sql.join(
              [...models].map((model) => sql`${model}`),
              sql`, `,
            )}]::text[])`,
          ]),
    ],
    sql` and `,
  );
}

interface Wanted {
  span: TopSpan;
  flag?: string | undefined;
  /** In all their spellings. */
  models?: readonly string[] | undefined;
}

/** Those that cost most first, at most {@link MAX_TOP_NAMES}. */
export async function topNames(db: Db, environmentId: string, by: TopBy, wanted: Wanted): Promise<NameSums[]> {
  const rows = await db.execute(sql`
    ${topsOf(environmentId, by, wanted.span)}
    select name, sum(calls)::float8 as calls, sum(attempts)::float8 as attempts, sum(errors)::float8 as errors,
      sum(prompt)::text as prompt, sum(output)::text as output, sum(exact_nano_usd + estimated_nano_usd)::text as cost
    from tops where ${ofParts(wanted)} group by name
    order by sum(exact_nano_usd + estimated_nano_usd) desc, name limit ${sql.raw(String(MAX_TOP_NAMES))}`);
  return returnedRows(rows).map((row) => ({
    name: String(row["name"]),
    calls: Number(row["calls"]),
    attempts: Number(row["attempts"]),
    errors: Number(row["errors"]),
    promptTokens: BigInt(String(row["prompt"])),
    outputTokens: BigInt(String(row["output"])),
    costNanoUsd: BigInt(String(row["cost"])),
  }));
}

/**
 * What one name may have used at most beside what is told of it, nano-USD: what was left out of each hour, and all of the hours
 * that no names are known of.
 * @param totalNanoUsd the ledger's sum of the span
 */
export async function leftOut(
  db: Db,
  environmentId: string,
  by: TopBy,
  { span, totalNanoUsd }: { span: TopSpan; totalNanoUsd: bigint },
): Promise<bigint> {
  const parts = span.pieces.map(
    (piece) => sql`
      select nano_usd, left_out_nano_usd from usage_top_spans where environment_id = ${environmentId}
        and grain = ${grainOf(piece)} and "by" = ${by} and ${within(sql`start`, piece)}`,
  );
  parts.push(sql`select nano_usd, 0 from (${STAGED(environmentId, span)}) as staged`);
  const rows = await db.execute(sql`
    select coalesce(sum(nano_usd), 0)::text as known, coalesce(sum(left_out_nano_usd), 0)::text as left_out
    from (${sql.join(parts, sql` union all `)}) as spans`);
  const [row] = returnedRows(rows);
  const unknown = totalNanoUsd - BigInt(String(row?.["known"]));
  return BigInt(String(row?.["left_out"])) + (unknown > 0n ? unknown : 0n);
}
