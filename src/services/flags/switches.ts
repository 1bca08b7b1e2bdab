/**
 * The cord: kill and restore one flag. A kill never asks for a version and, by a `kill` token, never loosens anything.
 */
import { requireEnvironmentId } from "../../authorize.ts";
import { type Change, type Changed, type Undoable, undoableChange } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import type { FlagRow } from "../../db/types.ts";
import {
  flagInForce,
  type FlagState,
  levelColumns,
  manualLevelOf,
  settled,
  type Surroundings,
  switchColumns,
  switchOf,
} from "../../domain/flag.ts";
import type { FlagResource } from "../../api/flag.ts";
import { same } from "../../domain/same.ts";
import { killByHand, restore, type Switch } from "../../domain/switch.ts";
import { requireMatch } from "../shared/if-match.ts";
import { overrideTrips, requireNotReserved } from "../trips/trips.ts";
import { requireFlagAndAround, requireFlagAndEvaluations, writeFlag } from "./flags.ts";
import { flagResource } from "./resource.ts";
import { readSurroundings, surroundingsOf } from "./surroundings.ts";

export type Switched = Changed<FlagResource> & Undoable<FlagResource>;

/** Turns a flag off. Killing one that is off can only make `until` later or add a reason. */
export async function killFlag(
  ctx: Ctx,
  environmentKey: string,
  key: string,
  input: { reason: string | null; until: Date | null },
): Promise<Switched> {
  const environmentId = await requireEnvironmentId(ctx, environmentKey, "tighten");
  return undoableChange(ctx, environmentId, async (open) => {
    const served = await flagAsServed(ctx, open, key);
    const { around, evaluations } = served;
    const { row, auditId } = await turnOff(
      open,
      served,
      killByHand(switchOf(served.flag), ctx.actor, input, open.at),
      input.reason,
    );
    if (auditId !== null) patchFlag(open, row);
    return { value: flagResource(row, around, evaluations), auditId };
  });
}

/** Writes a kill and its audit entry, a note of it when the flag is off already. The caller patches the snapshot. */
export async function turnOff(
  open: Change,
  { flag, around }: { flag: FlagRow; around: Surroundings },
  killed: Switch,
  reason: string | null,
): Promise<{ row: FlagRow; auditId: number | null }> {
  const before = stateOf(flag);
  const after = { ...before, ...switchColumns(killed) };
  const entry = { action: "flag.killed", target: flag.key, reason, before } as const;
  if (sameState(before, after)) {
    await open.note({ ...entry, after });
    return { row: flag, auditId: null };
  }
  const row = await writeState(open, flag, after, around);
  return { row, auditId: await open.record({ ...entry, after: stateOf(row) }) };
}

/**
 * Turns a flag on again, at `ramp` percent if given. The level stays: quality is a second decision. A flag that is on
 * goes back to full quality and no ramp. Trips in force are overridden.
 * CONFLICT while a budget that reserves has turned it off.
 */
export async function restoreFlag(
  ctx: Ctx,
  environmentKey: string,
  key: string,
  input: { reason: string; ramp?: number | null },
  ifMatch?: string,
): Promise<Switched> {
  const environmentId = await requireEnvironmentId(ctx, environmentKey, "operator");
  const { reason, ramp = null } = input;
  return undoableChange(ctx, environmentId, async (open) => {
    const { flag, around, evaluations } = await requireFlagAndAround(open.tx, open.environment, key);
    requireMatch(ifMatch, flag.version);
    const on = await turnOn(ctx, open, { flag, around }, { reason, ramp });
    if (on.auditId !== null && !on.overridden) patchFlag(open, on.row);
    return { value: flagResource(on.row, on.around, evaluations), auditId: on.auditId };
  });
}

/**
 * Writes a restore with its audit entry and overrides the trips in force, which move more than this flag's row. When there
 * are none the caller may patch the snapshot. CONFLICT while a budget that reserves has turned it off.
 */
export async function turnOn(
  ctx: Ctx,
  open: Change,
  { flag, around }: { flag: FlagRow; around: Surroundings },
  { reason, ramp }: { reason: string; ramp: number | null },
): Promise<{ row: FlagRow; around: Surroundings; overridden: boolean; auditId: number | null }> {
  await requireNotReserved(open.tx, open.environment.id, flag.key);
  const before = stateOf(flag);
  const restored = restore(switchOf(flag), { reason, by: ctx.actor.name, ramp, at: open.at });
  const level = flagInForce(flag, around).state === "on" ? null : manualLevelOf(flag);
  const after = { ...before, ...switchColumns(restored), ...levelColumns(level) };
  const overridden = await overrideTrips(ctx, open, { flag: flag.key, killed: flag.state === "off", reason });
  if (!overridden && sameState(before, after)) return { row: flag, around, overridden, auditId: null };
  const aroundNow = overridden ? await readSurroundings(open.tx, open.environment) : around;
  const row = await writeState(open, flag, after, aroundNow);
  const auditId = await open.record({
    action: "flag.restored",
    target: flag.key,
    reason,
    before,
    after: stateOf(row),
  });
  return { row, around: aroundNow, overridden, auditId };
}

/** The flag and what decides about it: of the snapshot, when that is of the state before the change. */
async function flagAsServed(ctx: Ctx, { tx, environment, lineage }: Change, key: string) {
  const served = ctx.deps.snapshots.current(environment.id);
  if (served?.revision !== `${lineage}.${environment.revision}`) return requireFlagAndAround(tx, environment, key);
  return {
    ...(await requireFlagAndEvaluations(tx, environment.id, key)),
    around: surroundingsOf(environment, served.rows),
  };
}

/** Writes a flag's switch and level, and its standing with them. */
export async function writeState(
  { tx, at, revision }: Change,
  flag: FlagRow,
  state: FlagState,
  around: Surroundings,
): Promise<FlagRow> {
  return writeFlag(tx, flag, { ...state, ...settled({ ...flag, ...state }, around, at, revision) });
}

/** Says that nothing of the snapshot changes but this flag, whose standing is settled. */
export function patchFlag(open: Change, row: FlagRow): void {
  open.patch((rows) => ({ ...rows, flags: rows.flags.map((flag) => (flag.key === row.key ? row : flag)) }));
}

/** The columns of a switch and a level: what the audit keeps and an undo compares. */
export function stateOf(row: FlagState): FlagState {
  return {
    state: row.state,
    cause: row.cause,
    reason: row.reason,
    by: row.by,
    since: row.since,
    until: row.until,
    ramp: row.ramp,
    levelModel: row.levelModel,
    level: row.level,
    levelReason: row.levelReason,
    levelBy: row.levelBy,
    levelSince: row.levelSince,
    levelUntil: row.levelUntil,
  };
}

export function sameState(a: FlagState, b: FlagState): boolean {
  return same(stateOf(a), stateOf(b));
}
