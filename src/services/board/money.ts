/**
 * What the board shows of money and calls, for all flags of an environment at once: a fixed number of queries, however
 * many flags and budgets there are, and one round of them a second, however many boards are open.
 */
import { and, asc, eq, gt, inArray, isNull, lte } from "drizzle-orm";
import type { Ctx } from "../../deps.ts";
import { requireEnvironment } from "../../authorize.ts";
import { Memo } from "../shared/memo.ts";
import { read } from "../../transaction.ts";
import { budgetRaises, budgets, budgetWindows } from "../../db/schema/budgets.ts";
import type { NameOf } from "../../../sdk-client/src/evaluate/model-names.ts";
import type { Db, EnvironmentRow } from "../../db/types.ts";
import type { Surroundings } from "../../domain/flag.ts";
import { overCause } from "../../domain/over-limit.ts";
import type { BudgetNow } from "../../api/budget.ts";
import type { FlagResource } from "../../api/flag.ts";
import type { StandingResource } from "../../api/standing.ts";
import { causeResource } from "../flags/resource.ts";
import { type BudgetScope, effectiveLimitNanoUsd, type Enforcement, type LadderStep } from "../../domain/budget.ts";
import { burnOfScope } from "../../domain/burn.ts";
import { limitReachedAtMs } from "../../domain/forecast.ts";
import { latencyQuantileMs, MINUTE_MS } from "../../domain/ledger.ts";
import { UNDEFINED } from "../../domain/other.ts";
import { isAboutSubjects } from "../../domain/subject.ts";
import { type Period, windowAt } from "../../domain/window.ts";
import { boundNow, leasesNow, readBoundFacts } from "../budgets/bound-now.ts";
import { readSpending } from "../budgets/pace.ts";
import { budgetColumns, budgetOf } from "../budgets/rows.ts";
import { isOff } from "../budgets/view.ts";
import { zoneOfToday } from "../budgets/zone.ts";
import { type Burn, type OffBurn, readBurn } from "../usage/burn.ts";
import {
  latencySince,
  type Minute,
  minutesSince,
  todaySums,
  type UndefinedNames,
  type UnpricedModel,
} from "../usage/flag-sums.ts";
import { type HeldSubjects, heldSubjects } from "../verdicts/view.ts";
import { readSurroundings } from "../flags/surroundings.ts";

/** The span of errors and p95. */
const PACE_MS = 15 * MINUTE_MS;
/** The span of the sparkline. */
export const HOUR_MINUTES = 60;
const KEPT_MS = 1_000;

/** One budget as a bar. Money is integer nano-USD, times are ISO 8601 in UTC. */
export interface BudgetGlance {
  id: string;
  name: string;
  scope: BudgetScope;
  period: Period;
  timezone: string;
  enforcement: Enforcement;
  /** It counts, and neither alerts nor acts. */
  paused: boolean;
  ladder: readonly LadderStep[];
  spentNanoUsd: number;
  /** With the raises in force. */
  limitNanoUsd: number;
  burnNanoUsdPerHour: number;
  /** At this rate; null: not in this window, or the budget is paused. */
  limitReachedAt: string | null;
  windowEndsAt: string;
  /** While the effective limit is reached: since when, and what lets it be, see `StandingResource`. */
  over: { since: string; cause: StandingResource["cause"] } | null;
  /** The most that is spent in the end. */
  bound: BudgetNow["bound"];
  /** Under `reserve`; null otherwise. */
  leases: BudgetNow["leases"];
}

/** Budgets of more than one flag that are over their limit while something that spends from them is on. */
export function overShared(money: BoardMoney, flags: readonly FlagResource[]): BudgetGlance[] {
  const on = flags.filter(({ standing }) => standing.state !== "off");
  return money.budgets.filter(
    ({ scope, over }) => over !== null && scope.flag === undefined && spendersOf(scope, on, money).length > 0,
  );
}

/** The flags that spend from a budget while they are on. */
export function spendersOf(
  scope: BudgetGlance["scope"],
  flags: readonly FlagResource[],
  { nameOf }: Pick<BoardMoney, "nameOf">,
): FlagResource[] {
  return flags.filter((flag) => {
    if (scope.flag !== undefined) return flag.key === scope.flag;
    return (scope.tag === undefined || flag.tags.includes(scope.tag)) && isOnModel(flag, scope.model, nameOf);
  });
}

/** A flag without a chain may be on any model. */
function isOnModel({ effective: { models } }: FlagResource, model: string | undefined, nameOf: NameOf): boolean {
  if (model === undefined || models.length === 0) return true;
  return models.some((one) => nameOf(one) === nameOf(model));
}

