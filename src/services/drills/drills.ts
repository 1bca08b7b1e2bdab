/**
 * Drills begin here and are read here; `settle.ts` ends them. A drill is a kill with an end of its own, so that the flag
 * comes back even if no server remembers the drill.
 */
import { and, desc, eq, isNull } from "drizzle-orm";
import { requireEnvironment } from "../../authorize.ts";
import { change, type Change, type Changed } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { drills } from "../../db/schema/drills.ts";
import { incidents } from "../../db/schema/incidents.ts";
import type { EnvironmentRow } from "../../db/types.ts";
import type { DrillResource } from "../../api/drill.ts";
import { DEFAULT_DRILL_SECONDS, maxDrillSeconds } from "../../domain/drill.ts";
import { proofOf } from "../../domain/fleet.ts";
import { flagInForce, standingFacts, type StoredFlag, type Surroundings, switchOf } from "../../domain/flag.ts";
import { standingOf } from "../../domain/standing.ts";
import { kill } from "../../domain/switch.ts";
import { AppError, invalid } from "../../errors.ts";
import { read } from "../../transaction.ts";
import { patchFlag, turnOff } from "../flags/switches.ts";
import { requireFlagAndAround } from "../flags/flags.ts";
import { lineageOf } from "../instances/fleet.ts";
import { flushedFleet } from "../instances/receipts.ts";
import { one } from "../shared/one.ts";

export type DrillRow = typeof drills.$inferSelect;

const LISTED_MAX = 50;

/**
 * Turns a flag off for at most `seconds`. CONFLICT, saying why, where that would do harm or prove nothing: the flag is off,
 * an incident is open, a budget is over its limit, a drill of it runs, or no instance is connected.
 */
export async function startDrill(
  ctx: Ctx,
  environmentKey: string,
  key: string,
  { seconds, scheduled = false }: { seconds?: number | undefined; scheduled?: boolean },
): Promise<Changed<DrillResource>> {
  const environment = await requireEnvironment(ctx, environmentKey, "operator");
  const hasInstances = await anybodyRuns(ctx, environment);
  return change(ctx, environment.id, async (open) => {
    const served = await requireFlagAndAround(open.tx, open.environment, key);
    const { flag, around } = served;
    await requireHarmless(open, flag, around);
    if (!hasInstances) throw conflict("no instance is connected, so a drill would prove nothing");
    const most = maxDrillSeconds(flag);
    const takes = seconds ?? Math.min(DEFAULT_DRILL_SECONDS, most);
    if (takes > most) throw invalid("seconds", `must be at most ${String(most)}: a kill of this flag aborts its calls`);
    const until = new Date(open.at.getTime() + takes * 1_000);
    const reason = `Drill of at most ${String(takes)} s`;
    const killed = kill(switchOf(flag), {
      cause: "manual",
      reason,
      by: ctx.actor.name,
      until,
      at: open.at,
      mayReword: true,
    });
    const { row, auditId } = await turnOff(open, served, killed, reason);
    patchFlag(open, row);
    const made = {
      id: ctx.deps.newId(),
      environmentId: environment.id,
      flag: key,
      state: "running",
      by: ctx.actor.name,
      scheduled,
      startedAt: open.at,
      endsAt: until,
      finishedAt: null,
      lineage: open.lineage,
      revision: open.revision,
      auditId,
      applied: null,
      live: null,
      lastMs: null,
      missing: [],
      note: null,
    } satisfies DrillRow;
    await open.tx.insert(drills).values(made);
    return drillResource(made);
  });
}

async function anybodyRuns(ctx: Ctx, { id, revision }: EnvironmentRow): Promise<boolean> {
  const fleet = await flushedFleet(ctx, id, lineageOf(ctx, id));
  return proofOf(fleet, { n: revision, restored: null }).live > 0;
}

async function requireHarmless(open: Change, flag: StoredFlag & { key: string }, around: Surroundings): Promise<void> {
  const { tx, environment } = open;
  const running = and(eq(drills.environmentId, environment.id), eq(drills.flag, flag.key), eq(drills.state, "running"));
  if ((await tx.$count(drills, running)) > 0) throw conflict("a drill of it runs already");
  if (flagInForce(flag, around).state === "off") throw conflict("it is off already");
  if (standingOf(standingFacts(flag, around)).over !== null)
    throw conflict("a budget of it is over its limit; settle that first");
  const [incident] = await tx
    .select({ title: incidents.title })
    .from(incidents)
    .where(and(eq(incidents.environmentId, environment.id), isNull(incidents.resolvedAt)))
    .limit(1);
  if (incident !== undefined) throw conflict(`an incident is open ("${incident.title}"); close it first`);
}

function conflict(why: string): AppError {
  return new AppError("CONFLICT", `No drill now: ${why}.`);
}

/** The drills of a flag, newest first; at most 50. */
export async function listDrills(ctx: Ctx, environmentKey: string, key: string): Promise<DrillResource[]> {
  const { id } = await requireEnvironment(ctx, environmentKey, "viewer");
  const rows = await read(ctx, (db) =>
    db
      .select()
      .from(drills)
      .where(and(eq(drills.environmentId, id), eq(drills.flag, key)))
      .orderBy(desc(drills.startedAt))
      .limit(LISTED_MAX),
  );
  return rows.map(drillResource);
}

export async function getDrill(ctx: Ctx, environmentKey: string, id: string): Promise<DrillResource> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const rows = await read(ctx, (db) =>
    db
      .select()
      .from(drills)
      .where(and(eq(drills.environmentId, environment.id), eq(drills.id, id))),
  );
  return drillResource(one(rows, "There is no such drill."));
}

function drillResource(row: DrillRow): DrillResource {
  const { id, flag, state, by, scheduled, applied, live, lastMs, missing, note } = row;
  return {
    id,
    flag,
    state,
    by,
    scheduled,
    startedAt: row.startedAt.toISOString(),
    endsAt: row.endsAt.toISOString(),
    finishedAt: row.finishedAt?.toISOString() ?? null,
    revision: row.lineage === null || row.revision === null ? null : `${row.lineage}.${String(row.revision)}`,
    applied,
    live,
    lastMs,
    missing,
    note,
  };
}
