/**
 * Runs the ladder of one budget in one window and writes all that follows: trips, their ends, the incident and its
 * alerts, in the transaction that found it out. What a step does it does once, whatever the number of servers.
 */
import { and, asc, eq, isNull } from "drizzle-orm";
import type { Change } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { budgetWindows } from "../../db/schema/budgets.ts";
import { type Budget, effectiveLimitNanoUsd } from "../../domain/budget.ts";
import {
  advance,
  type LadderChange,
  memoryOf,
  type StoredWindow,
  type WindowState,
  windowState,
} from "../../domain/ladder.ts";
import { isAboutSubjects } from "../../domain/subject.ts";
import { type Acted, noteAgain, noteStep, resolveEndedIncidents } from "../incidents/incidents.ts";
import { type OverRow, overLimitWouldChange, runOverLimit } from "./over-limit.ts";
import { lookAtSubjects } from "../verdicts/subjects.ts";
import { endTrips, trip } from "./trips.ts";

/** True when a look at the window would change something, so that the environment's lock is needed. */
export function wouldChange(budget: Budget, row: LadderRow, nowMs: number): boolean {
  const before = windowState(budget, row);
  const { state, changes } = advance(budget, before, 0, nowMs);
  return changes.length > 0 || state.closed !== before.closed || overLimitWouldChange(budget, row, new Date(nowMs));
}

type LadderRow = StoredWindow & OverRow;

/** Looks at the window with its row and the environment locked: the ladder acts, and what is over the limit is told. */
export async function runLadder(ctx: Ctx, open: Change, budget: Budget, row: LadderRow): Promise<void> {
  const wasOver = row.overSince !== null;
  const acted = await runSteps(ctx, open, budget, row);
  await runOverLimit(ctx, open, budget, row);
  if (acted || wasOver) await resolveEndedIncidents(ctx, open);
}

/** Answers whether the ladder did anything. */
async function runSteps(ctx: Ctx, open: Change, budget: Budget, row: LadderRow): Promise<boolean> {
  const before = windowState(budget, row);
  const { state, changes } = advance(budget, before, 0, open.at.getTime());
  if (changes.length === 0 && state.closed === before.closed) return false;
  await open.tx
    .update(budgetWindows)
    .set({ ladderState: memoryOf(state), closedAt: state.closed ? (row.closedAt ?? open.at) : null })
    .where(and(eq(budgetWindows.budgetId, row.budgetId), eq(budgetWindows.startsAt, row.startsAt)));
  let again: Acted | null = null;
  for (const change of changes) again = (await apply(ctx, open, budget, state, change)) ?? again;
  if (again !== null) await noteAgain(ctx, open, again);
  return true;
}

/** Looks at the ladders of a budget's open windows: after an edit, a raise, its expiry, or a window's end. */
export async function runOpenWindows(ctx: Ctx, open: Change, budget: Budget): Promise<void> {
  if (isAboutSubjects(budget.scope)) return lookAtSubjects(open, budget);
  const rows = await open.tx
    .select()
    .from(budgetWindows)
    .where(and(eq(budgetWindows.budgetId, budget.id), isNull(budgetWindows.closedAt)))
    .orderBy(asc(budgetWindows.startsAt))
    .for("update");
  for (const row of rows) await runLadder(ctx, open, budget, row);
}

/** Does what a change asks for. Answers with a step that stands again, which is told of when all is done. */
async function apply(
  ctx: Ctx,
  open: Change,
  budget: Budget,
  state: WindowState,
  change: LadderChange,
): Promise<Acted | null> {
  if (change.type === "end") {
    await endTrips(open, budget, state, change.key, change.cause);
    return null;
  }
  const { step, key } = change;
  const { flags, bound } = await trip(ctx, open, { budget, state, step, key });
  const limitNanoUsd = effectiveLimitNanoUsd(budget, open.at.getTime());
  const acted = { budget, state, step, key, flags, limitNanoUsd, bound };
  if (change.type === "resume") return flags.length > 0 ? acted : null;
  await noteStep(ctx, open, acted);
  return null;
}
