/** The master switch: every flag of the environment at once. It does not touch the flags' own switches. */
import { eq } from "drizzle-orm";
import { requireEnvironment, requireEnvironmentId } from "../../authorize.ts";
import { type Change, type Changed, type Undoable, undoableChange } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { environments } from "../../db/schema/state.ts";
import type { EnvironmentRow } from "../../db/types.ts";
import type { MasterResource } from "../../api/master.ts";
import { killByHand, restore, type Switch } from "../../domain/switch.ts";
import { one } from "../shared/one.ts";
import { settleAllOff } from "./settle-standing.ts";

export type MasterSwitched = Changed<MasterResource> & Undoable<MasterResource>;

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
  const environmentId = await requireEnvironmentId(ctx, environmentKey, "tighten");
  return undoableChange(ctx, environmentId, async (open) => {
    const { environment } = open;
    const current = masterOf(environment);
    const next = killByHand(current, ctx.actor, input, open.at);
    const [before, after] = [masterColumns(current), masterColumns(next)];
    const entry = {
      action: "master.killed",
      target: environment.key,
      reason: input.reason,
      before,
      after,
    } as const;
    if (next === current) {
      await open.note(entry);
      return { value: masterResource(environment), auditId: null };
    }
    const row = await writeMaster(open, next);
    await settleAllOff(open.tx, environmentId, open.at, open.revision);
    open.patch((served) => ({ ...served, environment: { ...served.environment, ...after } }));
    return { value: masterResource(row), auditId: await open.record(entry) };
  });
}

/** Lifts the master switch only: flags that are off stay off. */
export async function restoreMaster(
  ctx: Ctx,
  environmentKey: string,
  input: { reason: string },
): Promise<MasterSwitched> {
  const environmentId = await requireEnvironmentId(ctx, environmentKey, "operator");
  const { reason } = input;
  return undoableChange(ctx, environmentId, async (open) => {
    const { environment } = open;
    const current = masterOf(environment);
    const next = restore(current, { reason, by: ctx.actor.name, ramp: null, at: open.at });
    if (next === current) return { value: masterResource(environment), auditId: null };
    const row = await writeMaster(open, next);
    const auditId = await open.record({
      action: "master.restored",
      target: environment.key,
      reason,
      before: masterColumns(current),
      after: masterColumns(next),
    });
    return { value: masterResource(row), auditId };
  });
}

async function writeMaster({ tx, environment }: Change, value: Switch): Promise<EnvironmentRow> {
  const rows = await tx
    .update(environments)
    .set(masterColumns(value))
    .where(eq(environments.id, environment.id))
    .returning();
  return one(rows, "The environment is gone.");
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
