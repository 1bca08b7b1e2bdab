/** What people see of a budget now: spent, limit, burn, when the limit will be reached, and the bound of overspending. */
import { and, asc, eq, getTableColumns, gt, inArray, isNull, lte, sql } from "drizzle-orm";
import { modelNames, type NameOf } from "../../../sdk-client/src/evaluate/model-names.ts";
import { requireEnvironment } from "../../authorize.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { budgetRaises, budgets, budgetWindows } from "../../db/schema/budgets.ts";
import type { Db } from "../../db/types.ts";
import { type Budget, definedScope, effectiveLimitNanoUsd, NANO_PER_USD } from "../../domain/budget.ts";
import { burnOfScope, BURN_SPAN_MS } from "../../domain/burn.ts";
import type { BudgetNow, BudgetResource, SubjectsNow } from "../../api/budget.ts";
import { isAboutSubjects } from "../../domain/subject.ts";
import { limitReachedAtMs } from "../../domain/forecast.ts";
import { totalOf } from "../../domain/total.ts";
import { windowAt } from "../../domain/window.ts";
import { type BoundFacts, boundNow, leasesNow, readBoundFacts } from "./bound-now.ts";
import { readSpending } from "./pace.ts";
import { budgetColumns, budgetOf, type BudgetRow, type RaiseRow, requireBudget } from "./rows.ts";
import { subjectsNow } from "../verdicts/view.ts";
import { type Burn, readBurn } from "../usage/burn.ts";

/** All budgets of an environment as they stand now, by name. */
export async function listBudgets(
  ctx: Ctx,
  environmentKey: string,
): Promise<{ items: BudgetResource[]; revision: string }> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const items = await read(ctx, async (db) => {
    const rows = await db
      .select(budgetColumns)
      .from(budgets)
      .where(eq(budgets.environmentId, environment.id))
      .orderBy(asc(budgets.name));
    return budgetResources(ctx, db, environment.id, rows);
  });
  return { items, revision: ctx.deps.snapshots.revisionOf(environment.id, environment.revision) };
}

export async function getBudget(ctx: Ctx, environmentKey: string, id: string): Promise<BudgetResource> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  return read(ctx, async (db) => budgetResource(ctx, db, await requireBudget(db, environment.id, id)));
}

/** One budget as it stands now, within the transaction that has changed it. */
export async function budgetResource(ctx: Ctx, db: Db, row: BudgetRow): Promise<BudgetResource> {
  const [resource] = await budgetResources(ctx, db, row.environmentId, [row]);
  if (resource === undefined) throw new Error("a row makes a resource");
  return resource;
}

/** A fixed number of queries, however many budgets there are, and two for each that is about users or sessions. */
async function budgetResources(
  ctx: Ctx,
  db: Db,
  environmentId: string,
  rows: readonly BudgetRow[],
): Promise<BudgetResource[]> {
  if (rows.length === 0) return [];
  const nowMs = ctx.deps.clock.nowMs();
  const facts = await readFacts(ctx, db, environmentId, rows, nowMs);
  const subjects = new Map<string, SubjectsNow>();
  for (const row of rows) {
    const budget = budgetOf(row, []);
    if (isAboutSubjects(budget.scope)) subjects.set(row.id, await subjectsNow(db, budget, nowMs));
  }
  return rows.map((row) => {
    const resource = resourceOf(row, facts, nowMs);
    const own = subjects.get(row.id);
    return own === undefined ? resource : { ...resource, now: nowOfSubjects(resource.now, own) };
  });
}

interface Facts extends BoundFacts {
  raises: readonly RaiseRow[];
  windows: readonly (typeof budgetWindows.$inferSelect & { spentDigits: string; exactDigits: string })[];
  burn: Burn;
  /** Which names are one model. */
  nameOf: NameOf;
}

