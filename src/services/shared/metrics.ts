/**
 * What `/metrics` says of the environments the asker may see. Read from the database at each scrape, so that every server
 * says the same: take one of them, never their sum. What this server alone knows is in `serverFamilies`.
 */
import { and, asc, eq, isNull, sql } from "drizzle-orm";
import type { BudgetResource } from "../../api/budget.ts";
import type { PreparedSnapshot, Ctx } from "../../deps.ts";
import { channels, incidents, outbox } from "../../db/schema/incidents.ts";
import { seesEnvironment } from "../../domain/actor.ts";
import { NANO_PER_USD } from "../../domain/budget.ts";
import { SEVERITIES } from "../../domain/channel.ts";
import type { MetricFamily, Sample } from "../../domain/metric.ts";
import { listBudgets } from "../budgets/view.ts";
import { fleetFamilies } from "../instances/fleet-metrics.ts";
import { readEvaluations } from "../flags/evaluations.ts";
import { readTrips } from "../flags/surroundings.ts";
import { usageFamilies } from "../usage/metrics.ts";

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
      { labels: {}, value: snapshots.longPolls },
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
    gauge(
      "andon_model_blocked",
      "1 for each model that calls are kept from: by a block of an operator, or taken out by a breaker (its probes count as taken out).",
      served.flatMap(({ key: environment, snapshot }) => [
        ...snapshot.blockedModels.map((model) => ({ labels: { environment, model, by: "block" }, value: 1 })),
        ...(snapshot.breakers ?? []).map(({ model }) => ({ labels: { environment, model, by: "breaker" }, value: 1 })),
      ]),
    ),
    {
      name: "andon_usage_records_rejected_total",
      help: "Usage records that this server refused since it started; add up those of all servers.",
      type: "counter",
      samples: served.map(({ key, environmentId }) => ({
        labels: { environment: key },
        value: ctx.deps.stats.rejectedRecords.get(environmentId) ?? 0,
      })),
    },
    gauge("andon_build_info", "1, with the version of this server.", [
      { labels: { version: ctx.deps.stats.version }, value: 1 },
    ]),
    ...jobFamilies(ctx),
  ];
}

