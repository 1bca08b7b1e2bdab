/**
 * What was used: sums by flag and model from the ledger; by user, session, app or version those that cost most with the rest
 * up to the ledger's sums; what hours cannot answer, from the kept single calls. A question of the ledger with too many rows
 * is refused, so that no answer is a silent part of the truth.
 */
import { and, asc, eq, gte, inArray, lt, type SQL, sql } from "drizzle-orm";
import type { PgColumn } from "drizzle-orm/pg-core";
import { requireEnvironment } from "../../authorize.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { usageMinutes, usageRecent } from "../../db/schema/usage.ts";
import type { Db } from "../../db/types.ts";
import { LATENCY_BUCKETS_MS, latencyQuantileMs } from "../../domain/ledger.ts";
import { TOP_BYS, type TopBy } from "../../domain/name-sums.ts";
import { grainsFor, HOUR_GRAIN, type Piece, piecesFor, type Span } from "../../domain/rollups.ts";
import {
  DEFAULT_SPAN_MS,
  MAX_SPAN_MS,
  MAX_USAGE_ROWS,
  type UsageBucket,
  type UsageGroup,
} from "../../domain/usage-query.ts";
import type { UsageAnswer, UsageRow, UsageQuery } from "../../api/usage.ts";
import { totalOf } from "../../domain/total.ts";
import { isTimeZone } from "../../domain/window.ts";
import { invalid } from "../../errors.ts";
import { rolledSpan, usageOf } from "./rollups.ts";
import { countedSpan, topSpan } from "./top-names.ts";
import { restOf, topRows } from "./top-rows.ts";
import { unknownNames } from "./unknown-names.ts";
import { spellingsOf } from "../models/spellings.ts";

interface Question {
  environmentId: string;
  from: Date;
  to: Date;
  groupBy: readonly UsageGroup[];
  bucket: UsageBucket | null;
  timezone: string;
  flag: string | undefined;
  /** The spellings of the wanted model. */
  models: string[] | undefined;
  /** Where the ledger's sums of the span are read. */
  pieces: readonly Piece[];
  maxRows: number;
}

/** Sums over a span, the last 24 hours by default. INVALID for a span or a grouping that answers with too much. */
export async function getUsage(ctx: Ctx, environmentKey: string, query: UsageQuery = {}): Promise<UsageAnswer> {
  return readUsage(ctx, environmentKey, query, MAX_USAGE_ROWS);
}

/** The same with another bound on its rows, for a piece of something longer. */
export async function readUsage(
  ctx: Ctx,
  environmentKey: string,
  query: UsageQuery,
  maxRows: number,
): Promise<UsageAnswer> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const question = questionOf(ctx, environment.id, query, maxRows);
  const { model } = query;
  const span = { fromMs: question.from.getTime(), untilMs: question.to.getTime() };
  const by = topByOf(question, span);
  const isOfNames = question.groupBy.some(isTopBy);
  const found = await read(ctx, async (db): Promise<Found> => {
    const rolled = await rolledSpan(db, environment.id);
    const pieces = (of: Span) => piecesFor(question.bucket, question.timezone, of, rolled);
    question.pieces = pieces(span);
    if (model !== undefined) question.models = await spellingsOf(db, environment, model, span);
    if (!isOfNames) return { items: await sumLedger(db, question) };
    if (by === null) return { items: await sumRecent(db, question) };
    const nowMs = ctx.deps.clock.nowMs();
    const counted = countedSpan(span, nowMs);
    // Before the ledger, which has all of them and only grows: the rest is never negative.
    const items = await topRows(db, { ...question, by, counted, span: topSpan(counted, nowMs, pieces) });
    const groupBy = question.groupBy.filter((group) => group !== by);
    const ledger = await sumLedger(db, { ...question, groupBy, pieces: pieces(counted) });
    return { items, rest: restOf(ledger, items) };
  });
  if (found.items.length > maxRows) {
    throw invalid(
      "from",
      `this would answer with more than ${maxRows} rows; ask for a shorter span, a larger bucket or fewer groups`,
    );
  }
  const isEmpty = found.items.length === 0 && (query.flag !== undefined || model !== undefined);
  return {
    from: question.from.toISOString(),
    to: question.to.toISOString(),
    bucket: question.bucket,
    timezone: question.timezone,
    groupBy: [...question.groupBy],
    source: by !== null ? "topNames" : isOfNames ? "recentCalls" : "ledger",
    ...found,
    unknown: isEmpty ? await read(ctx, (db) => unknownNames(db, environment, query)) : [],
  };
}

type Found = Pick<UsageAnswer, "items" | "rest">;

const isTopBy = (group: UsageGroup): group is TopBy => TOP_BYS.some((by) => by === group);

