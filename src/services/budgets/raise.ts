/** A raise: more than the limit, until a moment soon. What it ends is looked at at once. */
import { requireEnvironment } from "../../authorize.ts";
import { change, type Changed } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { budgetRaises } from "../../db/schema/budgets.ts";
import { MAX_RAISE_DAYS, MAX_RAISES, nanoUsd } from "../../domain/budget.ts";
import type { BudgetResource } from "../../api/budget.ts";
import { invalid } from "../../errors.ts";
import { requireRoom } from "../shared/one.ts";
import { wakeLeases } from "./lease-recall.ts";
import { runOpenWindows } from "../trips/ladder-run.ts";
import { budgetOf, readRaises, requireBudget } from "./rows.ts";
import { budgetResource } from "./view.ts";

const TOO_MANY = `At most ${MAX_RAISES} raises are in force at once. Edit the limit instead.`;
const DAY_MS = 86_400_000;

/**
 * Adds to the limit until a moment in the next MAX_RAISE_DAYS days. Trips whose step is no longer crossed end at once.
 * INVALID for another moment; CONFLICT when too many raises are in force.
 */
export async function raiseBudget(
  ctx: Ctx,
  environmentKey: string,
  id: string,
  input: { addUsd: number; until: Date; reason: string },
): Promise<Changed<BudgetResource>> {
  const environment = await requireEnvironment(ctx, environmentKey, "operator");
  return change(ctx, environment.id, async (open) => {
    const { tx, at, record } = open;
    const row = await requireBudget(tx, environment.id, id);
    requireRaiseEnd(input.until, at);
    requireRoom(1 + (await readRaises(tx, id)).length, MAX_RAISES, TOO_MANY);
    await tx.insert(budgetRaises).values({
      id: ctx.deps.newId(),
      budgetId: id,
      addNanoUsd: nanoUsd(input.addUsd),
      until: input.until,
      reason: input.reason,
      by: ctx.actor.name,
      at,
    });
    await record({
      action: "budget.raised",
      target: row.name,
      reason: input.reason,
      after: { addUsd: input.addUsd, until: input.until.toISOString() },
    });
    const raises = await readRaises(tx, id);
    await runOpenWindows(ctx, open, budgetOf(row, raises));
    if (row.enforcement === "reserve") await wakeLeases(tx, id);
    return budgetResource(ctx, tx, row);
  });
}

/** A raise without a near end is another limit, and should look like one in the budget and in the audit. */
function requireRaiseEnd(until: Date, now: Date): void {
  if (until <= now) throw invalid("until", "must be in the future");
  if (until.getTime() > now.getTime() + MAX_RAISE_DAYS * DAY_MS) {
    throw invalid("until", `must be at most ${MAX_RAISE_DAYS} days from now; to raise for good, edit the limit`);
  }
}
