/** On-call lets one user or session go on: what its budget did to it ends, until a step that it had not crossed. */
import { and, eq } from "drizzle-orm";
import { subjectIn } from "../../../sdk-client/src/evaluate/subject.ts";
import type { LiftBody, BudgetResource } from "../../api/budget.ts";
import { requireEnvironment } from "../../authorize.ts";
import { change, type Changed } from "../../change.ts";
import { subjectWindows } from "../../db/schema/budgets.ts";
import type { Ctx } from "../../deps.ts";
import { isAboutSubjects } from "../../domain/subject.ts";
import { windowAt } from "../../domain/window.ts";
import { AppError, invalid } from "../../errors.ts";
import { budgetOf, readRaises, requireBudget } from "../budgets/rows.ts";
import { budgetResource } from "../budgets/view.ts";
import { lookAtSubjects } from "./subjects.ts";

const HOLDS_NOBODY = "This budget is not about users or sessions. Restore the flag, or raise the budget.";

/**
 * Overrides the steps that the user or session has crossed, until the window ends. A step that it crosses later acts.
 * CONFLICT when the budget does nothing to it.
 */
export async function liftSubject(
  ctx: Ctx,
  environmentKey: string,
  id: string,
  input: LiftBody,
): Promise<Changed<BudgetResource>> {
  const environment = await requireEnvironment(ctx, environmentKey, "operator");
  return change(ctx, environment.id, async (open) => {
    const { tx, at, record } = open;
    const row = await requireBudget(tx, environment.id, id);
    const budget = budgetOf(row, await readRaises(tx, id));
    const { scope } = budget;
    if (!isAboutSubjects(scope)) throw new AppError("CONFLICT", HOLDS_NOBODY);
    const user = input.user ?? named(scope.user);
    const session = input.session ?? named(scope.session);
    const subject = subjectIn(scope, user, session);
    if (subject === null) {
      const missing = scope.user !== undefined && user === null ? "user" : "session";
      throw invalid(missing, `must name the ${missing} to let go on, as the budget is about each of them`);
    }
    const { startMs } = windowAt(budget.period, budget.timezone, at.getTime());
    const isIt = and(
      eq(subjectWindows.budgetId, id),
      eq(subjectWindows.startsAt, new Date(startMs)),
      eq(subjectWindows.subject, subject),
    );
    const [held] = await tx.select().from(subjectWindows).where(isIt).for("update");
    if (held === undefined || held.action === null) {
      throw new AppError("CONFLICT", "This budget does nothing to that user or session now.");
    }
    await tx.update(subjectWindows).set({ liftedNanoUsd: held.spentNanoUsd, liftedBy: ctx.actor.name }).where(isIt);
    await record({
      action: "budget.lifted",
      target: budget.name,
      reason: input.reason,
      after: { user, session, action: held.action, spentNanoUsd: held.spentNanoUsd },
    });
    await lookAtSubjects(open, budget, subject);
    return budgetResource(ctx, tx, row);
  });
}

/** The one that a scope names. */
function named(scope: string | undefined): string | null {
  return scope === undefined || scope === "each" ? null : scope;
}