async function readFacts(
  ctx: Ctx,
  db: Db,
  environmentId: string,
  rows: readonly BudgetRow[],
  nowMs: number,
): Promise<Facts> {
  const now = new Date(nowMs);
  const ids = rows.map((row) => row.id);
  const spending = await readSpending(db, environmentId, nowMs);
  return {
    nameOf: modelNames(ctx.deps.snapshots.current(environmentId)?.snapshot.aliases),
    burn: await readBurn(ctx, db, environmentId, spending),
    raises: await db
      .select()
      .from(budgetRaises)
      .where(and(inArray(budgetRaises.budgetId, ids), isNull(budgetRaises.endedAt)))
      .orderBy(asc(budgetRaises.at), asc(budgetRaises.id)),
    windows: await db
      .select({
        ...getTableColumns(budgetWindows),
        spentDigits: sql<string>`${budgetWindows.spentNanoUsd}::text`,
        exactDigits: sql<string>`${budgetWindows.exactNanoUsd}::text`,
      })
      .from(budgetWindows)
      .where(
        and(inArray(budgetWindows.budgetId, ids), lte(budgetWindows.startsAt, now), gt(budgetWindows.endsAt, now)),
      ),
    ...(await readBoundFacts(db, environmentId, rows, nowMs)),
  };
}

function resourceOf(row: BudgetRow, facts: Facts, nowMs: number): BudgetResource {
  const raises = facts.raises.filter((raise) => raise.budgetId === row.id);
  const { scope, period, timezone, enforcement, onUnavailable, reserveWaitMs, minTokens, whenHeld, onReset, paused } =
    budgetOf(row, raises);
  return {
    id: row.id,
    name: row.name,
    scope: definedScope(scope),
    limitUsd: row.limitNanoUsd / NANO_PER_USD,
    period,
    timezone,
    enforcement,
    onUnavailable,
    reserveWaitMs,
    minTokens,
    whenHeld,
    ladder: row.ladder,
    onReset,
    paused,
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
    now: budgetNow(row, raises, facts, nowMs),
  };
}

function budgetNow(row: BudgetRow, raises: readonly RaiseRow[], facts: Facts, nowMs: number): BudgetNow {
  const budget = budgetOf(row, raises);
  const { startMs, endMs } = windowAt(row.period, row.timezone, nowMs);
  const window = facts.windows.find((one) => one.budgetId === row.id && one.startsAt.getTime() === startMs);
  const spentNanoUsd = window?.spentNanoUsd ?? 0;
  const limitNanoUsd = effectiveLimitNanoUsd(budget, nowMs);
  const burn = burnOfScope(facts.burn.rows, budget.scope, facts.nameOf);
  // What is off does not reach its limit, though a straggler may still spend.
  const ahead = isOff(budget, facts.burn) ? 0 : burn;
  const pace = { spentNanoUsd, limitNanoUsd, burnNanoUsdPerHour: ahead, nowMs, windowEndMs: endMs };
  // Nothing happens at the limit of a paused one.
  const reachedAtMs = row.paused ? null : limitReachedAtMs(pace);
  const bound = boundNow(budget, window, facts, nowMs);
  return {
    windowStartsAt: new Date(startMs).toISOString(),
    windowEndsAt: new Date(endMs).toISOString(),
    spentNanoUsd: totalOf(window?.spentDigits ?? "0"),
    exactNanoUsd: totalOf(window?.exactDigits ?? "0"),
    limitNanoUsd,
    burnNanoUsdPerHour: burn,
    burnSpanSeconds: BURN_SPAN_MS / 1_000,
    limitReachedAt: reachedAtMs === null ? null : new Date(reachedAtMs).toISOString(),
    subjects: null,
    leases: leasesNow(budget, window, facts),
    overshootBoundNanoUsd: bound.nanoUsd === null ? null : Math.max(0, bound.nanoUsd - limitNanoUsd),
    bound,
    standing: [...(window?.ladderState?.standing ?? [])],
    trips: facts.trips
      .filter((trip) => trip.budgetId === row.id)
      .map(({ flag, action, atPercent, overriddenBy }) => ({ flag, action, atPercent, overriddenBy })),
  };
}

/** Each has the limit alone: what is spent of it is what the one spent who spent most. */
function nowOfSubjects(now: BudgetNow, subjects: SubjectsNow): BudgetNow {
  const [most] = subjects.top;
  return {
    ...now,
    spentNanoUsd: most?.spentNanoUsd ?? 0,
    exactNanoUsd: most?.exactNanoUsd ?? 0,
    limitReachedAt: null,
    subjects,
  };
}

/** A budget of one flag that is off. */
export function isOff({ scope }: Pick<Budget, "scope">, burn: Burn): boolean {
  return scope.flag !== undefined && burn.off.has(scope.flag);
}
