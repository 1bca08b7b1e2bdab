/**
 * Rows of the users, sessions, apps or versions that cost most, by the flags, models and buckets that are asked for too, and
 * what is left of the ledger's rows. Quantiles are of the single calls that are still kept.
 */
import { type SQL, sql } from "drizzle-orm";
import type { UsageRow } from "../../api/usage.ts";
import { returnedRows } from "../../db/returned-rows.ts";
import type { Db } from "../../db/types.ts";
import type { TopBy } from "../../domain/name-sums.ts";
import type { Span } from "../../domain/rollups.ts";
import { totalOf } from "../../domain/total.ts";
import type { UsageBucket, UsageGroup } from "../../domain/usage-query.ts";
import { NAME_OF_CALL, ofParts, type TopSpan, topsOf, within } from "./top-names.ts";

export interface TopQuestion {
  environmentId: string;
  by: TopBy;
  groupBy: readonly UsageGroup[];
  bucket: UsageBucket | null;
  timezone: string;
  flag: string | undefined;
  models: readonly string[] | undefined;
  /** More are not told apart: those that cost most are. */
  maxRows: number;
  counted: Span;
  span: TopSpan;
}

/** In the order of what they are grouped by. */
export async function topRows(db: Db, question: TopQuestion): Promise<UsageRow[]> {
  const { environmentId, by, span, groupBy, maxRows } = question;
  const parts = isByParts(question) ? sql`${ofParts(question)} and flag <> ''` : sql`true`;
  const sums = await db.execute(sql`
    ${topsOf(environmentId, by, span)}
    select * from (
      select ${keysOf(question, { at: sql`start`, name: sql`name` })}, sum(calls)::float8 as calls, sum(attempts)::float8 as attempts,
        sum(errors)::float8 as errors, sum(aborted)::float8 as aborted, sum(refused)::float8 as refused,
        sum(prompt)::text as prompt, sum(output)::text as output, sum(exact_nano_usd)::text as exact,
        sum(estimated_nano_usd)::text as estimated, sum(exact_nano_usd + estimated_nano_usd)::text as cost
      from tops where ${parts} group by 1, 2, 3, 4
      order by sum(exact_nano_usd + estimated_nano_usd) desc, 1, 2, 3, 4 limit ${sql.raw(String(maxRows))}
    ) as dearest order by at, ${sql.join(
      groupBy.map((group) => sql.raw(columnOf(group))),
      sql`, `,
    )}`);
  const quantiles = await quantilesOf(db, question);
  return returnedRows(sums).map((row) => {
    const latency = quantiles.get(keyOf(row));
    return {
      at: row["at"] === null ? null : new Date(Number(row["at"])).toISOString(),
      ...Object.fromEntries(groupBy.map((group) => [group, String(row[columnOf(group)])])),
      calls: Number(row["calls"]),
      attempts: Number(row["attempts"]),
      errors: Number(row["errors"]),
      aborted: Number(row["aborted"]),
      refused: Number(row["refused"]),
      promptTokens: totalOf(String(row["prompt"])),
      outputTokens: totalOf(String(row["output"])),
      tokens: null,
      webSearches: null,
      costNanoUsd: totalOf(String(row["cost"])),
      exactNanoUsd: totalOf(String(row["exact"])),
      estimatedNanoUsd: totalOf(String(row["estimated"])),
      unpriced: null,
      p50Ms: latency?.p50 ?? null,
      p95Ms: latency?.p95 ?? null,
      p99Ms: latency?.p99 ?? null,
    };
  });
}

/** What the ledger's rows have that these have not, each where there is any. */
export function restOf(ledger: readonly UsageRow[], rows: readonly UsageRow[]): UsageRow[] {
  const told = new Map<string, UsageRow[]>();
  for (const row of rows) told.set(keyOfRow(row), [...(told.get(keyOfRow(row)) ?? []), row]);
  return ledger.flatMap((whole) => {
    const own = told.get(keyOfRow(whole)) ?? [];
    const less = (of: (row: UsageRow) => number) => own.reduce((left, row) => left - of(row), of(whole));
    const lessOf = (of: (row: UsageRow) => number | string) =>
      totalOf(String(own.reduce((left, row) => left - BigInt(of(row)), BigInt(of(whole)))));
    const attempts = less((row) => row.attempts);
    const costNanoUsd = lessOf((row) => row.costNanoUsd);
    if (attempts === 0 && costNanoUsd === 0) return [];
    return {
      ...whole,
      calls: less((row) => row.calls),
      attempts,
      errors: less((row) => row.errors),
      aborted: less((row) => row.aborted),
      refused: less((row) => row.refused),
      promptTokens: lessOf((row) => row.promptTokens),
      outputTokens: lessOf((row) => row.outputTokens),
      tokens: null,
      webSearches: null,
      costNanoUsd,
      exactNanoUsd: lessOf((row) => row.exactNanoUsd),
      estimatedNanoUsd: lessOf((row) => row.estimatedNanoUsd),
      unpriced: null,
      p50Ms: null,
      p95Ms: null,
      p99Ms: null,
    };
  });
}

const keyOfRow = ({ at, flag, model }: UsageRow): string => JSON.stringify([at, flag, model]);

const quantile = (share: string) => sql.raw(`(percentile_disc(${share}) within group (order by r.latency_ms))::float8`);

async function quantilesOf(db: Db, question: TopQuestion) {
  const { environmentId, by, counted } = question;
  const rows = await db.execute(sql`
    select ${keysOf(question, { at: sql`r.at`, name: sql`coalesce(${NAME_OF_CALL[by]}, '')` })}, ${quantile("0.5")} as p50,
      ${quantile("0.95")} as p95, ${quantile("0.99")} as p99
    from usage_recent as r where r.environment_id = ${environmentId} and ${within(sql`r.at`, counted)} and ${ofParts(question)}
    group by 1, 2, 3, 4`);
  return new Map(
    returnedRows(rows).map((row) => [
      keyOf(row),
      { p50: Number(row["p50"]), p95: Number(row["p95"]), p99: Number(row["p99"]) },
    ]),
  );
}

/** Bucket, flag, model and name of a row: "" of what it is not grouped by. */
function keysOf({ bucket, timezone, groupBy }: TopQuestion, { at, name }: { at: SQL; name: SQL }): SQL {
  const start =
    bucket === null
      ? sql`null::float8`
      : sql`(extract(epoch from date_trunc(${sql.raw(`'${bucket}'`)}, ${at}, ${timezone})) * 1000)::float8`;
  const part = (group: "flag" | "model") => (groupBy.includes(group) ? sql.raw(group) : sql.raw("''"));
  return sql`${start} as at, ${part("flag")} as flag, ${part("model")} as model, ${name} as name`;
}

const columnOf = (group: UsageGroup): string => (group === "flag" || group === "model" ? group : "name");

const keyOf = (row: Readonly<Record<string, unknown>>): string =>
  JSON.stringify([row["at"] === null ? null : Number(row["at"]), row["flag"], row["model"], row["name"]]);

const isByParts = ({ groupBy, flag, models }: TopQuestion): boolean =>
  groupBy.includes("flag") || groupBy.includes("model") || flag !== undefined || models !== undefined;
