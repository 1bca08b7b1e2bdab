/** The cord, a notch at a time: the first step of a flag's chain that may be used. A `kill` token only goes further down. */
import type { NameOf } from "../../../sdk-client/src/evaluate/model-names.ts";
import { requireEnvironmentId } from "../../authorize.ts";
import { type Change, undoableChange } from "../../change.ts";
import type { FlagRow } from "../../db/types.ts";
import type { Ctx } from "../../deps.ts";
import { didYouMean } from "../../domain/did-you-mean.ts";
import { flagInForce, levelColumns, manualLevelOf, stepsOf, type Surroundings } from "../../domain/flag.ts";
import { later, type ManualLevel, resolveLevel, sameMoment } from "../../domain/switch.ts";
import { AppError, invalid } from "../../errors.ts";
import { requireFlagAndAround } from "./flags.ts";
import { flagResource } from "./resource.ts";
import { patchFlag, sameState, stateOf, type Switched, writeState } from "./switches.ts";

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
  const environmentId = await requireEnvironmentId(ctx, environmentKey, "tighten");
  return undoableChange(ctx, environmentId, async (open) => {
    const served = await requireFlagAndAround(open.tx, open.environment, key);
    const { row, auditId } = await stepDown(ctx, open, served, input);
    if (auditId !== null) patchFlag(open, row);
    return { value: flagResource(row, served.around, served.evaluations), auditId };
  });
}

/** Writes a downgrade and its audit entry; `auditId` is null when nothing changes. The caller patches the snapshot. */
export async function stepDown(
  ctx: Ctx,
  open: Change,
  { flag, around }: { flag: FlagRow; around: Surroundings },
  input: { level?: number; model?: string; reason: string | null; until: Date | null },
): Promise<{ row: FlagRow; auditId: number | null }> {
  const { reason, until } = input;
  const models = stepsOf(flag, around).map((step) => step.model);
  if (models.length === 0)
    throw invalid("level", `the flag "${flag.key}" has no chain to step down; kill it, or give it a chain`);
  const level = targetLevel(input, models, flagInForce(flag, around).level, around.models.nameOf);
  const wanted = { level, model: models[level] ?? "", reason, until, by: ctx.actor.name, since: open.at };
  const current = manualLevelOf(flag);
  const now = resolveLevel(current, models, around.models.nameOf);
  const next = ctx.actor.kind === "kill" ? tightened(current, wanted, now) : nextLevel(current, wanted, now);
  const before = stateOf(flag);
  const after = { ...before, ...levelColumns(next) };
  if (sameState(before, after)) return { row: flag, auditId: null };
  const row = await writeState(open, flag, after, around);
  const auditId = await open.record({
    action: "flag.downgraded",
    target: flag.key,
    reason,
    before,
    after: stateOf(row),
  });
  return { row, auditId };
}

function targetLevel(
  input: { level?: number; model?: string },
  models: readonly string[],
  now: number,
  nameOf: NameOf,
): number {
  const last = models.length - 1;
  if (input.model !== undefined) {
    const meant = nameOf(input.model);
    const level = models.findIndex((model) => nameOf(model) === meant);
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

/** The manual level after a downgrade; the current one when nothing but the asker differs. */
function nextLevel(current: ManualLevel | null, wanted: ManualLevel, now: number): ManualLevel | null {
  if (wanted.level === 0) return null;
  if (current === null || now !== wanted.level) return wanted;
  const { until } = wanted;
  const reworded = wanted.reason !== null && wanted.reason !== current.reason;
  if (!reworded) return sameMoment(current.until, until) ? current : { ...current, until };
  return { ...current, until, reason: wanted.reason, by: wanted.by };
}

/** The same by a `kill` token: never a lower level, an earlier end or another's reason reworded. */
function tightened(current: ManualLevel | null, wanted: ManualLevel, now: number): ManualLevel | null {
  const { level } = wanted;
  if (level < now) {
    throw new AppError(
      "FORBIDDEN",
      `A kill token only tightens: the flag is at level ${now}, ${level} would be lower.`,
    );
  }
  const isFurther = current === null || now === 0;
  const until = isFurther ? wanted.until : later(current.until, wanted.until);
  return nextLevel(current, { ...wanted, until, reason: now === level ? null : wanted.reason }, now);
}
