/** Defining flags: list, read, create, edit, delete. What turns them off and on is in `switches.ts`. */
import { forgetWatches } from "../watches/watches.ts";
import { and, asc, eq } from "drizzle-orm";
import { requireEnvironment } from "../../authorize.ts";
import { change, type Changed } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { budgets } from "../../db/schema/budgets.ts";
import { chains, flags } from "../../db/schema/state.ts";
import type { Db, EnvironmentRow, FlagRow } from "../../db/types.ts";
import { type Evaluations, flagInForce, type Surroundings } from "../../domain/flag.ts";
import { flagResource } from "./resource.ts";
import { didYouMean } from "../../domain/did-you-mean.ts";
import { FLAG_KEY_PATTERN, MAX_FLAGS_PER_ENVIRONMENT } from "../../domain/limits.ts";
import { OTHER } from "../../domain/other.ts";
import type { FlagResource, FlagDefinition, FlagEdit, NewFlag } from "../../api/flag.ts";
import { same } from "../../domain/same.ts";
import { AppError, invalid } from "../../errors.ts";
import { evaluationsColumn, forgetEvaluations, readEvaluations } from "./evaluations.ts";
import { one, requireRoom } from "../shared/one.ts";
import { requireMatch } from "../shared/if-match.ts";
import { withSentModels } from "./sent-models.ts";
import { readSurroundings, surroundingColumns, surroundingsOf } from "./surroundings.ts";
import { endTripsOfDeleted, endTripsOfTags, tripNewcomers } from "../trips/trips.ts";

const SALT_BYTES = 12;
const TOO_MANY = `An environment holds at most ${MAX_FLAGS_PER_ENVIRONMENT} flags. Delete unused ones.`;

const DEFINITION_FIELDS = new Set<string>([
  "name",
  "description",
  "owner",
  "runbookUrl",
  "chain",
  "offMode",
  "offMessage",
  "abortInFlight",
  "clampMaxTokens",
  "chainOnly",
  "limits",
  "maxInputBytes",
  "maxOutputTokens",
  "tags",
  "rules",
  "rollout",
] satisfies (keyof FlagDefinition)[]);

/** All flags of an environment, by key. */
export async function listFlags(
  ctx: Ctx,
  environmentKey: string,
): Promise<{ items: FlagResource[]; revision: string }> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const items = await read(ctx, async (db) => {
    const rows = await db.select().from(flags).where(eq(flags.environmentId, environment.id)).orderBy(asc(flags.key));
    const around = await readSurroundings(db, environment);
    const evaluations = await readEvaluations(db, environment.id);
    const resources = rows.map((row) => flagResource(row, around, evaluations.get(row.key)));
    return withSentModels(ctx, db, environment, resources, around);
  });
  return {
    items,
    revision: ctx.deps.snapshots.revisionOf(environment.id, environment.revision),
  };
}

export async function getFlag(ctx: Ctx, environmentKey: string, key: string): Promise<FlagResource> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  return read(ctx, async (db) => {
    const { flag, around, evaluations } = await requireFlagAndAround(db, environment, key);
    const resource = flagResource(flag, around, evaluations);
    const [shown = resource] = await withSentModels(ctx, db, environment, [resource], around);
    return shown;
  });
}

/** Creates a flag, switched on, unless a budget that it belongs to is reached already. CONFLICT when the key is taken. */
export async function createFlag(ctx: Ctx, environmentKey: string, input: NewFlag): Promise<Changed<FlagResource>> {
  const environment = await requireEnvironment(ctx, environmentKey, "admin");
  if (input.key === OTHER)
    throw invalid("key", `"${OTHER}" is what unknown names are counted under; choose another key`);
  return change(ctx, environment.id, async (open) => {
    const { tx, at, record } = open;
    const flagCount = await tx.$count(flags, eq(flags.environmentId, environment.id));
    requireRoom(flagCount + 1, MAX_FLAGS_PER_ENVIRONMENT, TOO_MANY);
    await requireChain(tx, environment.id, input.chain);
    const rows = await tx
      .insert(flags)
      .values({
        ...defined(input),
        key: input.key,
        name: input.name,
        environmentId: environment.id,
        salt: input.salt ?? ctx.deps.newSecret(SALT_BYTES),
        since: at,
        createdAt: at,
        updatedAt: at,
        by: ctx.actor.name,
      })
      .onConflictDoNothing()
      .returning();
    const row = one(rows, `There is a flag "${input.key}" already. Choose another key, or edit that flag.`, "CONFLICT");
    await record({
      action: "flag.created",
      target: row.key,
      after: definitionOf(row),
    });
    await tripNewcomers(ctx, open, [row.key]);
    return resourceOf(tx, environment, row.key);
  });
}

