/** Budgets as stored, read into what the domain works with. */
import { and, asc, eq, getTableColumns, inArray, isNull, sql } from "drizzle-orm";
import { budgetRaises, budgets } from "../../db/schema/budgets.ts";
import { flags } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";
import type { Budget, BudgetScope } from "../../domain/budget.ts";
import { one } from "../shared/one.ts";

export type BudgetRow = typeof budgets.$inferSelect & { tagged: readonly string[] | null };
export type RaiseRow = typeof budgetRaises.$inferSelect;

export const NO_SUCH_BUDGET = "There is no such budget in this environment.";

// Wrapped: of a select without joins, drizzle takes the tables' names off the columns that it sees.
const taggedFlags = sql`select coalesce(jsonb_agg(tagged.key), '[]') from ${flags} as tagged
  where tagged.environment_id = ${budgets.environmentId} and ${budgets.tag} = any(tagged.tags)`;

/** Columns of a budget, with the flags that have its tag; null without a tag. */
export const budgetColumns = {
  ...getTableColumns(budgets),
  tagged: sql<string[] | null>`(case when tag is null then null else (${taggedFlags}) end)`,
};

/** All budgets of an environment with the raises that have not ended, by id. */
export async function readBudgets(db: Db, environmentId: string): Promise<Budget[]> {
  const rows = await db
    .select(budgetColumns)
    .from(budgets)
    .where(eq(budgets.environmentId, environmentId))
    .orderBy(asc(budgets.id));
  if (rows.length === 0) return [];
  const raises = await db
    .select()
    .from(budgetRaises)
    .where(
      and(
        inArray(
          budgetRaises.budgetId,
          rows.map((row) => row.id),
        ),
        isNull(budgetRaises.endedAt),
      ),
    )
    .orderBy(asc(budgetRaises.at), asc(budgetRaises.id));
  return rows.map((row) =>
    budgetOf(
      row,
      raises.filter((raise) => raise.budgetId === row.id),
    ),
  );
}

export async function requireBudget(db: Db, environmentId: string, id: string): Promise<BudgetRow> {
  const rows = await db
    .select(budgetColumns)
    .from(budgets)
    .where(and(eq(budgets.environmentId, environmentId), eq(budgets.id, id)));
  return one(rows, NO_SUCH_BUDGET);
}

/** The raises of a budget that have not ended, oldest first. */
export async function readRaises(db: Db, budgetId: string): Promise<RaiseRow[]> {
  return db
    .select()
    .from(budgetRaises)
    .where(and(eq(budgetRaises.budgetId, budgetId), isNull(budgetRaises.endedAt)))
    .orderBy(budgetRaises.at, budgetRaises.id);
}

export function budgetOf(row: BudgetRow, raises: readonly RaiseRow[]): Budget {
  return {
    id: row.id,
    name: row.name,
    scope: scopeOf(row),
    limitNanoUsd: row.limitNanoUsd,
    period: row.period,
    timezone: row.timezone,
    enforcement: row.enforcement,
    onUnavailable: row.onUnavailable,
    reserveWaitMs: row.reserveWaitMs,
    minTokens: row.minTokens,
    whenHeld: row.whenHeld,
    ladder: row.ladder,
    onReset: row.onReset,
    paused: row.paused,
    raises: raises.map((raise) => ({
      id: raise.id,
      addNanoUsd: raise.addNanoUsd,
      fromMs: raise.at.getTime(),
      untilMs: raise.until.getTime(),
    })),
  };
}

function scopeOf({ flag, model, tag, tagged, userScope, sessionScope }: BudgetRow): BudgetScope {
  return {
    ...(flag !== null && { flag }),
    ...(model !== null && { model }),
    ...(tag !== null && { tag, tagged: tagged ?? [] }),
    ...(userScope !== null && { user: userScope }),
    ...(sessionScope !== null && { session: sessionScope }),
  };
}
