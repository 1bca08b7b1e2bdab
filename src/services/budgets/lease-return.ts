/**
 * A person returns what clients held that went silent: who knows that those calls cost nothing, or have been counted,
 * gives the money back to the budget, with a reason. A report that comes later still counts what it says.
 */
import { and, asc, eq } from "drizzle-orm";
import { requireEnvironment } from "../../authorize.ts";
import type { BudgetResource } from "../../api/budget.ts";
import { change, type Changed } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { leases } from "../../db/schema/leases.ts";
import { heldNanoUsd } from "../../domain/lease.ts";
import { windowAt } from "../../domain/window.ts";
import { AppError } from "../../errors.ts";
import { lockWindows, moveWindow, shareBudgets, writeLeases } from "./lease-rows.ts";
import { requireBudget } from "./rows.ts";
import { budgetResource } from "./view.ts";

const NOTHING = "Nothing of this budget's window is indeterminate any more.";

/** CONFLICT when there is nothing to return. */
export async function returnIndeterminate(
  ctx: Ctx,
  environmentKey: string,
  id: string,
  { reason, leaseId }: { reason: string; leaseId?: string | undefined },
): Promise<Changed<BudgetResource>> {
  const environment = await requireEnvironment(ctx, environmentKey, "operator");
  return change(ctx, environment.id, async ({ tx, at, record }) => {
    await shareBudgets(tx, environment.id);
    const row = await requireBudget(tx, environment.id, id);
    const current = windowAt(row.period, row.timezone, at.getTime());
    await lockWindows(tx, id, current, []);
    const found = await tx
      .select()
      .from(leases)
      .where(
        and(
          eq(leases.budgetId, id),
          eq(leases.windowStartsAt, new Date(current.startMs)),
          eq(leases.state, "indeterminate"),
          leaseId === undefined ? undefined : eq(leases.id, leaseId),
        ),
      )
      .orderBy(asc(leases.id))
      .for("update");
    const nanoUsd = found.reduce((sum, lease) => sum + heldNanoUsd(lease), 0);
    if (nanoUsd === 0) throw new AppError("CONFLICT", NOTHING);
    await writeLeases(
      tx,
      found.map((lease) => ({
        ...lease,
        releasedNanoUsd: lease.grantedNanoUsd - lease.settledNanoUsd,
        state: "ended" as const,
        endedAt: at,
      })),
    );
    await moveWindow(tx, id, {
      startsAt: new Date(current.startMs),
      reservedNanoUsd: 0,
      indeterminateNanoUsd: -nanoUsd,
    });
    await record({
      action: "budget.returned",
      target: row.name,
      reason,
      after: { nanoUsd, instances: [...new Set(found.map(({ instance }) => instance))] },
    });
    return budgetResource(ctx, tx, await requireBudget(tx, environment.id, id));
  });
}
