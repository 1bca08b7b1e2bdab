/** The settings of an environment's watches: listed, set for all flags or for one, and taken back. */
import { and, eq } from "drizzle-orm";
import { type WatchInput, watchFault, type WatchResource } from "../../api/watch.ts";
import { requireEnvironment } from "../../authorize.ts";
import { type Change, change, type Changed } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { flags } from "../../db/schema/state.ts";
import { watchSettings } from "../../db/schema/watches.ts";
import { same } from "../../domain/same.ts";
import { DEFAULT_WATCHES, WATCH_KINDS, type WatchKind, type WatchSetting } from "../../domain/watch.ts";
import { AppError, invalid } from "../../errors.ts";
import { read } from "../../transaction.ts";
import { readSettings, settingOf, type SettingRow } from "./settings.ts";

/** Of each kind the environment's, then those of single flags. */
export async function listWatches(
  ctx: Ctx,
  environmentKey: string,
): Promise<{ items: WatchResource[]; revision: string }> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const { rows } = await read(ctx, (db) => readSettings(db, environment.id));
  const items = WATCH_KINDS.flatMap((kind) => {
    const own = rows.filter((row) => row.kind === kind);
    const ofFlags = own.filter(({ flag }) => flag !== "").toSorted((a, b) => (a.flag < b.flag ? -1 : 1));
    const whole = own.find(({ flag }) => flag === "");
    return [watchResource(kind, null, whole), ...ofFlags.map((row) => watchResource(kind, row.flag, row))];
  });
  return { items, revision: ctx.deps.snapshots.revisionOf(environment.id, environment.revision) };
}

/**
 * Sets what is given of a watch, of one flag or with null of all that have no setting of their own; the rest stays as it is in
 * force. INVALID for a figure out of its bounds.
 */
export async function putWatch(
  ctx: Ctx,
  environmentKey: string,
  { kind, flag, input }: { kind: WatchKind; flag: string | null; input: WatchInput },
): Promise<Changed<WatchResource>> {
  const environment = await requireEnvironment(ctx, environmentKey, "admin");
  return change(ctx, environment.id, async (open) => {
    const { tx, at, record } = open;
    if (flag !== null) await requireFlag(open, flag);
    const settings = await readSettings(tx, environment.id);
    const before = settings.of(kind, flag);
    const after: WatchSetting = { ...before, ...input };
    const fault = watchFault(kind, after);
    if (fault !== null) throw invalid(fault.path, fault.message);
    const known = settings.rows.find((row) => row.kind === kind && row.flag === (flag ?? ""));
    if (known !== undefined && same(settingOf(known), after)) return watchResource(kind, flag, known);
    const set = { ...after, changedBy: ctx.actor.name, changedAt: at };
    const row = { environmentId: environment.id, kind, flag: flag ?? "", ...set };
    await tx
      .insert(watchSettings)
      .values(row)
      .onConflictDoUpdate({ target: [watchSettings.environmentId, watchSettings.kind, watchSettings.flag], set });
    await record({ action: "watch.edited", target: targetOf(kind, flag), before, after });
    return watchResource(kind, flag, row);
  });
}

/** Takes a setting back: a flag's watch is the environment's again, the environment's the default. */
export async function resetWatch(
  ctx: Ctx,
  environmentKey: string,
  { kind, flag }: { kind: WatchKind; flag: string | null },
): Promise<Changed<null>> {
  const environment = await requireEnvironment(ctx, environmentKey, "admin");
  return change(ctx, environment.id, async ({ tx, record }) => {
    const own = and(
      eq(watchSettings.environmentId, environment.id),
      eq(watchSettings.kind, kind),
      eq(watchSettings.flag, flag ?? ""),
    );
    const [gone] = await tx.delete(watchSettings).where(own).returning();
    if (gone === undefined) throw new AppError("NOT_FOUND", "There is no such setting: the default counts already.");
    const after = (await readSettings(tx, environment.id)).of(kind, flag);
    await record({ action: "watch.edited", target: targetOf(kind, flag), before: settingOf(gone), after });
    return null;
  });
}

/** Within the change that deletes a flag. */
export async function forgetWatches({ tx, environment }: Change, flag: string): Promise<void> {
  await tx
    .delete(watchSettings)
    .where(and(eq(watchSettings.environmentId, environment.id), eq(watchSettings.flag, flag)));
}

async function requireFlag({ tx, environment }: Change, key: string): Promise<void> {
  const own = and(eq(flags.environmentId, environment.id), eq(flags.key, key));
  if ((await tx.$count(flags, own)) === 0) throw new AppError("NOT_FOUND", `There is no flag "${key}".`);
}

function targetOf(kind: WatchKind, flag: string | null): string {
  return flag === null ? kind : `${kind} of ${flag}`;
}

function watchResource(kind: WatchKind, flag: string | null, row: SettingRow | undefined): WatchResource {
  const setting = row === undefined ? DEFAULT_WATCHES[kind] : settingOf(row);
  return { kind, flag, ...setting, changedBy: row?.changedBy ?? null, changedAt: row?.changedAt.toISOString() ?? null };
}