export interface FlagMoney {
  todayNanoUsd: number;
  burnNanoUsdPerHour: number;
  /** While it is off. */
  off: OffBurn | null;
  /** Spending of each of the last 60 minutes, oldest first. */
  minutesNanoUsd: number[];
  /** Of the last 15 minutes. */
  attempts: number;
  errors: number;
  p95Ms: number | null;
}

export interface UndefinedBurn {
  burnNanoUsdPerHour: number;
  /** While the master switch is off, instances whose calls began since they applied that; null while it is on. */
  still: readonly string[] | null;
}

export interface BoardMoney {
  /** Of the environment (`n`), when this was read. */
  revision: number;
  /** The zone that "today" follows. */
  timezone: string;
  todayNanoUsd: number;
  burnNanoUsdPerHour: number;
  /** Only flags that exist and were called today or in the last hour. */
  flags: ReadonlyMap<string, FlagMoney>;
  /** What of today was reported under names that no flag has. */
  undefinedNames: UndefinedNames;
  /** What those burn: beside the flags' all that the sum is made of. */
  undefinedBurn: UndefinedBurn;
  budgets: readonly BudgetGlance[];
  /** What budgets of single users or sessions count: no flag is near a limit by them. */
  subjectScopes: readonly BudgetScope[];
  /** Whom those hold now. */
  heldSubjects: readonly HeldSubjects[];
  /** Which names are one model. */
  nameOf: NameOf;
  /** Models of today's calls that had no price then, those with most calls first. */
  unpriced: readonly UnpricedModel[];
}

/** Boards that ask within a second share an answer; a change of state asks anew. */
const memo = new Memo<BoardMoney>(KEPT_MS);

/** Money and calls of an environment as they stand now, at most a second old. */
export async function boardMoney(ctx: Ctx, environmentKey: string): Promise<BoardMoney> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  return memo.get(ctx, environment.id, String(environment.revision), () =>
    read(ctx, (db) => gather(ctx, db, environment, ctx.deps.clock.nowMs())),
  );
}

async function gather(ctx: Ctx, db: Db, environment: EnvironmentRow, nowMs: number): Promise<BoardMoney> {
  const environmentId = environment.id;
  const {
    budgets: glances,
    subjectScopes,
    heldSubjects: held,
    timezone,
    burn,
    nameOf,
  } = await glance(ctx, db, environment, nowMs);
  const midnightMs = windowAt("day", timezone, nowMs).startMs;
  const day = await todaySums(ctx, db, environmentId, { sinceMs: midnightMs, nowMs });
  const minutes = await minutesSince(db, environmentId, nowMs - HOUR_MINUTES * MINUTE_MS);
  const latencies = await latencySince(db, environmentId, nowMs - PACE_MS);

  const flags = new Map<string, FlagMoney>();
  const byFlag = new Map<string, Minute[]>();
  for (const one of minutes) byFlag.set(one.flag, [...(byFlag.get(one.flag) ?? []), one]);
  for (const key of new Set([...day.flags.keys(), ...byFlag.keys()])) {
    if (key === UNDEFINED) continue;
    const own = byFlag.get(key) ?? [];
    const lately = own.filter((one) => one.minuteMs >= nowMs - PACE_MS);
    flags.set(key, {
      todayNanoUsd: day.flags.get(key) ?? 0,
      burnNanoUsdPerHour: burnOfScope(burn.rows, { flag: key }, nameOf),
      off: burn.off.get(key) ?? null,
      minutesNanoUsd: perMinute(own, nowMs),
      attempts: lately.reduce((sum, one) => sum + one.attempts, 0),
      errors: lately.reduce((sum, one) => sum + one.errors, 0),
      p95Ms: latencyQuantileMs(latencies.get(key) ?? [], 0.95),
    });
  }
  return {
    revision: environment.revision,
    timezone,
    todayNanoUsd: day.totalNanoUsd,
    burnNanoUsdPerHour: burnOfScope(burn.rows, {}, nameOf),
    flags,
    undefinedNames: day.undefinedNames,
    undefinedBurn: {
      burnNanoUsdPerHour: burnOfScope(burn.rows, { flag: UNDEFINED }, nameOf),
      still: burn.undefinedStill,
    },
    unpriced: day.unpriced,
    budgets: glances,
    subjectScopes,
    heldSubjects: held,
    nameOf,
  };
}

/** The budgets of an environment and the zone that "today" follows, without the sums of its flags. */
export async function budgetGlances(
  ctx: Ctx,
  environmentKey: string,
): Promise<Pick<BoardMoney, "budgets" | "timezone">> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  return read(ctx, (db) => glance(ctx, db, environment, ctx.deps.clock.nowMs()));
}

