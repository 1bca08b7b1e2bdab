/**
 * Today's usage for `/metrics`. What operators defined is always told, from 0 on: Prometheus sees no increase in a counter
 * that is born above 0. What is called by other names follows while there is room, and the cut is told.
 */
import { and, asc, eq, gte, lt, type SQL, sql } from "drizzle-orm";
import type { PreparedSnapshot, Ctx } from "../../deps.ts";
import { stepsOf } from "../../../sdk-client/src/evaluate/compile.ts";
import { realModels } from "../../../sdk-client/src/evaluate/model-names.ts";
import type { Snapshot } from "../../../sdk-client/src/wire/protocol.ts";
import { usageMinutes } from "../../db/schema/usage.ts";
import { NANO_PER_USD } from "../../domain/budget.ts";
import { LATENCY_BUCKETS_MS } from "../../domain/ledger.ts";
import { MAX_OTHER_FLAGS, MAX_OTHER_PAIRS, type MetricFamily, type Sample } from "../../domain/metric.ts";
import { OTHER } from "../../domain/other.ts";
import { windowAt } from "../../domain/window.ts";

const BUCKETS = LATENCY_BUCKETS_MS.length + 1;

type Served = Pick<PreparedSnapshot, "key" | "environmentId" | "snapshot">;

interface Counted {
  families: MetricFamily[];
  /** Series that there was no room for. */
  dropped: number;
}

/** Counters of today in UTC: they begin at 0 each midnight, which Prometheus takes for the restart of a counter. */
export async function usageFamilies(ctx: Ctx, served: Served): Promise<MetricFamily[]> {
  const { startMs, endMs } = windowAt("day", "UTC", ctx.deps.clock.nowMs());
  const today = and(
    eq(usageMinutes.environmentId, served.environmentId),
    gte(usageMinutes.minute, new Date(startMs)),
    lt(usageMinutes.minute, new Date(endMs)),
  );
  const counters = await countersOf(ctx, served, today);
  const latency = await latencyOf(ctx, served, today);
  return [
    ...counters.families,
    ...latency.families,
    {
      name: "andon_metrics_series_dropped",
      help: "Series of usage that are left out as there are too many; those of defined flags and their chains never are.",
      type: "gauge",
      samples: [{ labels: { environment: served.key }, value: counters.dropped + latency.dropped }],
    },
  ];
}

const total = (name: keyof typeof usageMinutes.$inferSelect) => sql`sum(${usageMinutes[name]})`.mapWith(Number);
const SUMS = {
  calls: total("calls"),
  attempts: total("attempts"),
  errors: total("errors"),
  aborted: total("aborted"),
  refused: total("refused"),
  unpriced: total("unpriced"),
  input: total("input"),
  output: total("output"),
  cacheWrite5m: total("cacheWrite5m"),
  cacheWrite1h: total("cacheWrite1h"),
  cacheRead: total("cacheRead"),
  exactNanoUsd: total("exactNanoUsd"),
  estimatedNanoUsd: total("estimatedNanoUsd"),
};
/** By the number of the bucket. A sum each is several times faster than unnesting the arrays. */
const BUCKET_SUMS = Object.fromEntries(
  Array.from({ length: BUCKETS }, (_, at) => [
    `bucket${at}`,
    sql`sum(${usageMinutes.latency}[${sql.raw(String(at + 1))}])`.mapWith(Number),
  ]),
);
/** Groups that there are, also beyond the limit of the query. */
const groups = sql`count(*) over ()`.mapWith(Number);

type Sums = Record<keyof typeof SUMS, number>;
type Row = Sums & { flag: string; model: string };

const NONE: Sums = {
  calls: 0,
  attempts: 0,
  errors: 0,
  aborted: 0,
  refused: 0,
  unpriced: 0,
  input: 0,
  output: 0,
  cacheWrite5m: 0,
  cacheWrite1h: 0,
  cacheRead: 0,
  exactNanoUsd: 0,
  estimatedNanoUsd: 0,
};

/** A counter: what it adds to the labels of flag and model, with the value. The same number of series for every pair. */
const COUNTERS: { name: string; help: string; values: (sums: Sums) => [Record<string, string>, number][] }[] = [
  { name: "andon_calls_total", help: "Calls, by their first attempts.", values: ({ calls }) => [[{}, calls]] },
  {
    name: "andon_attempts_total",
    help: "Attempts by outcome.",
    values: ({ attempts, errors, aborted, refused }) => [
      [{ outcome: "ok" }, attempts - errors - aborted - refused],
      [{ outcome: "error" }, errors],
      [{ outcome: "aborted" }, aborted],
      [{ outcome: "refused" }, refused],
    ],
  },
  {
    name: "andon_unpriced_attempts_total",
    help: "Attempts at a model without a price, counted at the dearest rate.",
    values: ({ unpriced }) => [[{}, unpriced]],
  },
  {
    name: "andon_tokens_total",
    help: "Tokens by price class.",
    values: (sums) =>
      (["input", "output", "cacheWrite5m", "cacheWrite1h", "cacheRead"] as const).map((name) => [
        { class: name },
        sums[name],
      ]),
  },
  {
    name: "andon_cost_usd_total",
    help: "Cost by whether the provider's own usage proves it.",
    values: ({ exactNanoUsd, estimatedNanoUsd }) => [
      [{ kind: "exact" }, exactNanoUsd / NANO_PER_USD],
      [{ kind: "estimated" }, estimatedNanoUsd / NANO_PER_USD],
    ],
  },
];
const SERIES_PER_PAIR = COUNTERS.reduce((sum, { values }) => sum + values(NONE).length, 0);