/** By what names are summed; null where hours do not tell: of more than one of these, and in buckets that are no whole hours. */
function topByOf({ groupBy, bucket, timezone }: Question, span: Span): TopBy | null {
  const [by, ...more] = groupBy.filter(isTopBy);
  if (by === undefined || more.length > 0) return null;
  if (bucket === null) return by;
  const ofBuckets = grainsFor(bucket === "month" ? "hour" : bucket, timezone, span);
  return ofBuckets.includes(HOUR_GRAIN) ? by : null;
}

function questionOf(ctx: Ctx, environmentId: string, query: UsageQuery, maxRows: number): Question {
  const to = query.to ?? new Date(ctx.deps.clock.nowMs());
  const from = query.from ?? new Date(to.getTime() - DEFAULT_SPAN_MS);
  const bucket = query.bucket ?? null;
  const timezone = query.timezone ?? "UTC";
  if (!isTimeZone(timezone)) {
    throw invalid("timezone", `"${timezone}" is not an IANA time zone; write it like "Europe/Berlin" or "UTC"`);
  }
  const spanMs = to.getTime() - from.getTime();
  if (spanMs <= 0) throw invalid("to", "must be after from");
  const maxMs = MAX_SPAN_MS[bucket ?? "none"];
  if (spanMs > maxMs) {
    const hours = maxMs / 3_600_000;
    throw invalid(
      "from",
      `with ${bucket === null ? "no bucket" : `bucket ${bucket}`} at most ${hours} hours are answered`,
    );
  }
  const groupBy = [...new Set(query.groupBy ?? [])];
  return {
    environmentId,
    from,
    to,
    groupBy,
    bucket,
    timezone,
    flag: query.flag,
    models: undefined,
    pieces: [],
    maxRows,
  };
}

const total = (column: PgColumn) => sql`coalesce(sum(${column}), 0)`.mapWith(Number);
/** Every digit of a sum. */
const digits = (sum: SQL | PgColumn, where: SQL = sql``) =>
  sql`coalesce(sum(${sum})${where}, 0)::text`.mapWith(totalOf);
const tally = (condition: SQL) => sql`count(*) filter (where ${condition})`.mapWith(Number);
const jsonNumbers = (text: unknown): number[] => (typeof text === "string" ? JSON.parse(text) : []);

/** The sums per latency bucket as one JSON text: neither driver reads arrays of bigint as numbers. */
const latencySums = sql`json_build_array(${sql.join(
  Array.from(
    { length: LATENCY_BUCKETS_MS.length + 1 },
    (_, index) => sql`coalesce(sum(${usageMinutes.latency}[${sql.raw(String(index + 1))}]), 0)`,
  ),
  sql`, `,
)})::text`.mapWith({ mapFromDriverValue: jsonNumbers });

const PROMPT = sql`${usageMinutes.input} + ${usageMinutes.cacheWrite5m} + ${usageMinutes.cacheWrite1h} + ${usageMinutes.cacheRead}`;
const COST = sql`${usageMinutes.exactNanoUsd} + ${usageMinutes.estimatedNanoUsd}`;

async function sumLedger(db: Db, question: Question): Promise<UsageRow[]> {
  const { environmentId, pieces, flag, models } = question;
  const { at, keys, groups } = grouping(question, usageMinutes.minute, {
    flag: usageMinutes.flag,
    model: usageMinutes.model,
  });
  const rows = await db
    .select({
      at,
      ...keys,
      calls: total(usageMinutes.calls),
      attempts: total(usageMinutes.attempts),
      errors: total(usageMinutes.errors),
      aborted: total(usageMinutes.aborted),
      refused: total(usageMinutes.refused),
      promptTokens: digits(PROMPT),
      input: digits(usageMinutes.input),
      output: digits(usageMinutes.output),
      cacheWrite5m: digits(usageMinutes.cacheWrite5m),
      cacheWrite1h: digits(usageMinutes.cacheWrite1h),
      cacheRead: digits(usageMinutes.cacheRead),
      webSearches: total(usageMinutes.webSearches),
      costNanoUsd: digits(COST),
      exactNanoUsd: digits(usageMinutes.exactNanoUsd),
      estimatedNanoUsd: digits(usageMinutes.estimatedNanoUsd),
      unpriced: total(usageMinutes.unpriced),
      latency: latencySums,
    })
    .from(usageOf(environmentId, pieces))
    .where(
      and(
        flag === undefined ? undefined : eq(usageMinutes.flag, flag),
        models === undefined ? undefined : inArray(usageMinutes.model, models),
      ),
    )
    .groupBy(...groups)
    .orderBy(...groups.map((group) => asc(group)))
    .limit(question.maxRows + 1);
  return rows.map(({ input, output, cacheWrite5m, cacheWrite1h, cacheRead, latency, ...row }) => ({
    ...namesOf(question, row),
    ...countsOf(row),
    promptTokens: row.promptTokens,
    outputTokens: output,
    tokens: { input, output, cacheWrite5m, cacheWrite1h, cacheRead },
    webSearches: row.webSearches,
    costNanoUsd: row.costNanoUsd,
    exactNanoUsd: row.exactNanoUsd,
    estimatedNanoUsd: row.estimatedNanoUsd,
    unpriced: row.unpriced,
    p50Ms: latencyQuantileMs(latency, 0.5),
    p95Ms: latencyQuantileMs(latency, 0.95),
    p99Ms: latencyQuantileMs(latency, 0.99),
  }));
}

