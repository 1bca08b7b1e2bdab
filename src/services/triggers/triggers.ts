/** Triggers as admins define them. What an alert does by one is in `receive.ts`. */
import { and, asc, eq } from "drizzle-orm";
import { requireEnvironment } from "../../authorize.ts";
import { change, type Changed } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { flags } from "../../db/schema/state.ts";
import { triggers } from "../../db/schema/triggers.ts";
import type { Db } from "../../db/types.ts";
import { didYouMean } from "../../domain/did-you-mean.ts";
import { MAX_TRIGGERS_PER_ENVIRONMENT, type TriggerAction, type TriggerSource } from "../../domain/trigger.ts";
import type { NewTrigger, TriggerEdit, TriggerResource } from "../../api/trigger.ts";
import { AppError, invalid } from "../../errors.ts";
import { requireMatch } from "../shared/if-match.ts";
import { one, requireRoom } from "../shared/one.ts";
import { requireTrigger, triggerResource, type TriggerRow } from "./rows.ts";

const TOO_MANY = `An environment holds at most ${MAX_TRIGGERS_PER_ENVIRONMENT} triggers. Delete unused ones.`;
/** Sources that sign what they send. The others send a token. */
const SIGNING: readonly TriggerSource[] = ["grafana", "pagerduty", "generic"];

/** All triggers of an environment, by name. */
export async function listTriggers(
  ctx: Ctx,
  environmentKey: string,
): Promise<{ items: TriggerResource[]; revision: string }> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const rows = await read(ctx, (db) =>
    db.select().from(triggers).where(eq(triggers.environmentId, environment.id)).orderBy(asc(triggers.name)),
  );
  return {
    items: rows.map((row) => triggerResource(row, ctx.deps.config.publicUrl)),
    revision: ctx.deps.snapshots.revisionOf(environment.id, environment.revision),
  };
}

/** One trigger; NOT_FOUND when the environment has none by the id. */
export async function getTrigger(ctx: Ctx, environmentKey: string, id: string): Promise<TriggerResource> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  return triggerResource(await read(ctx, (db) => requireTrigger(db, environment.id, id)), ctx.deps.config.publicUrl);
}

/** Adds a trigger. CONFLICT when the name is taken. */
export async function createTrigger(
  ctx: Ctx,
  environmentKey: string,
  input: NewTrigger,
): Promise<Changed<TriggerResource>> {
  const environment = await requireEnvironment(ctx, environmentKey, "admin");
  return change(ctx, environment.id, async ({ tx, at, record }) => {
    const count = await tx.$count(triggers, eq(triggers.environmentId, environment.id));
    requireRoom(count + 1, MAX_TRIGGERS_PER_ENVIRONMENT, TOO_MANY);
    const defined = {
      name: input.name,
      source: input.source,
      action: input.action,
      level: input.level ?? null,
      flags: [...new Set(input.flags)],
      tag: input.tag ?? null,
      expiresMinutes: input.expiresMinutes ?? null,
      paused: input.paused ?? false,
      secret: input.secret ?? null,
    };
    await requireSound(tx, environment.id, defined, null);
    const rows = await tx
      .insert(triggers)
      .values({ id: ctx.deps.newId(), environmentId: environment.id, ...defined, createdAt: at })
      .onConflictDoNothing()
      .returning();
    const row = one(rows, nameTaken(input.name), "CONFLICT");
    await record({ action: "trigger.created", target: row.name, after: auditOf(row) });
    return triggerResource(row, ctx.deps.config.publicUrl);
  });
}

