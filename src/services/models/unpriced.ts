/**
 * Tells on-call of models without a price: their calls count at the dearest rate, so that budgets trip early and pages show
 * too much. One incident at a time, one alert for all that is new; it closes when each has a price or is called no more.
 */
import { and, eq, isNotNull, isNull } from "drizzle-orm";
import { change } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { incidents } from "../../db/schema/incidents.ts";
import type { Db } from "../../db/types.ts";
import { sameUnpriced, type Unpriced, type UnpricedCalls } from "../../domain/unpriced.ts";
import { noteUnpriced, resolveEndedIncidents } from "../incidents/incidents.ts";
import { unpricedCalls } from "./unpriced-calls.ts";

/** What is new within so long of an alert is told with what comes after it: names can be invented faster than read. */
const QUIET_MS = 10 * 60_000;

/** Looks at the calls of an environment's last day and does what is due. Takes no lock when nothing is. */
export async function tellUnpriced(ctx: Ctx, environmentId: string): Promise<void> {
  const due = await look(ctx.deps.db, environmentId, ctx.deps.clock.nowMs());
  if (due.fresh.length === 0 && !due.hasEnded) return;
  await change(ctx, environmentId, async (open) => {
    // Another server, or a price, may have acted since.
    const now = await look(open.tx, environmentId, open.at.getTime());
    if (now.hasEnded) await resolveEndedIncidents(ctx, open);
    if (now.fresh.length > 0) await noteUnpriced(ctx, open, now.fresh, now.hasEnded ? [] : now.told);
  });
}

interface Look {
  /** Called, and not told of by the incident that is open. */
  fresh: UnpricedCalls[];
  told: readonly Unpriced[];
  /** Nothing that the open incident is about is called without a price any more. */
  hasEnded: boolean;
}

async function look(db: Db, environmentId: string, nowMs: number): Promise<Look> {
  const found = await unpricedCalls(db, environmentId, nowMs);
  const [incident] = await db
    .select({ unpriced: incidents.unpriced, steps: incidents.steps })
    .from(incidents)
    .where(
      and(eq(incidents.environmentId, environmentId), isNull(incidents.resolvedAt), isNotNull(incidents.unpriced)),
    );
  const told = incident?.unpriced ?? [];
  const isTold = (one: Unpriced): boolean => told.some((other) => sameUnpriced(one, other));
  const lastMs = Date.parse(incident?.steps.at(-1)?.at ?? "");
  // Without an incident there is no last alert, and nothing to wait for.
  const isQuiet = nowMs - lastMs < QUIET_MS;
  return {
    fresh: isQuiet ? [] : found.filter((one) => !isTold(one)),
    told,
    hasEnded: incident !== undefined && !found.some(isTold),
  };
}
