/** The master switch: every flag of the environment at once. It does not touch the flags' own switches. */
import { eq } from "drizzle-orm";
import { requireEnvironment, requireEnvironmentId } from "../../authorize.ts";
import { change, type Changed } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { environments } from "../../db/schema/state.ts";
import type { EnvironmentRow } from "../../db/types.ts";
import type { MasterResource } from "../../api/master.ts";
import { restore, type Switch } from "../../domain/switch.ts";
import { AppError } from "../../errors.ts";
import { killByHand } from "./kill-by-hand.ts";
import { darken } from "./standings.ts";

export type MasterSwitched = Changed<MasterResource> & { auditId: number | null };

export async function getMaster(ctx: Ctx, environmentKey: string): Promise<MasterResource & { revision: string }> {
  const row = await requireEnvironment(ctx, environmentKey, "viewer");
  return { ...masterResource(row), revision: ctx.deps.snapshots.revisionOf(row.id, row.revision) };
}

/** Turns every flag of the environment off. Like a kill, it only ever tightens. */
export async function killMaster(
  ctx: Ctx,
  environmentKey: string,
  input: { reason: string | null; until: Date | null },
): Promise<MasterSwitched> {
  return switchMaster(ctx, environmentKey, "tighten", "master.killed", input.reason, (current, at) =>
    killByHand(ctx, current, input, at),
  );
}

/** Lifts the master switch only: flags that are off stay off. */
export async function restoreMaster(
  ctx: Ctx,
  environmentKey: string,
  input: { reason: string },
): Promise<MasterSwitched> {
  return switchMaster(ctx, environmentKey, "operator", "master.restored", input.reason, (current, at) =>
    restore(current, { reason: input.reason, by: ctx.actor.name, ramp: null, at }),
  );
}

async function switchMaster(
  ctx: Ctx,
  environmentKey: string,
  need: "tighten" | "operator",
  action: string,
  reason: string | null,
  next: (current: Switch, at: Date) => Switch,
): Promise<MasterSwitched> {
  const environmentId = await requireEnvironmentId(ctx, environmentKey, need);
  let auditId: number | null = null;
  const changed = await change(ctx, environmentId, async (open) => {
    const { tx, at, environment: locked, record, note } = open;
    const current = masterOf(locked);
    const value = next(current, at);
    if (value === current) {
      if (action === "master.killed") {
        const [before, after] = [masterColumns(current), masterColumns(value)];
        await note({ action, targetKind: "master", target: locked.key, reason, before, after });
      }
      return masterResource(locked);
    }
    const rows = await tx
      .update(environments)
      .set(masterColumns(value))
      .where(eq(environments.id, locked.id))
      .returning();
    const row = rows[0];
    if (row === undefined) throw new AppError("NOT_FOUND", "The environment is gone.");
    if (value.state === "off") {
      await darken(tx, locked.id, at, open.revision);
      open.patch((served) => ({
        ...served,
        environment: { ...served.environment, ...masterColumns(value) },
      }));
    }
    auditId = await record({
      action,
      targetKind: "master",
      target: locked.key,
      reason,
      before: masterColumns(current),
      after: masterColumns(value),
    });
    return masterResource(row);
  });
  return { ...changed, auditId };
}

export function masterOf(row: EnvironmentRow): Switch {
  const { masterReason: reason, masterBy: by, masterSince: since } = row;
  return row.masterState === "on"
    ? { state: "on", reason, by, since, ramp: null }
    : { state: "off", cause: "manual", reason, by, since, until: row.masterUntil, ramp: null };
}

export function masterColumns(value: Switch) {
  return {
    masterState: value.state,
    masterReason: value.reason,
    masterBy: value.by,
    masterSince: value.since,
    masterUntil: value.state === "off" ? value.until : null,
  };
}

export function masterResource(row: EnvironmentRow): MasterResource {
  return {
    state: row.masterState,
    reason: row.masterReason,
    by: row.masterBy,
    since: row.masterSince.toISOString(),
    until: row.masterUntil?.toISOString() ?? null,
  };
}