/** Jobs run on the server that leads: the newest of all servers counts. */
function jobFamilies({ deps: { stats } }: Ctx): MetricFamily[] {
  const jobs = [...stats.jobs].map(([job, one]) => ({ labels: { job_name: job }, ...one }));
  return [
    gauge("andon_leader", "1 on the server that runs the jobs.", [{ labels: {}, value: Number(stats.leads) }]),
    gauge(
      "andon_job_interval_seconds",
      "How often a job is to run.",
      jobs.map(({ labels, everyMs }) => ({ labels, value: everyMs / 1000 })),
    ),
    gauge(
      "andon_job_last_success_timestamp_seconds",
      "When a job last ended well on this server, Unix time; 0: it has not since this server started.",
      jobs.map(({ labels, succeededAtMs }) => ({ labels, value: (succeededAtMs ?? 0) / 1000 })),
    ),
    {
      name: "andon_job_failures_total",
      help: "Runs of a job that failed on this server; while the database is away none is counted.",
      type: "counter",
      samples: jobs.map(({ labels, failures }) => ({ labels, value: failures })),
    },
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
  for (const one of served) {
    const { key, environmentId } = one;
    for (const family of await fleetFamilies(ctx, key)) add(family);
    for (const family of await budgetFamilies(ctx, key)) add(family);
    for (const family of await tripFamilies(ctx, key, environmentId)) add(family);
    for (const family of await waitingFamilies(ctx, key, environmentId)) add(family);
    add(await evaluationFamily(ctx, one));
    for (const family of await usageFamilies(ctx, one)) add(family);
  }
  return [...families.values()];
}

async function budgetFamilies(ctx: Ctx, environment: string): Promise<MetricFamily[]> {
  const { items } = await listBudgets(ctx, environment);
  const each = (value: (now: BudgetResource["now"]) => number, of: readonly BudgetResource[] = items): Sample[] =>
    of.map(({ name, period, now }) => ({ labels: { environment, budget: name, period }, value: value(now) }));
  const whole = items.filter(({ now }) => now.subjects === null);
  return [
    gauge(
      "andon_budget_info",
      "1 for each budget, with what it is about (empty: all) and what holds its limit; join it by environment and budget.",
      items.map(({ name, period, scope, enforcement, paused }) => ({
        labels: {
          environment,
          budget: name,
          period,
          flag: scope.flag ?? "",
          tag: scope.tag ?? "",
          model: scope.model ?? "",
          enforcement: paused ? "paused" : enforcement,
        },
        value: 1,
      })),
    ),
    gauge(
      "andon_budget_limit_usd",
      "The limit of the window with its raises; of a budget of each user or session, for one of them.",
      each((now) => usd(now.limitNanoUsd)),
    ),
    gauge(
      "andon_budget_spent_usd",
      `What its current window has spent. ${NOT_OF_SUBJECTS}`,
      each((now) => usd(Number(now.spentNanoUsd)), whole),
    ),
    gauge(
      "andon_budget_used_ratio",
      `Spent by limit. ${NOT_OF_SUBJECTS}`,
      each((now) => Number(now.spentNanoUsd) / now.limitNanoUsd, whole),
    ),
    gauge(
      "andon_budget_burn_usd_per_hour",
      "Spending over the last minutes, of all users and sessions that it counts.",
      each((now) => usd(now.burnNanoUsdPerHour)),
    ),
    ...subjectGauges(environment, items),
    ...leaseGauges(environment, items),
    gauge(
      "andon_budget_overshoot_bound_usd",
      `How far the limit can be overspent: at the load of now, or as it was bounded at its trip. +Inf: nothing stops it. ${NOT_OF_SUBJECTS}`,
      each(
        (now) => (now.overshootBoundNanoUsd === null ? Number.POSITIVE_INFINITY : usd(now.overshootBoundNanoUsd)),
        whole,
      ),
    ),
  ];
}

const NOT_OF_SUBJECTS = "Not of budgets of each user or session: see andon_budget_subjects.";

/** Of budgets of each user or session: their sum would say nothing, as each has the limit alone. */
function subjectGauges(environment: string, items: readonly BudgetResource[]): MetricFamily[] {
  const own = items.flatMap(({ name, period, now: { subjects } }) =>
    subjects === null ? [] : [{ labels: { environment, budget: name, period }, subjects }],
  );
  return [
    gauge(
      "andon_budget_subjects",
      "Users or sessions of a budget of each, in its current window, by what it does to them now; counted has all of them.",
      own.flatMap(({ labels, subjects }) =>
        (["counted", "warned", "downgraded", "stopped"] as const).map((state) => ({
          labels: { ...labels, state },
          value: subjects[state],
        })),
      ),
    ),
    gauge(
      "andon_budget_top_subject_spent_usd",
      "What the user or session has spent that spent most of a budget of each.",
      own.map(({ labels, subjects }) => ({ labels, value: usd(subjects.top[0]?.spentNanoUsd ?? 0) })),
    ),
  ];
}

/** Of budgets that work by leases. */
function leaseGauges(environment: string, items: readonly BudgetResource[]): MetricFamily[] {
  const each = (value: (leases: NonNullable<BudgetResource["now"]["leases"]>) => number): Sample[] =>
    items.flatMap(({ name, period, now }) =>
      now.leases === null ? [] : [{ labels: { environment, budget: name, period }, value: value(now.leases) }],
    );
  return [
    gauge(
      "andon_budget_held_usd",
      "What leases hold of its current window; it is not spent.",
      each((leases) => usd(leases.heldNanoUsd)),
    ),
    gauge(
      "andon_budget_indeterminate_usd",
      "What clients held that went silent; it counts against the limit.",
      each((leases) => usd(leases.indeterminateNanoUsd)),
    ),
    gauge(
      "andon_budget_waiting_calls",
      "Calls that wait for money that others hold.",
      each((leases) => leases.waiting),
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

/** What waits for a person, and what waits to be told to one: 0 where nothing does, so that an alert on it ends. */
async function waitingFamilies(ctx: Ctx, environment: string, environmentId: string): Promise<MetricFamily[]> {
  const { reads: db, clock } = ctx.deps;
  const nowMs = clock.nowMs();
  const now = new Date(nowMs).toISOString();
  const seconds = (since: Date | null | undefined): number =>
    since === null || since === undefined ? 0 : Math.max(0, (nowMs - since.getTime()) / 1000);
  const asked = await db
    .select({
      severity: incidents.severity,
      since: sql`min(coalesce(${incidents.askedSince}, ${incidents.openedAt}))`.mapWith(incidents.openedAt),
    })
    .from(incidents)
    .where(
      and(eq(incidents.environmentId, environmentId), isNull(incidents.resolvedAt), isNull(incidents.acknowledgedAt)),
    )
    .groupBy(incidents.severity);
  // What quiet hours hold back is not late.
  const waits = sql`${outbox.deliveredAt} is null and ${outbox.failedAt} is null
    and coalesce(${outbox.heldUntil}, ${outbox.createdAt}) <= ${now}::timestamptz`;
  const oldest = await db
    .select({
      channel: channels.name,
      kind: channels.kind,
      since: sql`min(coalesce(${outbox.heldUntil}, ${outbox.createdAt})) filter (where ${waits})`.mapWith(
        outbox.createdAt,
      ),
    })
    .from(channels)
    .leftJoin(outbox, and(eq(outbox.channelId, channels.id), isNull(outbox.deliveredAt)))
    .where(eq(channels.environmentId, environmentId))
    .groupBy(channels.id)
    .orderBy(asc(channels.name));
  return [
    gauge(
      "andon_incident_unacknowledged_seconds",
      "How long the open incident has waited that nobody acknowledged for longest; 0: there is none.",
      SEVERITIES.map((severity) => ({
        labels: { environment, severity },
        value: seconds(asked.find((one) => one.severity === severity)?.since),
      })),
    ),
    gauge(
      "andon_alert_oldest_waiting_seconds",
      "Age of the oldest alert that a channel has still to take; 0: none waits. Quiet hours do not count.",
      oldest.map(({ channel, kind, since }) => ({
        labels: { environment, channel, kind },
        value: seconds(since),
      })),
    ),
  ];
}

async function evaluationFamily(ctx: Ctx, { key, environmentId, snapshot }: PreparedSnapshot): Promise<MetricFamily> {
  const known = await readEvaluations(ctx.deps.reads, environmentId);
  return {
    name: "andon_evaluations_total",
    help: "Evaluations of a flag by what they said, as clients reported them; from 0 on for every flag.",
    type: "counter",
    samples: Object.keys(snapshot.flags).flatMap((flag) =>
      (["on", "off"] as const).map((result) => ({
        labels: { environment: key, flag, result },
        value: known.get(flag)?.[result] ?? 0,
      })),
    ),
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
