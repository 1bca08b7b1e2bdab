/** Budgets: made, edited and deleted by people; what they do by themselves is in `ladder-run.ts`. */
import { and, eq, isNull, sql } from "drizzle-orm";
import { modelNames } from "../../../sdk-client/src/evaluate/model-names.ts";
import { requireEnvironment } from "../../authorize.ts";
import { type Change, change, type Changed } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { budgets, budgetWindows } from "../../db/schema/budgets.ts";
import { usageMinutes } from "../../db/schema/usage.ts";
import type { Db, EnvironmentRow } from "../../db/types.ts";
import { countsWork, definedScope, MAX_BUDGETS_PER_ENVIRONMENT, nanoUsd } from "../../domain/budget.ts";
import type { BudgetDefinition, BudgetResource, NewBudget } from "../../api/budget.ts";
import { defaultLadder, isAboutSubjects } from "../../domain/subject.ts";
import { GRAINS, piecesOf } from "../../domain/rollups.ts";
import { isTimeZone, windowAt } from "../../domain/window.ts";
import { AppError, invalid } from "../../errors.ts";
import { budgetOf, type BudgetRow, readRaises, requireBudget } from "./rows.ts";
import { moveLeases, recallLeases, wakeLeases } from "./lease-recall.ts";
import { budgetResource } from "./view.ts";
import { requireFlag, requireTag } from "../flags/flags.ts";
import { one, requireRoom } from "../shared/one.ts";
import { requireMatch } from "../shared/if-match.ts";
import { resolveEndedIncidents } from "../incidents/incidents.ts";
import { requireKnownModel } from "../models/known-models.ts";
import { runOpenWindows } from "../trips/ladder-run.ts";
import { whole } from "../usage/ledger-writes.ts";
import { endAllTrips } from "../trips/trips.ts";
import { forgetSubjects } from "../verdicts/subjects.ts";
import { rolledSpan, usageOf } from "../usage/rollups.ts";

const TOO_MANY = `An environment holds at most ${MAX_BUDGETS_PER_ENVIRONMENT} budgets.`;

/** Makes a budget. What was spent in its current window counts from the start. CONFLICT when the name is taken. */
export async function createBudget(
  ctx: Ctx,
  environmentKey: string,
  input: NewBudget,
): Promise<Changed<BudgetResource>> {
  const environment = await requireEnvironment(ctx, environmentKey, "admin");
  return change(ctx, environment.id, async (open) => {
    const { tx, at, record } = open;
    await lockBudgets(tx, environment.id);
    const budgetCount = await tx.$count(budgets, eq(budgets.environmentId, environment.id));
    requireRoom(budgetCount + 1, MAX_BUDGETS_PER_ENVIRONMENT, TOO_MANY);
    const columns = await columnsOf(tx, environment, { ...input, ladder: input.ladder ?? defaultLadder(input.scope) });
    const rows = await tx
      .insert(budgets)
      .values({ id: ctx.deps.newId(), environmentId: environment.id, ...columns, createdAt: at, updatedAt: at })
      .onConflictDoNothing()
      .returning({ id: budgets.id });
    const row = await requireBudget(tx, environment.id, one(rows, nameTaken(input.name), "CONFLICT").id);
    await record({ action: "budget.created", target: row.name, after: definitionOf(row) });
    await countFromLedger(open, row);
    await runOpenWindows(ctx, open, budgetOf(row, []));
    return budgetResource(ctx, tx, row);
  });
}

