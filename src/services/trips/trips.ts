/**
 * Trips: what a budget's ladder does to flags by itself, and how it ends. All of it inside a change that holds the
 * environment's lock; windows are locked after it, in the order of their keys.
 */
import { and, asc, eq, inArray, isNull, sql, type SQL } from "drizzle-orm";
import type { Change } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { budgets as budgetRows, budgetWindows, trips } from "../../db/schema/budgets.ts";
import { flags } from "../../db/schema/state.ts";
import type { Db, FlagRow } from "../../db/types.ts";
import { boundNanoUsd, exposureOf, MAX_BOUND_NANO_USD, type TripBound } from "../../domain/bound.ts";
import { type Budget, effectiveLimitNanoUsd, type LadderStep } from "../../domain/budget.ts";
import { flagInForce, levelColumns, stepsOf, type Surroundings } from "../../domain/flag.ts";
import {
  downgradeLevel,
  override,
  stepKey,
  stepsInForce,
  type WindowState,
  withoutOverride,
  memoryOf,
  windowState,
} from "../../domain/ladder.ts";
import { AppError } from "../../errors.ts";
import { committedNanoUsd } from "../budgets/bound-now.ts";
import { readBudgets } from "../budgets/rows.ts";
import { readTold } from "../budgets/told.ts";
import { resolveEndedIncidents } from "../incidents/incidents.ts";
import { readSurroundings } from "../flags/surroundings.ts";

/** One step that acts, in one window of one budget. */
export interface Acting {
  budget: Budget;
  state: WindowState;
  step: LadderStep;
  key: string;
}

/** The flags that a step changed, and of a kill what can still be spent. */
export interface Tripped {
  flags: string[];
  bound: TripBound | null;
}

/** Trips the budget's flags for a step, `only` those when given. */
export async function trip(ctx: Ctx, open: Change, acting: Acting, only?: ReadonlySet<string>): Promise<Tripped> {
  const { tx, environment, at } = open;
  const { budget, state, step, key } = acting;
  if (step.action === "alert") return { flags: [], bound: null };
  const around = await readSurroundings(tx, environment);
  const bound = step.action === "kill" ? await boundOf(open, budget, state) : null;
  const tripped: string[] = [];
  for (const flag of await flagsOf(tx, environment.id, budget, around)) {
    if (only !== undefined && !only.has(flag.key)) continue;
    if (!stepsInForce(budget, state, flag.key, at.getTime()).some((inForce) => stepKey(inForce) === key)) continue;
    const target = step.action === "kill" ? { level: null, model: null } : downgradeOf(flag, budget, step, around);
    if (target === null) continue;
    await tx.insert(trips).values({
      id: ctx.deps.newId(),
      environmentId: environment.id,
      flag: flag.key,
      budgetId: budget.id,
      windowStartsAt: new Date(state.window.startMs),
      step: key,
      atPercent: step.atPercent,
      action: step.action,
      ...target,
      since: at,
      boundNanoUsd: bound?.nanoUsd ?? null,
      boundNotReporting: bound?.notReporting ?? null,
      until: budget.onReset === "restore" ? new Date(state.window.endMs) : null,
    });
    await open.record({
      action: "flag.tripped",
      target: flag.key,
      reason: `budget ${budget.name} reached ${step.atPercent} %`,
      after: { action: step.action, ...target, budget: budget.name, atPercent: step.atPercent },
    });
    tripped.push(flag.key);
  }
  return { flags: tripped, bound };
}

/** The most that is spent in the end, by what clients have told until now; what leases set aside is within the limit. */
async function boundOf({ tx, environment, at }: Change, budget: Budget, state: WindowState): Promise<TripBound> {
  const nowMs = at.getTime();
  const reserves = budget.enforcement === "reserve";
  const exposure = exposureOf(budget, reserves ? [] : await readTold(tx, environment.id, nowMs), nowMs);
  const least = reserves ? effectiveLimitNanoUsd(budget, nowMs) : 0;
  const ofWindow = and(
    eq(budgetWindows.budgetId, budget.id),
    eq(budgetWindows.startsAt, new Date(state.window.startMs)),
  );
  const [window] = reserves ? await tx.select().from(budgetWindows).where(ofWindow) : [];
  const spent = Math.max(state.spentNanoUsd, committedNanoUsd(budget, window));
  const nanoUsd = Math.min(boundNanoUsd(spent, least, exposure), MAX_BOUND_NANO_USD);
  return { nanoUsd, notReporting: exposure.notReporting };
}

/**
 * Flags that were made or whose chain changed: what stands of a budget that they belong to now holds for them too. A new
 * flag is no way around a budget.
 */