async function countersOf(ctx: Ctx, { key: environment, snapshot }: Served, today: SQL | undefined): Promise<Counted> {
  const defined = definedPairs(snapshot);
  const isDefined = sql`(${usageMinutes.flag}, ${usageMinutes.model}) in (select flag, model
    from jsonb_to_recordset(cast(${JSON.stringify(defined)} as text)::jsonb) as defined(flag text, model text))`;
  const found = await ctx.deps.reads
    .select({ flag: usageMinutes.flag, model: usageMinutes.model, ...SUMS, groups })
    .from(usageMinutes)
    .where(today)
    .groupBy(usageMinutes.flag, usageMinutes.model)
    .orderBy(sql`not (${isDefined})`, ...flagOrder(snapshot), asc(usageMinutes.model))
    .limit(defined.length + MAX_OTHER_PAIRS);
  const called = new Set(found.map(pairKey));
  const silent = defined.filter((pair) => !called.has(pairKey(pair)));
  const rows: Row[] = [...silent.map((pair) => ({ ...NONE, ...pair })), ...found].toSorted(byPair);
  const families = COUNTERS.map(({ name, help, values }): MetricFamily => ({
    name,
    help: `${help} Today in UTC.`,
    type: "counter",
    samples: rows.flatMap((row) =>
      values(row).map(([more, value]) => ({
        labels: { environment, flag: row.flag, model: row.model, ...more },
        value,
      })),
    ),
  }));
  return { families, dropped: ((found[0]?.groups ?? 0) - found.length) * SERIES_PER_PAIR };
}

/** The distribution of today's latency by flag. Without a sum: the ledger keeps buckets, not milliseconds. */
async function latencyOf(ctx: Ctx, { key: environment, snapshot }: Served, today: SQL | undefined): Promise<Counted> {
  const flags = Object.keys(snapshot.flags);
  const found = await ctx.deps.reads
    .select({ flag: usageMinutes.flag, counts: BUCKET_SUMS, groups })
    .from(usageMinutes)
    .where(today)
    .groupBy(usageMinutes.flag)
    .orderBy(...flagOrder(snapshot))
    .limit(flags.length + MAX_OTHER_FLAGS);
  const counts = new Map(flags.map((flag) => [flag, Array.from({ length: BUCKETS }, () => 0)]));
  for (const row of found) counts.set(row.flag, Object.values(row.counts));
  const samples = [...counts].toSorted(([a], [b]) => (a < b ? -1 : 1)).flatMap(([flag, own]) => histogram(flag, own));
  const family: MetricFamily = {
    name: "andon_call_duration_seconds",
    help: "Duration of attempts. Today in UTC.",
    type: "histogram",
    samples: samples.map(({ labels, ...rest }) => ({ labels: { environment, ...labels }, ...rest })),
  };
  return { families: [family], dropped: ((found[0]?.groups ?? 0) - found.length) * (BUCKETS + 1) };
}

function histogram(flag: string, counts: readonly number[]): Sample[] {
  let seen = 0;
  const buckets = counts.map((n, at): Sample => {
    seen += n;
    const bound = LATENCY_BUCKETS_MS[at];
    return {
      labels: { flag, le: bound === undefined ? "+Inf" : String(bound / 1000) },
      value: seen,
      suffix: "_bucket",
    };
  });
  return [...buckets, { labels: { flag }, value: seen, suffix: "_count" }];
}

/** Each flag with each model of its chain, by the name that calls of it are counted under. */
function definedPairs(snapshot: Snapshot): { flag: string; model: string }[] {
  const modelOf = realModels(snapshot.aliases);
  return Object.entries(snapshot.flags).flatMap(([flag, source]) => {
    const models = new Set(stepsOf(snapshot, source).map(({ model }) => modelOf(model)));
    return Array.from(models, (model) => ({ flag, model }));
  });
}

/** Defined flags, what was folded together, and then all others. */
function flagOrder({ flags }: Snapshot): SQL[] {
  const isDefined = sql`${usageMinutes.flag} in (select jsonb_array_elements_text(cast(${JSON.stringify(Object.keys(flags))} as text)::jsonb))`;
  return [sql`not (${isDefined})`, sql`${usageMinutes.flag} <> ${OTHER}`, asc(usageMinutes.flag)];
}

function pairKey({ flag, model }: { flag: string; model: string }): string {
  return `${flag}\n${model}`;
}

function byPair(a: Row, b: Row): number {
  return pairKey(a) < pairKey(b) ? -1 : 1;
}
