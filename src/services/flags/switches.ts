/**
 * The cord: kill, restore and downgrade one flag. A kill or downgrade never asks for a version and, by a `kill`
 * token, never loosens anything.
 */
import { canonicalModel } from "../../../sdk-client/src/evaluate/model-id.ts";
import { requireEnvironmentId } from "../../authorize.ts";
import { type Change, change, type Changed } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import type { FlagRow } from "../../db/types.ts";
import {
  flagInForce,
  levelColumns,
  manualLevelOf,
  settled,
  switchColumns,
  switchOf,
  type FlagState,
  type Surroundings,
} from "../../domain/flag.ts";
import { flagResource } from "./resource.ts";
import { didYouMean } from "../../domain/did-you-mean.ts";
import type { FlagResource } from "../../api/flag.ts";
import { later, type ManualLevel, resolveLevel, restore, sameMoment } from "../../domain/switch.ts";
import { AppError, invalid } from "../../errors.ts";
import { requireFlagAndAround, requireFlagAndChecks, writeFlag } from "./flags.ts";
import { requireMatch } from "../shared/if-match.ts";
import { killByHand } from "./kill-by-hand.ts";
import { readSurroundings, surroundingsOf } from "./surroundings.ts";
import { overrideTrips } from "../trips/trips.ts";

/** A change that can be undone by its audit id; null when nothing changed. */
export type Switched = Changed<FlagResource> & { auditId: number | null };

/** Turns a flag off. Killing one that is off can only make `until` later or add a reason. */
export async function killFlag(
  ctx: Ctx,
  environmentKey: string,
  key: string,
  input: { reason: string | null; until: Date | null },
): Promise<Switched> {
  return switchFlag(
    ctx,
    environmentKey,
    key,
    "tighten",
    "flag.killed",
    input.reason,
    (row, _around, at) => {
      const next = killByHand(ctx, switchOf(row), input, at);
      return { ...stateOf(row), ...switchColumns(next) };
    },
    { aroundAsServed: true },
  );
}

/**
 * Turns a flag on again, at `ramp` percent if given. The level stays: quality is a second decision. A flag that is on
 * goes back to full quality and no ramp.
 */
export async function restoreFlag(
  ctx: Ctx,
  environmentKey: string,
  key: string,
  input: { reason: string; ramp?: number | null },
  ifMatch?: string,
): Promise<Switched> {
  return switchFlag(
    ctx,
    environmentKey,
    key,
    "operator",
    "flag.restored",
    input.reason,
    (row, around, at) => {
      const next = restore(switchOf(row), { reason: input.reason, by: ctx.actor.name, ramp: input.ramp ?? null, at });
      const level = flagInForce(row, around).state === "on" ? null : manualLevelOf(row);
      return { ...stateOf(row), ...switchColumns(next), ...levelColumns(level) };
    },
    { ifMatch, overridesTrips: true },
  );
}

/**
 * Sets the first step of the chain that may be used: by level, by model, or one further than now when neither is
 * given. Level 0 is full quality. INVALID when the chain has no such step.
 */
export async function downgradeFlag(
  ctx: Ctx,
  environmentKey: string,
  key: string,
  input: { level?: number; model?: string; reason: string | null; until: Date | null },
): Promise<Switched> {
  return switchFlag(ctx, environmentKey, key, "tighten", "flag.downgraded", input.reason, (row, around, at) => {
    const models = modelsOf(row, around);
    if (models.length === 0)
      throw invalid("level", `the flag "${key}" has no chain to step down; kill it, or give it a chain`);
    const level = targetLevel(input, models, flagInForce(row, around).level);
    const current = manualLevelOf(row);
    const now = resolveLevel(current, models);
    if (ctx.actor.kind === "kill" && level < now) {
      throw new AppError(
        "FORBIDDEN",
        `A kill token only tightens: the flag is at level ${now}, ${level} would be lower.`,
      );
    }
    const until =
      ctx.actor.kind === "kill" && current !== null && now > 0 ? later(current.until, input.until) : input.until;
    const next = nextLevel(
      current,
      {
        level,
        model: models[level] ?? "",
        until,
        reason: input.reason,
        by: ctx.actor.name,
        since: at,
      },
      now,
      ctx.actor.kind === "kill",
    );
    return { ...stateOf(row), ...levelColumns(next) };
  });
}