async function glance(
  ctx: Ctx,
  db: Db,
  environment: EnvironmentRow,
  nowMs: number,
): Promise<Pick<BoardMoney, "budgets" | "subjectScopes" | "heldSubjects" | "timezone" | "nameOf"> & { burn: Burn }> {
  const around = await readSurroundings(db, environment);
  const { nameOf } = around.models;
  const all = await readGlances(db, environment.id, nowMs);
  // Whose users and sessions are over is a line of its own and on the page of budgets: no flag is near a limit by it.
  const definitions = all.filter(({ budget }) => !isAboutSubjects(budget.scope));
  // The first calls of the last minute are all that slices are read for.
  const spending = await readSpending(db, environment.id, nowMs, MINUTE_MS);
  const burn = await readBurn(ctx, db, environment.id, spending);
  const rows = definitions.map(({ row }) => row);
  const facts = await readBoundFacts(db, environment.id, rows, nowMs);
  const subjectScopes = all.map(({ budget }) => budget.scope).filter(isAboutSubjects);
  return {
    burn,
    nameOf,
    subjectScopes,
    heldSubjects: subjectScopes.length === 0 ? [] : await heldSubjects(db, environment.id, nowMs),
    timezone: zoneOfToday(rows),
    budgets: definitions.map(({ row, budget, window, spentNanoUsd }) => {
      const burning = burnOfScope(burn.rows, budget.scope, nameOf);
      const ahead = isOff(budget, burn) ? 0 : burning;
      const { endMs } = windowAt(budget.period, budget.timezone, nowMs);
      const limitNanoUsd = effectiveLimitNanoUsd(budget, nowMs);
      const pace = { spentNanoUsd, limitNanoUsd, burnNanoUsdPerHour: ahead, nowMs, windowEndMs: endMs };
      const reachedMs = row.paused ? null : limitReachedAtMs(pace);
      return {
        id: row.id,
        name: row.name,
        scope: budget.scope,
        period: row.period,
        timezone: row.timezone,
        enforcement: row.enforcement,
        paused: row.paused,
        ladder: row.ladder,
        spentNanoUsd,
        limitNanoUsd,
        burnNanoUsdPerHour: burning,
        limitReachedAt: reachedMs === null ? null : new Date(reachedMs).toISOString(),
        windowEndsAt: new Date(endMs).toISOString(),
        over: overOf(row.id, around),
        bound: boundNow(budget, window, facts, nowMs),
        leases: leasesNow(budget, window, facts),
      };
    }),
  };
}

function overOf(budgetId: string, { over, overridden }: Surroundings): BudgetGlance["over"] {
  const found = over.find((one) => one.budgetId === budgetId);
  if (found === undefined) return null;
  return { since: found.since.toISOString(), cause: causeResource(overCause(found, overridden)) };
}

async function readGlances(db: Db, environmentId: string, nowMs: number) {
  const now = new Date(nowMs);
  const rows = await db
    .select(budgetColumns)
    .from(budgets)
    .where(eq(budgets.environmentId, environmentId))
    .orderBy(asc(budgets.name));
  if (rows.length === 0) return [];
  const ids = rows.map((row) => row.id);
  const raises = await db
    .select()
    .from(budgetRaises)
    .where(and(inArray(budgetRaises.budgetId, ids), isNull(budgetRaises.endedAt)));
  const windows = await db
    .select()
    .from(budgetWindows)
    .where(and(inArray(budgetWindows.budgetId, ids), lte(budgetWindows.startsAt, now), gt(budgetWindows.endsAt, now)));
  return rows.map((row) => {
    const { startMs } = windowAt(row.period, row.timezone, nowMs);
    const own = windows.find((one) => one.budgetId === row.id && one.startsAt.getTime() === startMs);
    const ofRow = raises.filter((raise) => raise.budgetId === row.id);
    return { row, budget: budgetOf(row, ofRow), window: own, spentNanoUsd: own?.spentNanoUsd ?? 0 };
  });
}

function perMinute(minutes: readonly Minute[], nowMs: number): number[] {
  const lastMinute = Math.floor(nowMs / MINUTE_MS);
  const sums = Array.from({ length: HOUR_MINUTES }, () => 0);
  for (const one of minutes) {
    const at = HOUR_MINUTES - 1 - (lastMinute - Math.floor(one.minuteMs / MINUTE_MS));
    if (at >= 0 && at < HOUR_MINUTES) sums[at] = (sums[at] ?? 0) + one.spentNanoUsd;
  }
  return sums;
}
