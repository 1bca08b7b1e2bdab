/**
 * The cord of a tag: all flags that carry it, killed or restored in one change with one revision, so that one proof tells
 * whether it arrived. Each flag keeps its own switch and audit entry.
 */
import { and, arrayContains, asc, eq } from "drizzle-orm";
import { requireEnvironment, requireEnvironmentId } from "../../authorize.ts";
import { change, type Change, type Changed } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { flags } from "../../db/schema/state.ts";
import type { Db, FlagRow } from "../../db/types.ts";
import { flagInForce, switchOf } from "../../domain/flag.ts";
import { killByHand } from "../../domain/switch.ts";
import type { FlagResource } from "../../api/flag.ts";
import { didYouMean } from "../../domain/did-you-mean.ts";
import { AppError } from "../../errors.ts";
import { listFlags, resourceOf } from "./flags.ts";
import { readSurroundings } from "./surroundings.ts";
import { turnOff, turnOn } from "./switches.ts";

/** What became of the flags of a tag. */
export interface TagSwitched {
  tag: string;
  items: {
    flag: FlagResource;
    /** Null: it was so before. */
    auditId: number | null;
  }[];
  /** Flags that stay as they are, and why. */
  refused: { key: string; message: string }[];
}

/** The flags that carry a tag, by key. NOT_FOUND when none does. */
export async function flagsOfTag(
  ctx: Ctx,
  environmentKey: string,
  tag: string,
): Promise<{ tag: string; items: FlagResource[]; revision: string }> {
  await requireEnvironment(ctx, environmentKey, "viewer");
  const { items, revision } = await listFlags(ctx, environmentKey);
  const own = items.filter(({ tags }) => tags.includes(tag));
  if (own.length === 0) throw noSuchTag(tag, new Set(items.flatMap(({ tags }) => tags)));
  return { tag, items: own.toSorted((a, b) => (a.key < b.key ? -1 : 1)), revision };
}

/** Turns every flag of a tag off, all or none. Those that are off can only stay so for longer. NOT_FOUND without any. */
export async function killTag(
  ctx: Ctx,
  environmentKey: string,
  tag: string,
  input: { reason: string | null; until: Date | null },
): Promise<Changed<TagSwitched>> {
  const environmentId = await requireEnvironmentId(ctx, environmentKey, "tighten");
  return change(ctx, environmentId, async (open) => {
    const around = await readSurroundings(open.tx, open.environment);
    const done: Done[] = [];
    for (const flag of await requireFlags(open, tag)) {
      const killed = killByHand(switchOf(flag), ctx.actor, input, open.at);
      const { auditId } = await turnOff(open, { flag, around }, killed, input.reason);
      done.push({ key: flag.key, auditId });
    }
    return { tag, items: await asTheyAre(open, done), refused: [] };
  });
}

/**
 * Turns those flags of a tag on again that are off by a kill or a budget, as a restore of each would; the others are not
 * touched. What a budget that reserves holds off stays off and is named. NOT_FOUND when no flag has the tag.
 */
export async function restoreTag(
  ctx: Ctx,
  environmentKey: string,
  tag: string,
  { reason, ramp = null }: { reason: string; ramp?: number | null },
): Promise<Changed<TagSwitched>> {
  const environmentId = await requireEnvironmentId(ctx, environmentKey, "operator");
  return change(ctx, environmentId, async (open) => {
    let around = await readSurroundings(open.tx, open.environment);
    const done: Done[] = [];
    const refused: TagSwitched["refused"] = [];
    for (const flag of await requireFlags(open, tag)) {
      if (flagInForce(flag, around).state === "on") {
        done.push({ key: flag.key, auditId: null });
        continue;
      }
      try {
        const on = await turnOn(ctx, open, { flag, around }, { reason, ramp });
        around = on.around;
        done.push({ key: flag.key, auditId: on.auditId });
      } catch (error) {
        // Refused before anything is written.
        if (!(error instanceof AppError) || error.code !== "CONFLICT") throw error;
        refused.push({ key: flag.key, message: error.message });
      }
    }
    return { tag, items: await asTheyAre(open, done), refused };
  });
}

interface Done {
  key: string;
  auditId: number | null;
}

async function asTheyAre({ tx, environment }: Change, done: readonly Done[]): Promise<TagSwitched["items"]> {
  const items: TagSwitched["items"] = [];
  for (const { key, auditId } of done) items.push({ flag: await resourceOf(tx, environment, key), auditId });
  return items;
}

async function requireFlags({ tx, environment }: Change, tag: string): Promise<FlagRow[]> {
  const rows = await tx
    .select()
    .from(flags)
    .where(and(eq(flags.environmentId, environment.id), arrayContains(flags.tags, [tag])))
    .orderBy(asc(flags.key));
  if (rows.length === 0) throw noSuchTag(tag, await knownTags(tx, environment.id));
  return rows;
}

async function knownTags(db: Db, environmentId: string): Promise<Set<string>> {
  const rows = await db.select({ tags: flags.tags }).from(flags).where(eq(flags.environmentId, environmentId));
  return new Set(rows.flatMap(({ tags }) => tags));
}

function noSuchTag(tag: string, known: ReadonlySet<string>): AppError {
  const meant = didYouMean(tag, known);
  return new AppError("NOT_FOUND", `No flag of this environment has the tag "${tag}"${meant === "" ? "." : meant}`);
}
