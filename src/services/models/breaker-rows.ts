/** The breakers of models as they are stored: read, shown, and overridden by hand. */
import { and, asc, eq, ne } from "drizzle-orm";
import type { BreakerResource } from "../../api/model.ts";
import type { Change } from "../../change.ts";
import { modelBreakers } from "../../db/schema/state.ts";
import type { Db, ModelBreakerRow } from "../../db/types.ts";
import type { Ctx } from "../../deps.ts";
import { type Breaker, whyOut } from "../../domain/breaker.ts";

/** Those that have not closed. */
export async function standingBreakers(db: Db, environmentId: string): Promise<ModelBreakerRow[]> {
  return db
    .select()
    .from(modelBreakers)
    .where(and(eq(modelBreakers.environmentId, environmentId), ne(modelBreakers.state, "closed")))
    .orderBy(asc(modelBreakers.since), asc(modelBreakers.model));
}

/** Lets the model run over its breaker; one that runs already stays as it is. Null when no breaker has taken it out. */
export async function overrideBreaker(
  ctx: Ctx,
  { tx, environment, at, record }: Change,
  name: string,
  reason: string,
): Promise<ModelBreakerRow | null> {
  const row = (await standingBreakers(tx, environment.id)).find(({ model }) => model === name);
  if (row === undefined) return null;
  if (row.state === "overridden") return row;
  const [after] = await tx
    .update(modelBreakers)
    .set({ state: "overridden", stateSince: at, overriddenBy: ctx.actor.name, overrideReason: reason })
    .where(and(eq(modelBreakers.environmentId, environment.id), eq(modelBreakers.model, name)))
    .returning();
  await record({ action: "breaker.overridden", target: name, reason });
  return after ?? null;
}

/** Null for one that has closed. */
export function breakerOf(row: ModelBreakerRow): Breaker | null {
  const { state, rounds, stateSince: since } = row;
  switch (state) {
    case "open":
      return { state, rounds, probeAt: row.probeAt ?? since };
    case "probing":
      return { state, rounds, since, probeShare: row.probeShare ?? 0 };
    case "overridden":
      return { state, rounds, since };
    case "closed":
      return null;
  }
}

export function breakerResource(row: ModelBreakerRow | undefined): BreakerResource | null {
  if (row === undefined || row.state === "closed") return null;
  const { state, calls, failures, instances, failingInstances } = row;
  const isOverridden = state === "overridden";
  return {
    state,
    since: row.since.toISOString(),
    reason: whyOut(row),
    calls,
    failures,
    instances,
    failingInstances,
    probeAt: state === "open" ? (row.probeAt?.toISOString() ?? null) : null,
    probeShare: state === "probing" ? row.probeShare : null,
    overriddenBy: isOverridden ? row.overriddenBy : null,
    overrideReason: isOverridden ? row.overrideReason : null,
  };
}
