/** What people see of a budget about users or sessions: how many spend from it, and whom it holds, nearest the limit first. */
import { and, desc, eq, sql } from "drizzle-orm";
import { namesIn } from "../../../sdk-client/src/evaluate/subject.ts";
import type { SubjectsNow } from "../../api/budget.ts";
import { subjectWindows } from "../../db/schema/budgets.ts";
import type { Db } from "../../db/types.ts";
import type { Budget } from "../../domain/budget.ts";
import { MAX_SUBJECTS_PER_WINDOW } from "../../domain/subject.ts";
import { windowAt } from "../../domain/window.ts";

/** Users or sessions shown of each budget. */
const TOP = 10;

/** Of its current window. */
export async function subjectsNow(db: Db, budget: Budget, nowMs: number): Promise<SubjectsNow> {
  const startsAt = new Date(windowAt(budget.period, budget.timezone, nowMs).startMs);
  const ofWindow = and(eq(subjectWindows.budgetId, budget.id), eq(subjectWindows.startsAt, startsAt));
  const [sums] = await db
    .select({
      counted: sql`count(*)`.mapWith(Number),
      stopped: having("stop"),
      downgraded: having("downgrade"),
      warned: having("warn"),
    })
    .from(subjectWindows)
    .where(ofWindow);
  const rows = await db
    .select()
    .from(subjectWindows)
    .where(ofWindow)
    .orderBy(desc(subjectWindows.spentNanoUsd), subjectWindows.subject)
    .limit(TOP);
  const counts = sums ?? { counted: 0, stopped: 0, downgraded: 0, warned: 0 };
  return {
    ...counts,
    isFull: counts.counted >= MAX_SUBJECTS_PER_WINDOW,
    top: rows.map(({ subject, spentNanoUsd, exactNanoUsd, action, level, liftedBy }) => ({
      ...namesIn(budget.scope, subject),
      spentNanoUsd,
      exactNanoUsd,
      action,
      level,
      liftedBy,
    })),
  };
}

const having = (action: string) => sql`count(*) filter (where action = ${action})`.mapWith(Number);