/** The manual level after a downgrade; the current one when nothing but the asker differs. */
function nextLevel(
  current: ManualLevel | null,
  wanted: ManualLevel,
  now: number,
  keepReason: boolean,
): ManualLevel | null {
  if (wanted.level === 0) return null;
  if (current === null || now !== wanted.level) return wanted;
  const reason = keepReason || wanted.reason === null ? current.reason : wanted.reason;
  if (sameMoment(current.until, wanted.until) && reason === current.reason) return current;
  return {
    ...current,
    until: wanted.until,
    reason,
    by: reason === current.reason ? current.by : wanted.by,
  };
}

function targetLevel(input: { level?: number; model?: string }, models: readonly string[], now: number): number {
  const last = models.length - 1;
  if (input.model !== undefined) {
    const meant = canonicalModel(input.model);
    const level = models.findIndex((model) => canonicalModel(model) === meant);
    if (level === -1) {
      const meantInstead = didYouMean(input.model, models);
      throw invalid("model", `"${input.model}" is not in the chain; it has ${models.join(", ")}${meantInstead}`);
    }
    return level;
  }
  const level = input.level ?? now + 1;
  if (level > last) {
    throw invalid(
      "level",
      input.level === undefined
        ? `the flag is at the last step of its chain (${models[last]}); kill it to go further`
        : `the chain has the levels 0 to ${last}`,
    );
  }
  return level;
}

function modelsOf(row: FlagRow, around: Surroundings): string[] {
  return row.chain === null ? [] : (around.chains.get(row.chain) ?? []).map((step) => step.model);
}

async function switchFlag(
  ctx: Ctx,
  environmentKey: string,
  key: string,
  need: "tighten" | "operator",
  action: string,
  reason: string | null,
  next: (row: FlagRow, around: Surroundings, at: Date) => FlagState,
  options: { ifMatch?: string | undefined; overridesTrips?: boolean; aroundAsServed?: boolean } = {},
): Promise<Switched> {
  const environmentId = await requireEnvironmentId(ctx, environmentKey, need);
  let auditId: number | null = null;
  const changed = await change(ctx, environmentId, async (open) => {
    const { tx, at } = open;
    const { flag: current, around: before, checks } = await flagAndAround(ctx, open, key, options.aroundAsServed);
    requireMatch(options.ifMatch, current.version);
    const state = next(current, before, at);
    const restored = { flag: key, killed: current.state === "off", reason };
    const overridden = options.overridesTrips === true && (await overrideTrips(ctx, open, restored));
    if (!overridden && sameState(stateOf(current), state)) {
      if (action === "flag.killed") {
        await open.note({ action, targetKind: "flag", target: key, reason, before: stateOf(current), after: state });
      }
      return flagResource(current, before, checks);
    }
    const around = overridden ? await readSurroundings(tx, open.environment) : before;
    const standing = settled({ ...current, ...state }, around, at, open.revision);
    const row = await writeFlag(tx, current, { ...state, ...standing });
    if (!overridden)
      open.patch((rows) => ({ ...rows, flags: rows.flags.map((flag) => (flag.key === key ? row : flag)) }));
    auditId = await open.record({
      action,
      targetKind: "flag",
      target: key,
      reason,
      before: stateOf(current),
      after: stateOf(row),
    });
    return flagResource(row, around, checks);
  });
  return { ...changed, auditId };
}

/** The flag and what decides about it: with `asServed` of the snapshot, when that is of the state before the change. */
async function flagAndAround(ctx: Ctx, { tx, environment, lineage }: Change, key: string, asServed = false) {
  const served = asServed ? ctx.deps.snapshots.current(environment.id) : undefined;
  if (served?.revision !== `${lineage}.${environment.revision}`) return requireFlagAndAround(tx, environment, key);
  return { ...(await requireFlagAndChecks(tx, environment.id, key)), around: surroundingsOf(environment, served.rows) };
}

/** The columns of a switch and a level, in a fixed order: what the audit keeps and an undo compares. */
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

function sameState(a: FlagState, b: FlagState): boolean {
  return JSON.stringify(stateOf(a)) === JSON.stringify(stateOf(b));
}