/** Edits the definition of a flag; the switch is not touched. */
export async function updateFlag(
  ctx: Ctx,
  environmentKey: string,
  key: string,
  patch: FlagEdit,
  ifMatch?: string,
): Promise<Changed<FlagResource>> {
  const environment = await requireEnvironment(ctx, environmentKey, "admin");
  return change(ctx, environment.id, async (open) => {
    const { tx, at, environment: locked, record } = open;
    const current = await requireFlag(tx, environment.id, key);
    requireMatch(ifMatch, current.version);
    await requireChain(tx, environment.id, patch.chain);
    const next = { ...definitionOf(current), ...defined(patch) };
    if (same(next, definitionOf(current))) return resourceOf(tx, locked, key);
    // Held to its chain or let out of it, other models are sent from now on.
    const moved = next.chainOnly === current.chainOnly ? {} : { standingRevision: open.revision };
    const row = await writeFlag(tx, current, { ...next, ...moved, updatedAt: at });
    await record({
      action: "flag.edited",
      target: key,
      before: definitionOf(current),
      after: definitionOf(row),
    });
    if (!same(row.tags, current.tags)) await endTripsOfTags(ctx, open, key, row.tags);
    if (row.chain !== current.chain || !same(row.tags, current.tags)) await tripNewcomers(ctx, open, [key]);
    return resourceOf(tx, locked, key);
  });
}

/**
 * Deletes a flag that is on. One that is off stays: clients whose `onUnknown` is "on" would serve again. Answers with its
 * budgets, which stay.
 */
export async function deleteFlag(
  ctx: Ctx,
  environmentKey: string,
  key: string,
  ifMatch?: string,
): Promise<Changed<BudgetName[]>> {
  const environment = await requireEnvironment(ctx, environmentKey, "admin");
  return change(ctx, environment.id, async (open) => {
    const { tx, record } = open;
    const current = await requireFlag(tx, environment.id, key);
    requireMatch(ifMatch, current.version);
    if (flagInForce(current, await readSurroundings(tx, environment)).state === "off") {
      throw new AppError(
        "CONFLICT",
        `The flag "${key}" is off. Deleting it would turn the feature on again wherever clients follow their default for unknown flags. Restore it first.`,
      );
    }
    await tx.delete(flags).where(isFlag(environment.id, key));
    await forgetEvaluations(tx, environment.id, key);
    await forgetWatches(open, key);
    await endTripsOfDeleted(ctx, open, key);
    await record({
      action: "flag.deleted",
      target: key,
      before: definitionOf(current),
    });
    return budgetsOfFlag(tx, environment.id, key);
  });
}

export interface BudgetName {
  id: string;
  name: string;
}

/** Budgets of this flag alone: they outlive it. */
export async function budgetsOfFlag(db: Db, environmentId: string, key: string): Promise<BudgetName[]> {
  return db
    .select({ id: budgets.id, name: budgets.name })
    .from(budgets)
    .where(and(eq(budgets.environmentId, environmentId), eq(budgets.flag, key)))
    .orderBy(asc(budgets.name));
}

/** The flag's row; NOT_FOUND when there is none. */
export async function requireFlag(db: Db, environmentId: string, key: string): Promise<FlagRow> {
  const [row] = isFlagKey(key) ? await db.select().from(flags).where(isFlag(environmentId, key)) : [];
  if (row === undefined) throw await noSuchFlag(db, environmentId, key);
  return row;
}

/** The flag's row with what decides about it and its evaluations, in one statement. NOT_FOUND when there is none. */
export async function requireFlagAndAround(
  db: Db,
  environment: EnvironmentRow,
  key: string,
): Promise<{ flag: FlagRow; around: Surroundings; evaluations: Evaluations | undefined }> {
  const [row] = isFlagKey(key)
    ? await db
        .select({
          flag: flags,
          ...surroundingColumns(environment.id),
          evaluations: evaluationsColumn(environment.id, key),
        })
        .from(flags)
        .where(isFlag(environment.id, key))
    : [];
  if (row === undefined) throw await noSuchFlag(db, environment.id, key);
  return { flag: row.flag, around: surroundingsOf(environment, row), evaluations: row.evaluations[0] };
}

