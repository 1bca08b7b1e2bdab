/** What people see of a budget now: spent, limit, burn, when the limit will be reached, and the bound of overspending. */
import { and, asc, eq, gte, isNull, sql } from "drizzle-orm";
import { canonicalModel } from "../../sdk-client/src/model-id.ts";
import { type Ctx, read, requireEnvironment } from "../context.ts";
import { budgetRaises, budgets, budgetWindows, trips, usageMinutes, usageRecent } from "../db/ledger-schema.ts";
import type { Db } from "../db/types.ts";
import { effectiveLimitNanoUsd, NANO_PER_USD } from "../domain/budget.ts";
import { burnNanoUsdPerHour, limitReachedAtMs, overshootBoundNanoUsd } from "../domain/forecast.ts";
import { latencyQuantileMs } from "../domain/ledger.ts";
import type { BudgetNow, BudgetResource } from "../domain/money-resources.ts";
import { windowAt } from "../domain/window.ts";
import { AppError } from "../errors.ts";
import { budgetOf, type BudgetRow, type RaiseRow } from "./budget-rows.ts";

/** The span that burn is measured over. */
const BURN_SPAN_MS = 15 * 60_000;
/** A runaway is seconds old when it counts: the pace of single calls is taken over slices this short. */
const SLICE_SECONDS = 5;
/** How long a client may hold a record: its flush interval and the request. */
const REPORT_INTERVAL_MS = 1_500;
/** From the commit of a trip until every live instance decides by it. */
const PROPAGATION_MS = 500;

/** All budgets of an environment as they stand now, by name. */
export async function listBudgets(
  ctx: Ctx,
  environmentKey: string,
): Promise<{ items: BudgetResource[]; revision: string }> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const items = await read(ctx, async (db) => {
    const rows = await db
      .select()
      .from(budgets)
      .where(eq(budgets.environmentId, environment.id))
      .orderBy(asc(budgets.name));
    const resources: BudgetResource[] = [];
    for (const row of rows) resources.push(await budgetResource(ctx, db, row, await raisesOf(db, row.id)));
    return resources;
  });
  return { items, revision: ctx.deps.snapshots.revisionOf(environment.id, environment.revision) };
}

export async function getBudget(ctx: Ctx, environmentKey: string, id: string): Promise<BudgetResource> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  return read(ctx, async (db) => {
    const rows = await db
      .select()
      .from(budgets)
      .where(and(eq(budgets.environmentId, environment.id), eq(budgets.id, id)));
    const row = rows[0];
    if (row === undefined) throw new AppError("NOT_FOUND", "There is no such budget in this environment.");
    return budgetResource(ctx, db, row, await raisesOf(db, id));
  });
}

export async function budgetResource(
  ctx: Ctx,
  db: Db,
  row: BudgetRow,
  raises: readonly RaiseRow[],
): Promise<BudgetResource> {
  const { scope, period, timezone, enforcement, onUnavailable, onReset } = budgetOf(row, raises);
  return {
    id: row.id,
    name: row.name,
    scope,
    limitUsd: row.limitNanoUsd / NANO_PER_USD,
    period,
    timezone,
    enforcement,
    onUnavailable,
    ladder: row.ladder,
    onReset,
    version: row.version,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
    raises: raises.map(({ id, addNanoUsd, until, reason, by, at }) => ({
      id,
      addUsd: addNanoUsd / NANO_PER_USD,
      until: until.toISOString(),
      reason,
      by,
      at: at.toISOString(),
    })),
    now: await budgetNow(ctx, db, row, raises),
  };
}

async function budgetNow(ctx: Ctx, db: Db, row: BudgetRow, raises: readonly RaiseRow[]): Promise<BudgetNow> {
  const budget = budgetOf(row, raises);
  const nowMs = ctx.deps.clock.nowMs();
  const { startMs, endMs } = windowAt(row.period, row.timezone, nowMs);
  const windows = await db
    .select()
    .from(budgetWindows)
    .where(and(eq(budgetWindows.budgetId, row.id), eq(budgetWindows.startsAt, new Date(startMs))));
  const window = windows[0];
  const standing = await db
    .select()
    .from(trips)
    .where(and(eq(trips.budgetId, row.id), isNull(trips.endedAt)))
    .orderBy(asc(trips.flag), asc(trips.since));
  const pace = await paceOf(db, row, nowMs);
  const spentNanoUsd = window?.spentNanoUsd ?? 0;
  const limitNanoUsd = effectiveLimitNanoUsd(budget, nowMs);
  const reachedAtMs = limitReachedAtMs({
    spentNanoUsd,
    limitNanoUsd,
    burnNanoUsdPerHour: pace.burn,
    nowMs,
    windowEndMs: endMs,
  });
  return {
    windowStartsAt: new Date(startMs).toISOString(),
    windowEndsAt: new Date(endMs).toISOString(),
    spentNanoUsd,
    exactNanoUsd: window?.exactNanoUsd ?? 0,
    limitNanoUsd,
    burnNanoUsdPerHour: pace.burn,
    limitReachedAt: reachedAtMs === null ? null : new Date(reachedAtMs).toISOString(),
    overshootBoundNanoUsd: overshootBoundNanoUsd({
      burnNanoUsdPerHour: pace.peakBurn,
      reportIntervalMs: REPORT_INTERVAL_MS,
      propagationMs: PROPAGATION_MS,
      inFlightNanoUsd: pace.inFlight,
    }),
    standing: [...(window?.ladderState?.standing ?? [])],
    trips: standing.map(({ flag, action, atPercent, overriddenBy }) => ({ flag, action, atPercent, overriddenBy })),
  };
}