/** Edits a budget and looks at its ladder again. A new scope, period or zone counts its window anew from the ledger. */
export async function updateBudget(
  ctx: Ctx,
  environmentKey: string,
  id: string,
  patch: Partial<BudgetDefinition>,
  ifMatch?: string,
): Promise<Changed<BudgetResource>> {
  const environment = await requireEnvironment(ctx, environmentKey, "admin");
  return change(ctx, environment.id, async (open) => {
    const { tx, at, record } = open;
    await lockBudgets(tx, environment.id);
    const current = await requireBudget(tx, environment.id, id);
    requireMatch(ifMatch, current.version);
    const before = definitionOf(current);
    const columns = await columnsOf(tx, environment, { ...before, ...patch }, before.scope);
    if (patch.name !== undefined && patch.name !== current.name) await requireFreeName(tx, environment.id, patch.name);
    await tx
      .update(budgets)
      .set({ ...columns, version: current.version + 1, updatedAt: at })
      .where(eq(budgets.id, id));
    const row = await requireBudget(tx, environment.id, id);
    const raises = await readRaises(tx, id);
    await record({ action: "budget.edited", target: row.name, before, after: definitionOf(row) });
    if (countsDifferently(current, row)) {
      await endAllTrips(open, budgetOf(current, raises));
      await forgetSubjects(open, budgetOf(current, raises));
      const gone = await tx
        .delete(budgetWindows)
        .where(and(eq(budgetWindows.budgetId, id), isNull(budgetWindows.closedAt)))
        .returning({ startsAt: budgetWindows.startsAt });
      await countFromLedger(open, row);
      await moveLeases(tx, id, {
        from: gone.map(({ startsAt }) => startsAt),
        to: windowAt(row.period, row.timezone, at.getTime()),
      });
    }
    if (row.enforcement === "reserve") await wakeLeases(tx, id);
    else await recallLeases(tx, id);
    await runOpenWindows(ctx, open, budgetOf(row, raises));
    return budgetResource(ctx, tx, row);
  });
}

/** Deletes a budget; its trips end. */
export async function deleteBudget(
  ctx: Ctx,
  environmentKey: string,
  id: string,
  ifMatch?: string,
): Promise<Changed<null>> {
  const environment = await requireEnvironment(ctx, environmentKey, "admin");
  return change(ctx, environment.id, async (open) => {
    const { tx, record } = open;
    await lockBudgets(tx, environment.id);
    const current = await requireBudget(tx, environment.id, id);
    requireMatch(ifMatch, current.version);
    await endAllTrips(open, budgetOf(current, []));
    await tx.delete(budgets).where(eq(budgets.id, id));
    await record({
      action: "budget.deleted",
      target: current.name,
      before: definitionOf(current),
    });
    await resolveEndedIncidents(ctx, open);
    return null;
  });
}

