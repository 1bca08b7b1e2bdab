/**
 * What `/metrics` says of the environments the asker may see. Read from the database at each scrape, so that every server
 * says the same: take one of them, never their sum. What this server alone knows is in `serverFamilies`.
 */
import { and, asc, eq, gte, isNull, lt, sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { incidents, outbox, usageMinutes } from "../db/ledger-schema.ts";
import { seesEnvironment } from "../domain/actor.ts";
import { NANO_PER_USD } from "../domain/budget.ts";
import { LATENCY_BUCKETS_MS } from "../domain/ledger.ts";
import { MAX_SERIES, type MetricFamily, type Sample } from "../domain/metric.ts";
import { windowAt } from "../domain/window.ts";
import { listBudgets } from "./budget-view.ts";
import { fleetFamilies } from "./fleet-metrics.ts";
import type { PreparedSnapshot } from "./snapshot-store.ts";
import { readTrips } from "./surroundings.ts";

/** A database that has not answered `select 1` by then is away for this scrape. */
const ANSWER_MS = 700;

/** What this server knows by itself, also while the database is away. */
export function serverFamilies(ctx: Ctx): MetricFamily[] {
  const { snapshots } = ctx.deps;
  const served = visible(ctx);
  const flags = served.flatMap(({ key: environment, snapshot }) =>
    Object.entries(snapshot.flags).map(([flag, state]) => ({ labels: { environment, flag }, state, snapshot })),
  );
  return [
    gauge(
      "andon_snapshot_stale_seconds",
      "Seconds since this server last knew its state to be current; 0 while it is.",
      [{ labels: {}, value: snapshots.staleSeconds() }],
    ),
    gauge("andon_parked_polls", "Polls waiting for a change at this server.", [
      { labels: {}, value: snapshots.parkedPolls },
    ]),
    gauge(
      "andon_revision",
      "The revision this server serves, within its lineage.",
      served.map(({ key, lineage, n }) => ({ labels: { environment: key, lineage }, value: n })),
    ),
    gauge(
      "andon_master_on",
      "1 while the master switch of the environment is on.",
      served.map(({ key, snapshot }) => ({
        labels: { environment: key },
        value: Number(snapshot.master.state === "on"),
      })),
    ),
    gauge(
      "andon_flag_on",
      "1 while the flag's switch is on and no budget has tripped it off; the master switch is apart.",
      flags.map(({ labels, state }) => ({ labels, value: Number(state.state === "on") })),
    ),
    gauge(
      "andon_flag_level",
      "The first step of the flag's chain that may be used; 0 is full quality.",
      flags.map(({ labels, state }) => ({ labels, value: state.level })),
    ),
  ];
}

/** False when not even a small question is answered soon: a scrape has no time for a database that hangs. */
export async function databaseAnswers({ deps: { db, clock } }: Ctx): Promise<boolean> {
  const answer = db.execute(sql`select 1`).then(() => true);
  const late = new Promise<false>((resolve) => {
    clock.schedule(ANSWER_MS, () => resolve(false));
  });
  const isUp = await Promise.race([answer, late]);
  // Whatever becomes of it, the scrape is answered by then.
  if (!isUp) answer.catch(() => undefined);
  return isUp;
}

/** What the database knows. Rejects with DATABASE_AWAY when it does not answer. */
export async function databaseFamilies(ctx: Ctx): Promise<MetricFamily[]> {
  const served = visible(ctx);
  const families = new Map<string, MetricFamily & { samples: Sample[] }>();
  const add = (family: MetricFamily): void => {
    const known = families.get(family.name);
    if (known === undefined) families.set(family.name, { ...family, samples: [...family.samples] });
    else known.samples.push(...family.samples);
  };
  for (const { key, environmentId } of served) {
    for (const family of await fleetFamilies(ctx, key)) add(family);
    for (const family of await budgetFamilies(ctx, key)) add(family);
    for (const family of await tripFamilies(ctx, key, environmentId)) add(family);
    for (const family of await usageFamilies(ctx, key, environmentId)) add(family);
  }
  return [...families.values()].map((family) => ({ ...family, samples: family.samples.slice(0, MAX_SERIES) }));
}

async function budgetFamilies(ctx: Ctx, environment: string): Promise<MetricFamily[]> {
  const { items } = await listBudgets(ctx, environment);
  const each = (value: (now: (typeof items)[number]["now"]) => number): Sample[] =>
    items.map(({ name, period, now }) => ({ labels: { environment, budget: name, period }, value: value(now) }));
  return [
    gauge(
      "andon_budget_limit_usd",
      "The limit of the window with its raises.",
      each((now) => usd(now.limitNanoUsd)),
    ),
    gauge(
      "andon_budget_spent_usd",
      "What its current window has spent.",
      each((now) => usd(now.spentNanoUsd)),
    ),
    gauge(
      "andon_budget_used_ratio",
      "Spent by limit.",
      each((now) => now.spentNanoUsd / now.limitNanoUsd),
    ),
    gauge(
      "andon_budget_burn_usd_per_hour",
      "Spending over the last minutes.",
      each((now) => usd(now.burnNanoUsdPerHour)),
    ),
    gauge(
      "andon_budget_overshoot_bound_usd",
      "How far the limit can be overspent at this rate.",
      each((now) => usd(now.overshootBoundNanoUsd)),
    ),
  ];
}

async function tripFamilies(ctx: Ctx, environment: string, environmentId: string): Promise<MetricFamily[]> {
  const { reads: db } = ctx.deps;
  const trips = await readTrips(db, environmentId);
  const byKey = new Map<string, Sample>();
  for (const { flag, budgetName, action } of trips) {
    byKey.set(`${flag}\n${budgetName}\n${action}`, {
      labels: { environment, flag, budget: budgetName, action },
      value: 1,
    });
  }
  const open = await db
    .select({ n: sql`count(*)`.mapWith(Number) })
    .from(incidents)
    .where(and(eq(incidents.environmentId, environmentId), isNull(incidents.resolvedAt)));
  const alerts = await db
    .select({
      waiting: sql`count(*) filter (where ${outbox.failedAt} is null)`.mapWith(Number),
      failed: sql`count(*) filter (where ${outbox.failedAt} is not null)`.mapWith(Number),
    })
    .from(outbox)
    .where(and(eq(outbox.environmentId, environmentId), isNull(outbox.deliveredAt)));
  return [
    gauge("andon_trip_in_force", "1 for each trip of a flag by a budget that is in force.", [...byKey.values()]),
    gauge("andon_incidents_open", "Incidents whose cause has not ended.", [
      { labels: { environment }, value: open[0]?.n ?? 0 },
    ]),
    gauge("andon_alerts", "Alerts not delivered: waiting for their next attempt, or given up.", [
      { labels: { environment, state: "waiting" }, value: alerts[0]?.waiting ?? 0 },
      { labels: { environment, state: "failed" }, value: alerts[0]?.failed ?? 0 },
    ]),
  ];
}

const total = (name: keyof typeof usageMinutes.$inferSelect) => sql`sum(${usageMinutes[name]})`.mapWith(Number);

/** Counters of today in UTC: they begin at 0 each midnight, which Prometheus takes for the restart of a counter. */
async function usageFamilies(ctx: Ctx, environment: string, environmentId: string): Promise<MetricFamily[]> {
  const { startMs, endMs } = windowAt("day", "UTC", ctx.deps.clock.nowMs());
  const today = and(
    eq(usageMinutes.environmentId, environmentId),
    gte(usageMinutes.minute, new Date(startMs)),
    lt(usageMinutes.minute, new Date(endMs)),
  );
  const rows = await ctx.deps.reads
    .select({
      flag: usageMinutes.flag,
      model: usageMinutes.model,
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
    })
    .from(usageMinutes)
    .where(today)
    .groupBy(usageMinutes.flag, usageMinutes.model)
    .orderBy(asc(usageMinutes.flag), asc(usageMinutes.model))
    .limit(MAX_SERIES);
  type Row = (typeof rows)[number];
  const each = (
    name: string,
    help: string,
    values: (row: Row) => [Record<string, string>, number][],
  ): MetricFamily => ({
    name,
    help: `${help} Today in UTC.`,
    type: "counter",
    samples: rows.flatMap((row) =>
      values(row).map(([more, value]) => ({
        labels: { environment, flag: row.flag, model: row.model, ...more },
        value,
      })),
    ),
  });
  return [
    each("andon_calls_total", "Calls, by their first attempts.", (row) => [[{}, row.calls]]),
    each("andon_attempts_total", "Attempts by outcome.", (row) => [
      [{ outcome: "ok" }, row.attempts - row.errors - row.aborted - row.refused],
      [{ outcome: "error" }, row.errors],
      [{ outcome: "aborted" }, row.aborted],
      [{ outcome: "refused" }, row.refused],
    ]),
    each("andon_unpriced_attempts_total", "Attempts at a model without a price, counted at the dearest rate.", (row) =>
      row.unpriced === 0 ? [] : [[{}, row.unpriced]],
    ),
    each("andon_tokens_total", "Tokens by price class.", (row) => [
      [{ class: "input" }, row.input],
      [{ class: "output" }, row.output],
      [{ class: "cacheWrite5m" }, row.cacheWrite5m],
      [{ class: "cacheWrite1h" }, row.cacheWrite1h],
      [{ class: "cacheRead" }, row.cacheRead],
    ]),
    each("andon_cost_usd_total", "Cost by whether the provider's own usage proves it.", (row) => [
      [{ kind: "exact" }, usd(row.exactNanoUsd)],
      [{ kind: "estimated" }, usd(row.estimatedNanoUsd)],
    ]),
    await latencyFamily(ctx, environment, environmentId, { startMs, endMs }),
  ];
}

/** The distribution of today's latency by flag. Without a sum: the ledger keeps buckets, not milliseconds. */
async function latencyFamily(
  ctx: Ctx,
  environment: string,
  environmentId: string,
  day: { startMs: number; endMs: number },
): Promise<MetricFamily> {
  const bucket = sql`bucket.i`.mapWith(Number);
  const rows = await ctx.deps.reads
    .select({ flag: usageMinutes.flag, bucket, n: sql`sum(bucket.n)`.mapWith(Number) })
    .from(usageMinutes)
    .crossJoin(sql`unnest(${usageMinutes.latency}) with ordinality as bucket(n, i)`)
    .where(
      and(
        eq(usageMinutes.environmentId, environmentId),
        gte(usageMinutes.minute, new Date(day.startMs)),
        lt(usageMinutes.minute, new Date(day.endMs)),
      ),
    )
    .groupBy(usageMinutes.flag, bucket)
    .orderBy(asc(usageMinutes.flag), asc(bucket))
    .limit(MAX_SERIES);
  const samples: Sample[] = [];
  let flag = "";
  let seen = 0;
  for (const row of rows) {
    if (row.flag !== flag) seen = 0;
    flag = row.flag;
    seen += row.n;
    const bound = LATENCY_BUCKETS_MS[row.bucket - 1];
    const le = bound === undefined ? "+Inf" : String(bound / 1000);
    samples.push({ labels: { environment, flag, le }, value: seen, suffix: "_bucket" });
    if (bound === undefined) samples.push({ labels: { environment, flag }, value: seen, suffix: "_count" });
  }
  return {
    name: "andon_call_duration_seconds",
    help: "Duration of attempts. Today in UTC.",
    type: "histogram",
    samples,
  };
}

function visible(ctx: Ctx): PreparedSnapshot[] {
  return ctx.deps.snapshots
    .all()
    .filter(({ environmentId }) => seesEnvironment(ctx.actor, environmentId))
    .toSorted((a, b) => (a.key < b.key ? -1 : 1));
}

function gauge(name: string, help: string, samples: Sample[]): MetricFamily {
  return { name, help, type: "gauge", samples };
}

function usd(nanoUsd: number): number {
  return nanoUsd / NANO_PER_USD;
}