/**
 * Burn over the last minutes, the burn of their busiest minute or slice, and what the calls running now may cost: as many
 * as run at once at that pace (rate times p95 latency, Little's law), each as dear as the dearest call seen lately.
 */
async function paceOf(
  db: Db,
  row: BudgetRow,
  nowMs: number,
): Promise<{ burn: number; peakBurn: number; inFlight: number }> {
  const since = new Date(nowMs - BURN_SPAN_MS);
  const scope = [eq(usageMinutes.environmentId, row.environmentId), gte(usageMinutes.minute, since)];
  if (row.flag !== null) scope.push(eq(usageMinutes.flag, row.flag));
  const minutes = (
    await db
      .select()
      .from(usageMinutes)
      .where(and(...scope))
  ).filter(matches(row));
  const perMinute = new Map<number, { spent: number; attempts: number }>();
  const latency: number[] = [];
  for (const { minute, exactNanoUsd, estimatedNanoUsd, attempts, latency: buckets } of minutes) {
    const sum = perMinute.get(minute.getTime()) ?? { spent: 0, attempts: 0 };
    sum.spent += exactNanoUsd + estimatedNanoUsd;
    sum.attempts += attempts;
    perMinute.set(minute.getTime(), sum);
    buckets.forEach((n, bucket) => {
      latency[bucket] = (latency[bucket] ?? 0) + n;
    });
  }
  const spent = [...perMinute.values()].reduce((sum, value) => sum + value.spent, 0);
  const peak = Math.max(0, ...[...perMinute.values()].map((value) => value.spent));
  const peakAttempts = Math.max(0, ...[...perMinute.values()].map((value) => value.attempts));
  const slice = await busiestSlice(db, row, since);
  const attemptsPerMs = Math.max(peakAttempts / 60_000, slice.attempts / (SLICE_SECONDS * 1_000));
  const running = Math.ceil(attemptsPerMs * (latencyQuantileMs(latency, 0.95) ?? 0));
  const dearest = running === 0 ? 0 : await dearestCall(db, row, since);
  return {
    burn: burnNanoUsdPerHour(spent, BURN_SPAN_MS),
    peakBurn: Math.max(burnNanoUsdPerHour(peak, 60_000), burnNanoUsdPerHour(slice.spent, SLICE_SECONDS * 1_000)),
    inFlight: running * dearest,
  };
}

/** The most that was spent, and the most attempts that ended, within one slice of the kept recent calls. */
async function busiestSlice(db: Db, row: BudgetRow, since: Date): Promise<{ spent: number; attempts: number }> {
  const scope = [eq(usageRecent.environmentId, row.environmentId), gte(usageRecent.at, since)];
  if (row.flag !== null) scope.push(eq(usageRecent.flag, row.flag));
  const slice = sql<number>`floor(extract(epoch from ${usageRecent.at}) / ${sql.raw(String(SLICE_SECONDS))})`.mapWith(
    Number,
  );
  const rows = await db
    .select({
      slice,
      model: usageRecent.model,
      spent: sql`sum(${usageRecent.costNanoUsd})`.mapWith(Number),
      attempts: sql`count(*)`.mapWith(Number),
    })
    .from(usageRecent)
    .where(and(...scope))
    .groupBy(slice, usageRecent.model);
  const slices = new Map<number, { spent: number; attempts: number }>();
  for (const each of rows.filter(matches(row))) {
    const sum = slices.get(each.slice) ?? { spent: 0, attempts: 0 };
    slices.set(each.slice, { spent: sum.spent + each.spent, attempts: sum.attempts + each.attempts });
  }
  return {
    spent: Math.max(0, ...[...slices.values()].map(({ spent }) => spent)),
    attempts: Math.max(0, ...[...slices.values()].map(({ attempts }) => attempts)),
  };
}

async function dearestCall(db: Db, row: BudgetRow, since: Date): Promise<number> {
  const scope = [eq(usageRecent.environmentId, row.environmentId), gte(usageRecent.at, since)];
  if (row.flag !== null) scope.push(eq(usageRecent.flag, row.flag));
  const rows = await db
    .select({ model: usageRecent.model, cost: sql`max(${usageRecent.costNanoUsd})`.mapWith(Number) })
    .from(usageRecent)
    .where(and(...scope))
    .groupBy(usageRecent.model);
  return Math.max(0, ...rows.filter(matches(row)).map(({ cost }) => cost));
}

function matches(row: BudgetRow): (usage: { model: string }) => boolean {
  const { model } = row;
  return (usage) => model === null || canonicalModel(usage.model) === canonicalModel(model);
}

async function raisesOf(db: Db, budgetId: string): Promise<RaiseRow[]> {
  return db
    .select()
    .from(budgetRaises)
    .where(and(eq(budgetRaises.budgetId, budgetId), isNull(budgetRaises.endedAt)))
    .orderBy(asc(budgetRaises.at), asc(budgetRaises.id));
}