const quantile = (share: number) =>
  sql`percentile_disc(${sql.raw(String(share))}) within group (order by ${usageRecent.latencyMs})`.mapWith(Number);

/** Of the instance that reported it. */
const applicationOf = (column: "app" | "sdk") => sql`(select ${sql.raw(column)} from instances as i
  where i.environment_id = ${usageRecent.environmentId} and i.instance = ${usageRecent.instance} order by last_seen desc limit 1)`;

async function sumRecent(db: Db, question: Question): Promise<UsageRow[]> {
  const { environmentId, from, to, flag, models } = question;
  const { at, keys, groups } = grouping(question, usageRecent.at, {
    flag: usageRecent.flag,
    model: usageRecent.model,
    user: usageRecent.user,
    session: usageRecent.session,
    app: applicationOf("app"),
    version: applicationOf("sdk"),
  });
  const rows = await db
    .select({
      at,
      ...keys,
      calls: tally(sql`${usageRecent.attempt} = 1`),
      attempts: tally(sql`true`),
      errors: tally(sql`${usageRecent.outcome} = 'error'`),
      aborted: tally(sql`${usageRecent.outcome} = 'aborted'`),
      refused: tally(sql`${usageRecent.outcome} = 'refused'`),
      promptTokens: digits(usageRecent.input),
      outputTokens: digits(usageRecent.output),
      costNanoUsd: digits(usageRecent.costNanoUsd),
      exactNanoUsd: digits(usageRecent.costNanoUsd, sql` filter (where ${usageRecent.exact})`),
      estimatedNanoUsd: digits(usageRecent.costNanoUsd, sql` filter (where not ${usageRecent.exact})`),
      p50Ms: quantile(0.5),
      p95Ms: quantile(0.95),
      p99Ms: quantile(0.99),
    })
    .from(usageRecent)
    .where(
      and(
        eq(usageRecent.environmentId, environmentId),
        gte(usageRecent.at, from),
        lt(usageRecent.at, to),
        flag === undefined ? undefined : eq(usageRecent.flag, flag),
        models === undefined ? undefined : inArray(usageRecent.model, models),
      ),
    )
    .groupBy(...groups)
    .orderBy(...groups.map((group) => asc(group)))
    .limit(question.maxRows + 1);
  return rows.map((row) => ({
    ...namesOf(question, row),
    ...countsOf(row),
    promptTokens: row.promptTokens,
    outputTokens: row.outputTokens,
    tokens: null,
    webSearches: null,
    costNanoUsd: row.costNanoUsd,
    exactNanoUsd: row.exactNanoUsd,
    estimatedNanoUsd: row.estimatedNanoUsd,
    unpriced: null,
    p50Ms: row.p50Ms,
    p95Ms: row.p95Ms,
    p99Ms: row.p99Ms,
  }));
}

type Names = Partial<Record<UsageGroup, string>>;

/** What is selected and grouped by: the bucket's start in Unix milliseconds, and the wanted columns. */
function grouping(question: Question, at: PgColumn, columns: Partial<Record<UsageGroup, PgColumn | SQL>>) {
  const { bucket, timezone, groupBy } = question;
  const start =
    bucket === null
      ? sql`null::bigint`
      : sql`(extract(epoch from date_trunc(${sql.raw(`'${bucket}'`)}, ${at}, ${timezone})) * 1000)::bigint`;
  const selected = Object.entries(columns).map(([name, column]) => [
    name,
    groupBy.some((group) => group === name) ? sql`coalesce(${column}, '')`.mapWith(String) : sql`''`.mapWith(String),
  ]);
  const keys: Record<string, SQL<string>> = Object.fromEntries(selected);
  // By position, so that one expression with parameters is one and the same in both places.
  const groups = [sql`1`, ...Object.keys(keys).map((_, index) => sql.raw(String(index + 2)))];
  return { at: start.mapWith((value: unknown) => (value === null ? null : Number(value))), keys, groups };
}

function namesOf(
  question: Question,
  row: { at: number | null } & Record<string, unknown>,
): { at: string | null } & Names {
  const names: Names = {};
  for (const group of question.groupBy) {
    const name = row[group];
    names[group] = typeof name === "string" ? name : "";
  }
  return { at: row.at === null ? null : new Date(row.at).toISOString(), ...names };
}

type Counts = Pick<UsageRow, "calls" | "attempts" | "errors" | "aborted" | "refused">;

function countsOf({ calls, attempts, errors, aborted, refused }: Counts): Counts {
  return { calls, attempts, errors, aborted, refused };
}
