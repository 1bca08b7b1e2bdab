/**
 * Looks at whether a budget's window is over its limit and writes what follows: since when, and the further alerts of its
 * incident. Under the locks of the ladder, after it has acted, so that what the ladder turned off is not told as on.
 */
import { and, eq } from "drizzle-orm";
import type { Change } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { budgetWindows } from "../../db/schema/budgets.ts";
import { type Budget, effectiveLimitNanoUsd } from "../../domain/budget.ts";
import { flagResource } from "../flags/resource.ts";
import type { Surroundings } from "../../domain/flag.ts";
import { afterMark, lookOver, type OverLook, type OverMemory } from "../../domain/over-limit.ts";
import { noteOver } from "../incidents/incidents.ts";
import { readSurroundings } from "../flags/surroundings.ts";
import { flagsOf } from "./trips.ts";

export interface OverRow extends OverMemory {
  budgetId: string;
  startsAt: Date;
  endsAt: Date;
  spentNanoUsd: number;
  closedAt: Date | null;
}

/** What a look at the window finds now. */
export function lookAtWindow(budget: Budget, row: OverRow, at: Date): OverLook {
  const closed = row.closedAt !== null || at >= row.endsAt || budget.paused;
  const limitNanoUsd = effectiveLimitNanoUsd(budget, at.getTime());
  return lookOver(memoryOf(row), { spentNanoUsd: row.spentNanoUsd, limitNanoUsd, closed }, at);
}

/** True when a look would write something. */
export function overLimitWouldChange(budget: Budget, row: OverRow, at: Date): boolean {
  const { change, duePercent, memory } = lookAtWindow(budget, row, at);
  return change !== null || duePercent !== null || memory.overLimitNanoUsd !== row.overLimitNanoUsd;
}

/** Writes what a look finds, and tells a mark that is due while anything that spends from the budget is on. */
export async function runOverLimit(ctx: Ctx, open: Change, budget: Budget, row: OverRow): Promise<void> {
  const { at } = open;
  if (!overLimitWouldChange(budget, row, at)) return;
  const { memory, change, duePercent } = lookAtWindow(budget, row, at);
  const limitNanoUsd = effectiveLimitNanoUsd(budget, at.getTime());
  await write(open, row, memory);
  if (change !== null) {
    await open.record({
      action: change === "began" ? "budget.over" : "budget.under",
      target: budget.name,
      after: { spentNanoUsd: row.spentNanoUsd, limitNanoUsd },
    });
  }
  if (duePercent === null) return;
  const around = await readSurroundings(open.tx, open.environment);
  const on = await spendersOn(open, budget, around);
  await write(open, row, afterMark(memory, duePercent, on !== null, at));
  const over = around.over.find(({ budgetId }) => budgetId === budget.id);
  if (on === null || over === undefined) return;
  await noteOver(ctx, open, { budget, over, overridden: around.overridden, percent: duePercent, flags: on });
}

/** The budget's flags that are on; null when all of them are off. `[]`: it has none, and is spent from all the same. */
async function spendersOn(open: Change, budget: Budget, around: Surroundings): Promise<string[] | null> {
  const own = await flagsOf(open.tx, open.environment.id, budget, around);
  const on = own.filter((flag) => flagResource(flag, around, undefined).standing.state !== "off");
  return own.length > 0 && on.length === 0 ? null : on.map(({ key }) => key);
}

function memoryOf(row: OverRow): OverMemory {
  const { overSince, overLimitNanoUsd, toldPercent, toldLimitNanoUsd, toldAt, lookedAt } = row;
  return { overSince, overLimitNanoUsd, toldPercent, toldLimitNanoUsd, toldAt, lookedAt };
}

async function write({ tx }: Change, row: OverRow, memory: OverMemory): Promise<void> {
  await tx
    .update(budgetWindows)
    .set(memory)
    .where(and(eq(budgetWindows.budgetId, row.budgetId), eq(budgetWindows.startsAt, row.startsAt)));
}