export async function tripNewcomers(ctx: Ctx, open: Change, flagKeys: readonly string[]): Promise<void> {
  const { tx, environment, at } = open;
  if (flagKeys.length === 0) return;
  const budgets = new Map((await readBudgets(tx, environment.id)).map((budget) => [budget.id, budget]));
  // Not locked: what stands changes only under the environment's lock, which is held.
  const windows = await tx
    .select()
    .from(budgetWindows)
    .where(and(inArray(budgetWindows.budgetId, [...budgets.keys()]), isNull(budgetWindows.closedAt)))
    .orderBy(asc(budgetWindows.budgetId), asc(budgetWindows.startsAt));
  for (const row of windows) {
    const budget = budgets.get(row.budgetId);
    if (budget === undefined) continue;
    const state = windowState(budget, row);
    const standing = new Map(
      flagKeys.flatMap((flag) => stepsInForce(budget, state, flag, at.getTime())).map((step) => [stepKey(step), step]),
    );
    for (const [key, step] of standing) {
      const already = await trippedBy(tx, { budget, state, step, key });
      await trip(ctx, open, { budget, state, step, key }, new Set(flagKeys.filter((flag) => !already.has(flag))));
    }
  }
}

async function trippedBy(tx: Db, { budget, state, key }: Acting): Promise<Set<string>> {
  const rows = await tx
    .select({ flag: trips.flag })
    .from(trips)
    .where(and(eq(trips.budgetId, budget.id), isNull(trips.endedAt), ofStep(state, key)));
  return new Set(rows.map((row) => row.flag));
}

const ofStep = (state: WindowState, key: string) =>
  and(eq(trips.windowStartsAt, new Date(state.window.startMs)), eq(trips.step, key));

/** Ends the trips of one step in one window. */
export async function endTrips(
  open: Change,
  budget: Budget,
  state: WindowState,
  key: string,
  cause: "notCrossed" | "reset",
): Promise<void> {
  await end(open, budget, cause, ofStep(state, key));
}

/** Ends all trips of a budget, in whatever window: it is deleted, or counts something else from now on. */
export async function endAllTrips(open: Change, budget: Budget): Promise<void> {
  await end(open, budget, "deleted");
}

async function end(open: Change, budget: Budget, cause: keyof typeof END_REASONS, of?: SQL): Promise<void> {
  const ended = await open.tx
    .update(trips)
    .set({ endedAt: open.at, endReason: cause })
    .where(and(eq(trips.budgetId, budget.id), isNull(trips.endedAt), of))
    .returning();
  for (const row of ended.toSorted((a, b) => (a.flag < b.flag ? -1 : 1))) {
    if (row.overriddenAt !== null) continue;
    await open.record({
      action: "flag.trip-ended",
      target: row.flag,
      reason: END_REASONS[cause](budget.name),
      before: { action: row.action, level: row.level, model: row.model, budget: budget.name, atPercent: row.atPercent },
    });
  }
}

const END_REASONS = {
  notCrossed: (name: string) => `budget ${name} is below the step again`,
  reset: (name: string) => `budget ${name} began a new window`,
  untagged: (name: string) => `the flag lost the tag of budget ${name}`,
  deleted: (name: string) => `budget ${name} was deleted or counts something else now`,
};

/**
 * A flag that a `reserve` budget has turned off cannot be let run past it: no call would get money. CONFLICT, with what to
 * do instead.
 */
export async function requireNotReserved(tx: Db, environmentId: string, flag: string): Promise<void> {
  const [standing] = await tx
    .select({ name: budgetRows.name })
    .from(trips)
    .innerJoin(budgetRows, eq(budgetRows.id, trips.budgetId))
    .where(
      and(
        eq(trips.environmentId, environmentId),
        eq(trips.flag, flag),
        eq(trips.action, "kill"),
        eq(budgetRows.enforcement, "reserve"),
        isNull(trips.endedAt),
        isNull(trips.overriddenAt),
      ),
    )
    .limit(1);
  if (standing === undefined) return;
  const words = `Budget ${standing.name} is used up, and lets no call pass beyond its limit. Raise the limit first: the flag is then restored by itself.`;
  throw new AppError("CONFLICT", words);
}

/**
 * On-call restores a flag: every trip in force for it is overridden until its window ends. Of one that was `killed` by
 * hand meanwhile an earlier override is made anew: who lets it run is who restored it last. Answers whether there was any.
 */
