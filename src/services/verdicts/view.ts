/** What people see of a budget about users or sessions: how many spend from it, and whom it holds, nearest the limit first. */
import { and, desc, eq, gt, inArray, sql } from "drizzle-orm";
import { namesIn } from "../../../sdk-client/src/evaluate/subject.ts";
import type { SubjectsNow } from "../../api/budget.ts";
import { budgets, subjectWindows, verdicts } from "../../db/schema/budgets.ts";
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

/** Whom a budget about users or sessions holds now, without those that are only warned. */
export interface HeldSubjects {
  id: string;
  name: string;
  about: "user" | "session";
  stopped: number;
  downgraded: number;
}

/** By budget, of those that hold anybody. From the log of verdicts, which is bounded where windows are not. */
export async function heldSubjects(db: Db, environmentId: string, nowMs: number): Promise<HeldSubjects[]> {
  const rows = await db
    .select({
      id: budgets.id,
      name: budgets.name,
      session: budgets.sessionScope,
      stopped: sql`count(*) filter (where ${verdicts.action} = 'stop')`.mapWith(Number),
      downgraded: sql`count(*) filter (where ${verdicts.action} = 'downgrade')`.mapWith(Number),
    })
    .from(verdicts)
    .innerJoin(budgets, and(eq(budgets.environmentId, verdicts.environmentId), eq(budgets.id, verdicts.budgetId)))
    .where(
      and(
        eq(verdicts.environmentId, environmentId),
        inArray(verdicts.action, ["stop", "downgrade"]),
        gt(verdicts.until, new Date(nowMs)),
      ),
    )
    .groupBy(budgets.id, budgets.name, budgets.sessionScope)
    .orderBy(budgets.name);
  return rows.map(({ session, ...row }) => ({ ...row, about: session === null ? "user" : "session" }));
}

const having = (action: string) => sql`count(*) filter (where action = ${action})`.mapWith(Number);
