/** Budgets as stored, read into what the domain works with. */
import { and, asc, eq, inArray, isNull } from "drizzle-orm";
import { budgetRaises, budgets } from "../../db/schema/money.ts";
import type { Db } from "../../db/types.ts";
import type { Budget } from "../../domain/budget.ts";
import { one } from "../shared/one.ts";

export type BudgetRow = typeof budgets.$inferSelect;
export type RaiseRow = typeof budgetRaises.$inferSelect;

export const NO_SUCH_BUDGET = "There is no such budget in this environment.";

/** All budgets of an environment with the raises that have not ended, by id. */
export async function readBudgets(db: Db, environmentId: string): Promise<Budget[]> {
  const rows = await db.select().from(budgets).where(eq(budgets.environmentId, environmentId)).orderBy(asc(budgets.id));
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
    .select()
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
    scope: { ...(row.flag !== null && { flag: row.flag }), ...(row.model !== null && { model: row.model }) },
    limitNanoUsd: row.limitNanoUsd,
    period: row.period,
    timezone: row.timezone,
    enforcement: row.enforcement,
    onUnavailable: "allow",
    ladder: row.ladder,
    onReset: row.onReset,
    raises: raises.map((raise) => ({
      id: raise.id,
      addNanoUsd: raise.addNanoUsd,
      fromMs: raise.at.getTime(),
      untilMs: raise.until.getTime(),
    })),
  };
}