export async function overrideTrips(
  ctx: Ctx,
  open: Change,
  { flag, killed, reason }: { flag: string; killed: boolean; reason: string | null },
): Promise<boolean> {
  const { tx, environment, at } = open;
  const overridden = await tx
    .update(trips)
    .set({ overriddenAt: at, overriddenBy: ctx.actor.name, overrideReason: reason })
    .where(
      and(
        eq(trips.environmentId, environment.id),
        eq(trips.flag, flag),
        isNull(trips.endedAt),
        killed ? undefined : isNull(trips.overriddenAt),
      ),
    )
    .returning({ budgetId: trips.budgetId });
  if (overridden.length === 0) return false;
  const ofThese = inArray(budgetWindows.budgetId, [...new Set(overridden.map((row) => row.budgetId))]);
  await moveWindows(open, ofThese, (state) => override(state, flag));
  await resolveEndedIncidents(ctx, open);
  return true;
}

/**
 * A flag that is deleted takes along what tripped it, and what on-call let run: one that is made under its key is another
 * flag, and no way around a budget.
 */
export async function endTripsOfDeleted(ctx: Ctx, open: Change, flag: string): Promise<void> {
  const { tx, environment, at } = open;
  await tx
    .update(trips)
    .set({ endedAt: at, endReason: "flagDeleted" })
    .where(and(eq(trips.environmentId, environment.id), eq(trips.flag, flag), isNull(trips.endedAt)));
  const hasOverride = sql`jsonb_exists(${budgetWindows.ladderState} -> 'overrides', ${flag})`;
  await moveWindows(open, hasOverride, (state) => withoutOverride(state, flag));
  await resolveEndedIncidents(ctx, open);
}

/** A flag that has lost a tag is no longer tripped by the budgets of that tag. */
export async function endTripsOfTags(ctx: Ctx, open: Change, flag: string, tags: readonly string[]): Promise<void> {
  for (const budget of await readBudgets(open.tx, open.environment.id)) {
    const { tag } = budget.scope;
    if (tag === undefined || tags.includes(tag)) continue;
    await end(open, budget, "untagged", eq(trips.flag, flag));
  }
  await resolveEndedIncidents(ctx, open);
}

/** Changes the ladder's state of open windows of the environment. */
async function moveWindows(
  { tx, environment }: Change,
  which: SQL,
  move: (state: WindowState) => WindowState,
): Promise<void> {
  const budgets = new Map((await readBudgets(tx, environment.id)).map((budget) => [budget.id, budget]));
  const windows = await tx
    .select()
    .from(budgetWindows)
    .where(and(inArray(budgetWindows.budgetId, [...budgets.keys()]), isNull(budgetWindows.closedAt), which))
    .orderBy(asc(budgetWindows.budgetId), asc(budgetWindows.startsAt))
    .for("update");
  for (const row of windows) {
    const budget = budgets.get(row.budgetId);
    if (budget === undefined) continue;
    await tx
      .update(budgetWindows)
      .set({ ladderState: memoryOf(move(windowState(budget, row))) })
      .where(and(eq(budgetWindows.budgetId, row.budgetId), eq(budgetWindows.startsAt, row.startsAt)));
  }
}

/** The flags that a budget moves: its own, those with its tag, those with its model in their chain, or all of the environment. */
export async function flagsOf(tx: Db, environmentId: string, budget: Budget, around: Surroundings): Promise<FlagRow[]> {
  const rows = await tx.select().from(flags).where(eq(flags.environmentId, environmentId)).orderBy(asc(flags.key));
  return rows.filter((row) => {
    const { flag, tag } = budget.scope;
    if (flag !== undefined && flag !== row.key) return false;
    if (tag !== undefined && !row.tags.includes(tag)) return false;
    return budget.scope.model === undefined || positionOf(budget.scope.model, row, around) >= 0;
  });
}

/**
 * Where a downgrade leads; null when the flag cannot step down any further. A level that somebody set by hand counts as
 * reached, but the budget's own stands beside it: lifting the one leaves the other.
 */
function downgradeOf(
  flag: FlagRow,
  budget: Budget,
  step: LadderStep,
  around: Surroundings,
): { level: number; model: string } | null {
  const models = stepsOf(flag, around).map((chainStep) => chainStep.model);
  // A budget of one model takes its flags past that model, never onto it.
  const past = budget.scope.model === undefined ? 0 : positionOf(budget.scope.model, flag, around) + 1;
  const byTrips = flagInForce({ ...flag, ...levelColumns(null) }, around).level;
  for (const now of [flagInForce(flag, around).level, byTrips]) {
    const level = Math.max(downgradeLevel(step, now, models.length), past);
    const model = models[level];
    if (model !== undefined && level > now) return { level, model };
  }
  return null;
}

function positionOf(model: string, flag: FlagRow, around: Surroundings): number {
  const wanted = around.models.nameOf(model);
  return stepsOf(flag, around).findIndex((step) => around.models.nameOf(step.model) === wanted);
}