/** Edits a trigger. What it has switched stays as it is. */
export async function updateTrigger(
  ctx: Ctx,
  environmentKey: string,
  id: string,
  patch: TriggerEdit,
  ifMatch?: string,
): Promise<Changed<TriggerResource>> {
  const environment = await requireEnvironment(ctx, environmentKey, "admin");
  return change(ctx, environment.id, async ({ tx, record }) => {
    const current = await requireTrigger(tx, environment.id, id);
    requireMatch(ifMatch, current.version);
    const defined = { ...current, ...patch, flags: [...new Set(patch.flags ?? current.flags)] };
    await requireSound(tx, environment.id, defined, current);
    if (defined.name !== current.name) await requireFreeName(tx, environment.id, defined.name);
    const rows = await tx
      .update(triggers)
      .set({ ...defined, version: current.version + 1 })
      .where(eq(triggers.id, id))
      .returning();
    const row = one(rows, "This trigger was deleted meanwhile.", "CONFLICT");
    await record({
      action: "trigger.edited",
      target: row.name,
      ...(row.secret !== current.secret && {
        reason: row.secret === null ? "no signing secret any more" : "new signing secret",
      }),
      before: auditOf(current),
      after: auditOf(row),
    });
    return triggerResource(row, ctx.deps.config.publicUrl);
  });
}

/** Deletes a trigger. What it has switched stays as it is. */
export async function deleteTrigger(
  ctx: Ctx,
  environmentKey: string,
  id: string,
  ifMatch?: string,
): Promise<Changed<null>> {
  const environment = await requireEnvironment(ctx, environmentKey, "admin");
  return change(ctx, environment.id, async ({ tx, record }) => {
    const current = await requireTrigger(tx, environment.id, id);
    requireMatch(ifMatch, current.version);
    await tx.delete(triggers).where(eq(triggers.id, id));
    await record({ action: "trigger.deleted", target: current.name, before: auditOf(current) });
    return null;
  });
}

interface Defined {
  source: TriggerSource;
  action: TriggerAction;
  level: number | null;
  flags: readonly string[];
  tag: string | null;
  secret: string | null;
}

async function requireSound(db: Db, environmentId: string, defined: Defined, before: TriggerRow | null): Promise<void> {
  const { source, action, level, tag, secret } = defined;
  if (action === "kill" && level !== null) throw invalid("level", "goes with the action downgrade");
  if (secret !== null && !SIGNING.includes(source))
    throw invalid("secret", `${source} signs nothing: have it send a kill token as Authorization: Bearer …`);
  if (tag !== null && defined.flags.length > 0) throw invalid("tag", "give flags or a tag, not both");
  const rows = await db
    .select({ key: flags.key, tags: flags.tags })
    .from(flags)
    .where(eq(flags.environmentId, environmentId));
  if (tag !== null) {
    const tags = [...new Set(rows.flatMap((row) => row.tags))];
    if (tag === before?.tag || tags.includes(tag)) return;
    throw invalid("tag", `no flag has the tag "${tag}"${didYouMean(tag, tags) || "; give it to a flag first"}`);
  }
  if (defined.flags.length === 0) throw invalid("flags", "must name a flag, or give a tag");
  const keys = rows.map((row) => row.key);
  // One that was deleted since does not stand in the way of an edit.
  const unknown = defined.flags.findIndex((key) => !keys.includes(key) && before?.flags.includes(key) !== true);
  const key = defined.flags[unknown];
  if (key !== undefined) throw invalid(`flags.${unknown}`, `there is no flag "${key}"${didYouMean(key, keys)}`);
}

async function requireFreeName(tx: Db, environmentId: string, name: string): Promise<void> {
  const taken = await tx.$count(triggers, and(eq(triggers.environmentId, environmentId), eq(triggers.name, name)));
  if (taken > 0) throw new AppError("CONFLICT", nameTaken(name));
}

function nameTaken(name: string): string {
  return `There is a trigger "${name}" already. Choose another name, or edit that trigger.`;
}

/** What the audit keeps: not the secret. */
function auditOf({ name, source, action, level, flags: keys, tag, expiresMinutes, paused }: TriggerRow) {
  return { name, source, action, level, flags: keys, tag, expiresMinutes, paused };
}