/** Keeps usage from being counted until the budget's window has been summed up: no record is missed or counted twice. */
async function lockBudgets(tx: Db, environmentId: string): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`budgets:${environmentId}`}, 0))`);
}

/** Starts the budget's current window with what the ledger holds of it, to the minute. */
async function countFromLedger({ tx, at, environment }: Change, row: BudgetRow): Promise<void> {
  const { scope } = budgetOf(row, []);
  // Sums by minute do not tell whose they are: users and sessions count from now on.
  if (isAboutSubjects(scope)) return;
  const nameOf = modelNames(environment.aliases);
  const { startMs, endMs } = windowAt(row.period, row.timezone, at.getTime());
  const pieces = piecesOf({ fromMs: startMs, untilMs: endMs }, await rolledSpan(tx, row.environmentId), GRAINS);
  const sums = await tx
    .select({
      flag: sql<string>`${usageMinutes.flag}`,
      model: sql<string>`${usageMinutes.model}`,
      exact: sql`coalesce(sum(${usageMinutes.exactNanoUsd}), 0)::text`.mapWith(BigInt),
      estimated: sql`coalesce(sum(${usageMinutes.estimatedNanoUsd}), 0)::text`.mapWith(BigInt),
    })
    .from(usageOf(row.environmentId, pieces))
    .where(row.flag === null ? undefined : eq(usageMinutes.flag, row.flag))
    .groupBy(usageMinutes.flag, usageMinutes.model);
  const matching = sums.filter((sum) => countsWork(scope, sum, nameOf));
  const exact = matching.reduce((sum, { exact: part }) => sum + part, 0n);
  const spent = matching.reduce((sum, { estimated }) => sum + estimated, exact);
  if (spent === 0n) return;
  const amounts = { spentNanoUsd: whole(spent), exactNanoUsd: whole(exact) };
  await tx
    .insert(budgetWindows)
    .values({ budgetId: row.id, startsAt: new Date(startMs), endsAt: new Date(endMs), ...amounts })
    .onConflictDoUpdate({
      target: [budgetWindows.budgetId, budgetWindows.startsAt],
      set: amounts,
    });
}

function countsDifferently(before: BudgetRow, after: BudgetRow): boolean {
  return (
    before.flag !== after.flag ||
    before.model !== after.model ||
    before.tag !== after.tag ||
    before.userScope !== after.userScope ||
    before.sessionScope !== after.sessionScope ||
    before.period !== after.period ||
    before.timezone !== after.timezone
  );
}

/** @param before of the budget that is edited: what it names stays, even when nothing knows it any more */
async function columnsOf(
  tx: Db,
  environment: EnvironmentRow,
  input: BudgetDefinition,
  before: BudgetDefinition["scope"] = {},
) {
  if (!isTimeZone(input.timezone)) {
    throw invalid("timezone", `"${input.timezone}" is not an IANA time zone; write it like "Europe/Berlin" or "UTC"`);
  }
  if (input.onUnavailable === "deny" && input.enforcement === "track") {
    throw invalid("onUnavailable", 'must be "allow" for a budget that only tracks: it never denies a call');
  }
  if (isAboutSubjects(input.scope)) requireSubjectWays(input);
  const { flag, tag, model } = input.scope;
  if (flag !== undefined && flag !== before.flag) await requireFlag(tx, environment.id, flag);
  if (tag !== undefined && tag !== before.tag) await requireTag(tx, environment.id, tag, "scope.tag");
  if (model !== undefined && model !== before.model) {
    await requireKnownModel(tx, environment, model, "scope.model");
  }
  return {
    name: input.name,
    flag: input.scope.flag ?? null,
    model: input.scope.model ?? null,
    tag: input.scope.tag ?? null,
    userScope: input.scope.user ?? null,
    sessionScope: input.scope.session ?? null,
    paused: input.paused,
    limitNanoUsd: nanoUsd(input.limitUsd),
    period: input.period,
    timezone: input.timezone,
    enforcement: input.enforcement,
    onUnavailable: input.onUnavailable,
    reserveWaitMs: input.reserveWaitMs,
    minTokens: input.minTokens,
    whenHeld: input.whenHeld,
    ladder: input.ladder,
    onReset: input.onReset,
  };
}

/** What a budget about users or sessions cannot do. */
function requireSubjectWays({ enforcement, onReset }: BudgetDefinition): void {
  if (enforcement === "reserve") {
    throw invalid(
      "enforcement",
      'cannot be "reserve" for users or sessions yet; "trip" stops each of them at its limit',
    );
  }
  if (onReset === "stay") {
    throw invalid("onReset", 'must be "restore": a user or session may go on with the next window');
  }
}

async function requireFreeName(tx: Db, environmentId: string, name: string): Promise<void> {
  const rows = await tx
    .select({ id: budgets.id })
    .from(budgets)
    .where(and(eq(budgets.environmentId, environmentId), eq(budgets.name, name)));
  if (rows.length > 0) throw new AppError("CONFLICT", nameTaken(name));
}

function definitionOf(row: BudgetRow): BudgetDefinition {
  const { scope, limitNanoUsd, ...rest } = budgetOf(row, []);
  return {
    name: rest.name,
    scope: definedScope(scope),
    limitUsd: limitNanoUsd / 1_000_000_000,
    period: rest.period,
    timezone: rest.timezone,
    enforcement: rest.enforcement,
    onUnavailable: rest.onUnavailable,
    reserveWaitMs: rest.reserveWaitMs,
    minTokens: rest.minTokens,
    whenHeld: rest.whenHeld,
    ladder: row.ladder,
    onReset: rest.onReset,
    paused: rest.paused,
  };
}

function nameTaken(name: string): string {
  return `There is a budget "${name}" already. Choose another name, or edit that budget.`;
}
