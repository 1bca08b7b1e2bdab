/**
 * Ends drills: when everybody has answered, or when their time is up. What a person did to the flag meanwhile is read from
 * the audit under the environment's lock; then the drill restores nothing.
 */
import { and, eq, gt, inArray } from "drizzle-orm";
import { change, type Change } from "../../change.ts";
import type { Ctx, Deps } from "../../deps.ts";
import { drills } from "../../db/schema/drills.ts";
import { audit, environments } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";
import { DRILLS } from "../../domain/actor.ts";
import { type Action, isAction } from "../../domain/audit.ts";
import { type DrillProof, drillStep, type Touched } from "../../domain/drill.ts";
import { switchColumns, switchOf } from "../../domain/flag.ts";
import { restore } from "../../domain/switch.ts";
import { requireFlagAndAround } from "../flags/flags.ts";
import { patchFlag, stateOf, writeState } from "../flags/switches.ts";
import { getReceipts, REVISIONS_KEPT } from "../instances/receipts.ts";
import type { DrillRow } from "./drills.ts";

/** Instances that are named in a record. */
const MISSING_MAX = 20;

interface Answered extends DrillProof {
  lastMs: number | null;
}

/** Looks at each drill of an environment that runs. Takes no lock while none is to end. */
export async function settleDrills(deps: Deps, environmentId: string): Promise<void> {
  const running = await deps.db
    .select()
    .from(drills)
    .where(and(eq(drills.environmentId, environmentId), eq(drills.state, "running")));
  for (const drill of running) await settle({ actor: DRILLS, requestId: deps.newId(), deps }, drill);
}

async function settle(ctx: Ctx, drill: DrillRow): Promise<void> {
  const { db } = ctx.deps;
  // Before the switch is looked at: receipts of a later revision are no proof once it has been restored.
  const proof = await proofOfDrill(ctx, drill);
  const endsAtMs = drill.endsAt.getTime();
  const step = (touched: Touched | null) => drillStep({ nowMs: ctx.deps.clock.nowMs(), endsAtMs, touched, proof });
  if (step(await touchedSince(db, drill)).kind === "wait") return;
  await change(ctx, drill.environmentId, async (open) => {
    const now = step(await touchedSince(open.tx, drill));
    if (now.kind === "wait") return;
    const ended = await open.tx
      .update(drills)
      .set({
        state: now.state,
        finishedAt: open.at,
        applied: proof?.applied ?? null,
        live: proof?.live ?? null,
        lastMs: proof?.lastMs ?? null,
        missing: [...(proof?.missing ?? [])],
        note: now.note,
      })
      .where(and(eq(drills.id, drill.id), eq(drills.state, "running")))
      .returning({ id: drills.id });
    if (ended.length === 0) return;
    if (now.restores) await restoreOwn(ctx, open, drill);
    const { state, note } = now;
    await open.note({
      action: "drill.ended",
      target: drill.flag,
      reason: note,
      after: { state, applied: proof?.applied ?? null, live: proof?.live ?? null, by: drill.by },
    });
  });
}

/** Ends the drill's own kill: trips, levels and the ramp that it had stay as they are. */
async function restoreOwn(ctx: Ctx, open: Change, drill: DrillRow): Promise<void> {
  const { flag, around } = await requireFlagAndAround(open.tx, open.environment, drill.flag);
  const reason = "Drill over";
  const before = stateOf(flag);
  const restored = restore(switchOf(flag), { reason, by: ctx.actor.name, ramp: flag.ramp, at: open.at });
  const row = await writeState(open, flag, { ...before, ...switchColumns(restored) }, around);
  patchFlag(open, row);
  await open.record({ action: "flag.restored", target: drill.flag, reason, before, after: stateOf(row) });
}

/** Null when the receipts of its kill are gone: another lineage, or too many changes since. */
async function proofOfDrill(ctx: Ctx, drill: DrillRow): Promise<Answered | null> {
  const rows = await ctx.deps.db.select().from(environments).where(eq(environments.id, drill.environmentId));
  const [environment] = rows;
  const { lineage, revision } = drill;
  if (environment === undefined || lineage === null || revision === null) return null;
  const served = ctx.deps.snapshots.current(environment.id);
  if (served?.lineage !== lineage || environment.revision - revision >= REVISIONS_KEPT) return null;
  const receipts = await getReceipts(ctx, environment.key, `${lineage}.${String(revision)}`);
  const { applied, live, stragglers, lostInstances, lastMs, notCounted } = receipts;
  const missing = [...new Set([...stragglers.map(({ instance }) => instance), ...lostInstances])];
  return {
    applied,
    live,
    missing: missing.slice(0, MISSING_MAX),
    hasUncounted: notCounted.length > 0,
    lastMs: lastMs === null ? null : Math.round(lastMs),
  };
}

const TOUCHES: Readonly<Partial<Record<Action, Touched["how"]>>> = {
  "flag.killed": "killed",
  "flag.restored": "restored",
  "flag.deleted": "deleted",
};

/** What happened to the switch since the drill's own kill; a restore outweighs a kill. */
async function touchedSince(db: Db, drill: DrillRow): Promise<Touched | null> {
  const rows = await db
    .select({ action: audit.action, actor: audit.actor })
    .from(audit)
    .where(
      and(
        eq(audit.environmentId, drill.environmentId),
        eq(audit.targetKind, "flag"),
        eq(audit.target, drill.flag),
        gt(audit.id, drill.auditId ?? 0),
        inArray(audit.action, Object.keys(TOUCHES)),
      ),
    )
    .orderBy(audit.id);
  const touched = rows.flatMap(({ action, actor }): Touched[] => {
    const how = isAction(action) ? TOUCHES[action] : undefined;
    return how === undefined ? [] : [{ how, by: actor.name }];
  });
  return touched.find(({ how }) => how !== "killed") ?? touched[0] ?? null;
}
