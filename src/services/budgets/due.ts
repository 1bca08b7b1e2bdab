/** What becomes due by itself: the ends of windows and of raises, and alerts that had to wait. */
import { and, eq, isNotNull, isNull, sql } from "drizzle-orm";
import { change } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { budgetRaises, budgets, budgetWindows } from "../../db/schema/budgets.ts";
import type { Db } from "../../db/types.ts";
import { runOpenWindows } from "../trips/ladder-run.ts";
import { overLimitWouldChange } from "../trips/over-limit.ts";
import { wakeLeases } from "./lease-recall.ts";
import { budgetColumns, budgetOf, readBudgets, readRaises } from "./rows.ts";

/**
 * Ends windows and raises whose moment has passed, and looks at their ladders; tells of budgets over their limit what had
 * to wait. Cheap when nothing is due.
 */
export async function endDueBudgets(ctx: Ctx, environmentId: string): Promise<void> {
  const due = await dueBudgets(ctx.deps.db, environmentId, new Date(ctx.deps.clock.nowMs()));
  if (due.length === 0) return;
  await change(ctx, environmentId, async (open) => {
    const { tx, at } = open;
    for (const id of due) {
      const rows = await tx.select(budgetColumns).from(budgets).where(eq(budgets.id, id));
      const row = rows[0];
      if (row === undefined) continue;
      await tx
        .update(budgetRaises)
        .set({ endedAt: at })
        .where(
          and(
            eq(budgetRaises.budgetId, id),
            isNull(budgetRaises.endedAt),
            sql`${budgetRaises.until} <= ${at.toISOString()}::timestamptz`,
          ),
        );
      await runOpenWindows(ctx, open, budgetOf(row, await readRaises(tx, id)));
      // The limit is another one, or the window is: every server looks at who waits and at what is idle.
      if (row.enforcement === "reserve") await wakeLeases(tx, id);
    }
  });
}

async function dueBudgets(db: Db, environmentId: string, now: Date): Promise<string[]> {
  const moment = sql`${now.toISOString()}::timestamptz`;
  const windows = await db
    .selectDistinct({ id: budgets.id })
    .from(budgetWindows)
    .innerJoin(budgets, eq(budgets.id, budgetWindows.budgetId))
    .where(
      and(
        eq(budgets.environmentId, environmentId),
        isNull(budgetWindows.closedAt),
        sql`${budgetWindows.endsAt} <= ${moment}`,
      ),
    );
  const raises = await db
    .selectDistinct({ id: budgets.id })
    .from(budgetRaises)
    .innerJoin(budgets, eq(budgets.id, budgetRaises.budgetId))
    .where(
      and(
        eq(budgets.environmentId, environmentId),
        isNull(budgetRaises.endedAt),
        sql`${budgetRaises.until} <= ${moment}`,
      ),
    );
  const told = await dueMarks(db, environmentId, now);
  return [...new Set([...windows, ...raises, ...told].map((row) => row.id))].toSorted();
}

/** Budgets whose next mark waited for the last alert to be old enough, or for something to be on again. */
async function dueMarks(db: Db, environmentId: string, now: Date): Promise<{ id: string }[]> {
  const windows = await db
    .select({ window: budgetWindows })
    .from(budgetWindows)
    .innerJoin(budgets, eq(budgets.id, budgetWindows.budgetId))
    .where(
      and(eq(budgets.environmentId, environmentId), isNull(budgetWindows.closedAt), isNotNull(budgetWindows.overSince)),
    );
  if (windows.length === 0) return [];
  const byId = new Map((await readBudgets(db, environmentId)).map((budget) => [budget.id, budget]));
  return windows.flatMap(({ window }) => {
    const budget = byId.get(window.budgetId);
    return budget !== undefined && overLimitWouldChange(budget, window, now) ? [{ id: budget.id }] : [];
  });
}
