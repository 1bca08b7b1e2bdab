/**
 * A budget about users or sessions in one window of one of them: what its ladder means there. Pure. It moves no flag: what
 * it does holds for that user or session alone, and is told by verdicts.
 */
import { type Budget, type BudgetScope, effectiveLimitNanoUsd, type LadderStep } from "./budget.ts";
import { thresholdNanoUsd } from "./ladder.ts";

/** What may hold for a user or session; a `warn` is for the application, which may tell its user. */
export type SubjectAction = "warn" | "downgrade" | "stop";

export interface SubjectState {
  action: SubjectAction | null;
  /** Of a downgrade; null: one further than the flag's own. */
  level: number | null;
}

/** One step as it holds for a user or session. */
export interface SubjectStep extends SubjectState {
  action: SubjectAction;
  thresholdNanoUsd: number;
}

/** The application is warned at this share, unless the ladder says at which. */
export const WARN_PERCENT = 80;
/** Users or sessions with a window of their own in one window of a budget; what others spend counts for none. */
export const MAX_SUBJECTS_PER_WINDOW = 1_000_000;

/** True for a budget that has a window for a user or session, so that it stops those and not their flags. */
export function isAboutSubjects({ user, session }: Pick<BudgetScope, "user" | "session">): boolean {
  return user !== undefined || session !== undefined;
}

/** What a budget does unless it says otherwise. */
export function defaultLadder(scope: BudgetScope): LadderStep[] {
  return [
    { atPercent: 80, action: isAboutSubjects(scope) ? "alert" : "downgrade" },
    { atPercent: 100, action: "kill" },
  ];
}

/** The steps by what they do, the strongest first. None of a paused budget; a `track` budget only warns. */
export function subjectSteps(budget: Budget, nowMs: number): SubjectStep[] {
  if (budget.paused) return [];
  const limitNanoUsd = effectiveLimitNanoUsd(budget, nowMs);
  const warns = budget.ladder.some(({ action }) => action === "alert");
  const ladder: readonly LadderStep[] = warns
    ? budget.ladder
    : [{ atPercent: WARN_PERCENT, action: "alert" }, ...budget.ladder];
  return ladder
    .map((step) => ({
      ...(budget.enforcement === "track" ? { action: "warn" as const, level: null } : actionOf(step)),
      thresholdNanoUsd: thresholdNanoUsd(limitNanoUsd, step.atPercent),
    }))
    .toSorted((a, b) => strength(b) - strength(a));
}

/** What holds for one that spent this much; steps that had been crossed when a person lifted it count no more. */
export function subjectState(
  steps: readonly SubjectStep[],
  { spentNanoUsd, liftedNanoUsd }: { spentNanoUsd: number; liftedNanoUsd: number | null },
): SubjectState {
  const crossed = steps.find(
    (step) =>
      spentNanoUsd >= step.thresholdNanoUsd && (liftedNanoUsd === null || step.thresholdNanoUsd > liftedNanoUsd),
  );
  return crossed === undefined ? { action: null, level: null } : { action: crossed.action, level: crossed.level };
}

function actionOf({ action, level }: LadderStep): SubjectState & { action: SubjectAction } {
  switch (action) {
    case "alert":
      return { action: "warn", level: null };
    case "downgrade":
      return { action: "downgrade", level: level ?? null };
    case "kill":
      return { action: "stop", level: null };
  }
}

function strength({ action, level }: SubjectStep): number {
  switch (action) {
    case "warn":
      return 0;
    case "downgrade":
      return 1 + (level ?? 0);
    case "stop":
      return Number.POSITIVE_INFINITY;
  }
}