/** The same without what decides about it. */
export async function requireFlagAndEvaluations(
  db: Db,
  environmentId: string,
  key: string,
): Promise<{ flag: FlagRow; evaluations: Evaluations | undefined }> {
  const [row] = isFlagKey(key)
    ? await db
        .select({ flag: flags, evaluations: evaluationsColumn(environmentId, key) })
        .from(flags)
        .where(isFlag(environmentId, key))
    : [];
  if (row === undefined) throw await noSuchFlag(db, environmentId, key);
  return { flag: row.flag, evaluations: row.evaluations[0] };
}

/** What is no key is not asked for: the database refuses some texts (NUL) with an error of its own. */
function isFlagKey(key: string): boolean {
  return FLAG_KEY_PATTERN.test(key);
}

function isFlag(environmentId: string, key: string) {
  return and(eq(flags.environmentId, environmentId), eq(flags.key, key));
}

async function noSuchFlag(db: Db, environmentId: string, key: string): Promise<AppError> {
  const rows = await db.select({ key: flags.key }).from(flags).where(eq(flags.environmentId, environmentId));
  const meant = didYouMean(
    key,
    rows.map((row) => row.key),
  );
  return new AppError("NOT_FOUND", `There is no flag "${key}" in this environment${meant === "" ? "." : meant}`);
}

/** INVALID at `path` unless a flag of the environment has this tag: what is about a tag that none has is about nothing. */
export async function requireTag(db: Db, environmentId: string, tag: string, path: string): Promise<void> {
  const rows = await db.select({ tags: flags.tags }).from(flags).where(eq(flags.environmentId, environmentId));
  const known = new Set(rows.flatMap(({ tags }) => tags));
  if (known.has(tag)) return;
  const meant = didYouMean(tag, known);
  throw invalid(path, `no flag has the tag "${tag}"${meant === "" ? "; give it to a flag first" : meant}`);
}

/** Writes columns of a flag under the environment's lock and counts its version up. */
export async function writeFlag(tx: Db, current: FlagRow, columns: Partial<FlagRow>): Promise<FlagRow> {
  const rows = await tx
    .update(flags)
    .set({ ...columns, version: current.version + 1 })
    .where(isFlag(current.environmentId, current.key))
    .returning();
  return one(rows, `The flag "${current.key}" was deleted meanwhile.`, "CONFLICT");
}

export async function resourceOf(db: Db, environment: EnvironmentRow, key: string): Promise<FlagResource> {
  const { flag, around, evaluations } = await requireFlagAndAround(db, environment, key);
  return flagResource(flag, around, evaluations);
}

/** The part of a flag that people edit. */
export function definitionOf(flag: FlagDefinition): FlagDefinition {
  return {
    name: flag.name,
    description: flag.description,
    owner: flag.owner,
    runbookUrl: flag.runbookUrl,
    chain: flag.chain,
    offMode: flag.offMode,
    offMessage: flag.offMessage,
    abortInFlight: flag.abortInFlight,
    clampMaxTokens: flag.clampMaxTokens,
    chainOnly: flag.chainOnly,
    limits: flag.limits,
    maxInputBytes: flag.maxInputBytes,
    maxOutputTokens: flag.maxOutputTokens,
    tags: flag.tags,
    rules: flag.rules,
    rollout: flag.rollout,
  };
}

/** The editable fields that are present: an absent one means "as it is", and nothing else may slip in. */
function defined(patch: FlagEdit): FlagEdit {
  return Object.fromEntries(
    Object.entries(patch).filter(([field, value]) => DEFINITION_FIELDS.has(field) && value !== undefined),
  );
}

async function requireChain(tx: Db, environmentId: string, name: string | null | undefined): Promise<void> {
  if (name === null || name === undefined) return;
  const rows = await tx.select({ name: chains.name }).from(chains).where(eq(chains.environmentId, environmentId));
  const names = rows.map((row) => row.name);
  if (names.includes(name)) return;
  throw invalid("chain", `there is no chain "${name}"${didYouMean(name, names) || "; create it first"}`);
}
