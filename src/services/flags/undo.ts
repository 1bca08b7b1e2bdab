/**
 * Undo: takes back exactly one change, found by its audit id, as long as nothing else has changed the same thing since.
 * A reason given afterwards does not count as a change; a kill by somebody else does, even of what was off already.
 */
import { modelNames } from "../../../sdk-client/src/evaluate/model-names.ts";
import { and, desc, eq, gt, inArray, ne, sql } from "drizzle-orm";
import { requireEnvironment, requireScope } from "../../authorize.ts";
import { type Change, change, type Changed } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { readFor } from "../../transaction.ts";
import { audit, chains, environments, modelBlocks } from "../../db/schema/state.ts";
import type { AuditRow } from "../../db/types.ts";
import { readTakenBack, type Reasoned, revertedBy, type TakenBack } from "../../domain/audit.ts";
import { same } from "../../domain/same.ts";
import { AppError } from "../../errors.ts";
import { findChain, usersByChain } from "../models/chains.ts";
import { definitionOf, requireFlag, writeFlag } from "./flags.ts";
import { masterColumns, masterOf } from "./master.ts";
import { blockOf, findBlock, writeBlock } from "../models/blocks.ts";
import { stateOf } from "./switches.ts";
import { tripNewcomers } from "../trips/trips.ts";

const TAKES_NO_REASON = "takes no reason afterwards";
const REASONS: ReadonlySet<string> = new Set(["reason", "levelReason", "masterReason"]);

export interface Target {
  kind: string;
  key: string;
}

/** A change that was made, as the audit kept it. */
type Entry = TakenBack & Pick<AuditRow, "id" | "target" | "actor">;

/** Takes one change back. CONFLICT when the same thing was changed again since, or when it cannot be taken back. */
export async function revert(
  ctx: Ctx,
  environmentKey: string,
  auditId: number,
  reason: string | null,
): Promise<Changed<{ target: Target }>> {
  const { value, revision } = await revertAll(ctx, environmentKey, [auditId], reason);
  const [target] = value.targets;
  if (target === undefined) throw new AppError("INTERNAL", "Nothing was taken back.");
  return { value: { target }, revision };
}

/** The same for several changes at once, such as those of one kill by tag: all of them or, on CONFLICT, none. */
export async function revertAll(
  ctx: Ctx,
  environmentKey: string,
  auditIds: readonly number[],
  reason: string | null,
): Promise<Changed<{ targets: Target[] }>> {
  const { environment, rows } = await requireRows(ctx, environmentKey, auditIds);
  const entries = rows.map((row) => entryOf(row, "cannot be taken back by one click"));
  for (const { action } of entries) requireScope(ctx.actor, revertedBy(action));
  return change(ctx, environment.id, async (open) => {
    for (const entry of entries) {
      await requireNoLaterKill(open, entry);
      const swapped = await swap(open, entry);
      const { id: reverts, target } = entry;
      await open.record({ ...swapped, target, reason: reason ?? `undo of #${reverts}`, reverts });
      await tripNewcomers(ctx, open, await flagsMoved(open, entry));
    }
    return { targets: rows.map(targetOf) };
  });
}

/** The flags whose chain may be another one now. */
async function flagsMoved({ tx, environment }: Change, entry: Entry): Promise<string[]> {
  if (entry.action === "flag.edited") return [entry.target];
  if (entry.action !== "chain.edited") return [];
  return (await usersByChain(tx, environment.id)).get(entry.target) ?? [];
}

/** Gives the reason for a kill, downgrade or block after the fact. CONFLICT when it is not in force any more. */
export async function setReason(
  ctx: Ctx,
  environmentKey: string,
  auditId: number,
  reason: string,
): Promise<Changed<{ target: Target }>> {
  const { environment, row } = await requireRow(ctx, environmentKey, auditId);
  return change(ctx, environment.id, async (open) => {
    const about = await writeReason(open, entryOf(row, TAKES_NO_REASON), reason);
    await open.record({ action: "reason.given", about, target: row.target, reason });
    return { target: targetOf(row) };
  });
}

async function requireRow(ctx: Ctx, environmentKey: string, auditId: number) {
  const { environment, rows } = await requireRows(ctx, environmentKey, [auditId]);
  const [row] = rows;
  if (row === undefined) throw noSuchEntry(auditId);
  return { environment, row };
}

/** The newest first, as a later change is taken back before the one it was made upon. */
async function requireRows(ctx: Ctx, environmentKey: string, auditIds: readonly number[]) {
  const environment = await requireEnvironment(ctx, environmentKey, "operator");
  const rows = await readFor(ctx, "operator", (db) =>
    db
      .select()
      .from(audit)
      .where(and(eq(audit.environmentId, environment.id), inArray(audit.id, [...auditIds])))
      .orderBy(desc(audit.id)),
  );
  const missing = auditIds.find((id) => rows.every((row) => row.id !== id));
  if (missing !== undefined) throw noSuchEntry(missing);
  return { environment, rows };
}

function noSuchEntry(auditId: number): AppError {
  return new AppError("NOT_FOUND", `There is no audit entry ${auditId} in this environment.`);
}

/** CONFLICT for what is not of that kind, or is in a form that only a newer version reads. */
function entryOf(row: AuditRow, refusal: string): Entry {
  const kept = readTakenBack(row);
  if (kept === null) throw refused(row.action, refusal);
  return { ...kept, id: row.id, target: row.target, actor: row.actor };
}

function refused(action: string, refusal: string): AppError {
  return new AppError("CONFLICT", `A change of the kind "${action}" ${refusal}.`);
}

function targetOf(row: AuditRow): Target {
  return { kind: row.targetKind, key: row.target };
}

/**
 * Who pulls the cord on what is off already changes nothing, but relies on it staying off: then the first kill is not
 * taken back by one click. A second kill by the same actor is a double click or a retry.
 */
async function requireNoLaterKill({ tx, environment }: Change, entry: Entry): Promise<void> {
  if (entry.action !== "flag.killed" && entry.action !== "master.killed") return;
  const later = await tx
    .select({ id: audit.id })
    .from(audit)
    .where(
      and(
        eq(audit.environmentId, environment.id),
        gt(audit.id, entry.id),
        eq(audit.action, entry.action),
        eq(audit.target, entry.target),
        ne(sql`${audit.actor}->>'id'`, entry.actor.id),
      ),
    )
    .limit(1);
  if (later.length > 0) throw changedSince(entry);
}

/** Writes what was before the entry's change; answers with that change the other way round, for the audit. */
async function swap(open: Change, entry: Entry): Promise<TakenBack> {
  const { tx, environment, at } = open;
  switch (entry.action) {
    case "flag.killed":
    case "flag.restored":
    case "flag.downgraded": {
      const { action, before: was, after: became } = entry;
      const current = await requireFlag(tx, environment.id, entry.target);
      requireSame(stateOf(current), became, entry);
      await writeFlag(tx, current, was);
      return { action, before: stateOf(current), after: was };
    }
    case "flag.edited": {
      const { action, before: was, after: became } = entry;
      const current = await requireFlag(tx, environment.id, entry.target);
      requireSame(definitionOf(current), became, entry);
      if (was.chain !== null && (await findChain(tx, environment.id, was.chain)) === undefined) {
        throw new AppError("CONFLICT", `The chain "${was.chain}" that the flag had is gone. Create it first.`);
      }
      await writeFlag(tx, current, { ...was, updatedAt: at });
      return { action, before: became, after: was };
    }
    case "master.killed":
    case "master.restored": {
      const { action, before: was, after: became } = entry;
      const current = masterColumns(masterOf(environment));
      requireSame(current, became, entry);
      await tx.update(environments).set(was).where(eq(environments.id, environment.id));
      return { action, before: current, after: was };
    }
    case "model.blocked":
    case "model.unblocked": {
      const { action, before: was, after: became } = entry;
      const current = blockOf(await findBlock(tx, environment.id, entry.target, modelNames(environment.aliases)));
      requireSame(current, became, entry);
      await writeBlock(tx, environment.id, entry.target, was ?? undefined);
      return { action, before: current, after: was };
    }
    case "chain.edited": {
      const { action, before: was, after: became } = entry;
      const current = await findChain(tx, environment.id, entry.target);
      if (current === undefined) throw changedSince(entry);
      requireSame({ steps: current.steps }, became, entry);
      await tx
        .update(chains)
        .set({ steps: was.steps, version: current.version + 1, updatedAt: at })
        .where(and(eq(chains.environmentId, environment.id), eq(chains.name, entry.target)));
      return { action, before: became, after: was };
    }
  }
}

/** Answers with what the reason is of. */
async function writeReason(open: Change, entry: Entry, reason: string): Promise<Reasoned> {
  const { tx, environment } = open;
  switch (entry.action) {
    case "flag.killed":
    case "flag.downgraded": {
      const current = await requireFlag(tx, environment.id, entry.target);
      requireSame(stateOf(current), entry.after, entry);
      await writeFlag(tx, current, entry.action === "flag.killed" ? { reason } : { levelReason: reason });
      return entry.action;
    }
    case "master.killed":
      requireSame(masterColumns(masterOf(environment)), entry.after, entry);
      await tx.update(environments).set({ masterReason: reason }).where(eq(environments.id, environment.id));
      return entry.action;
    case "model.blocked": {
      const current = await findBlock(tx, environment.id, entry.target, modelNames(environment.aliases));
      requireSame(blockOf(current), entry.after, entry);
      await tx
        .update(modelBlocks)
        .set({ reason })
        .where(and(eq(modelBlocks.environmentId, environment.id), eq(modelBlocks.model, entry.target)));
      return entry.action;
    }
    case "flag.restored":
    case "flag.edited":
    case "chain.edited":
    case "master.restored":
    case "model.unblocked":
      throw refused(entry.action, TAKES_NO_REASON);
  }
}

/**
 * Compares all but the reason. Who and since when tell the state that this entry made from an equal one that somebody
 * made later: undoing an old kill must not lift a newer one.
 */
function requireSame<Value extends object | null>(current: Value, became: Value, entry: Entry): void {
  if (!same(essenceOf(current), essenceOf(became))) throw changedSince(entry);
}

function essenceOf(value: object | null): unknown {
  return value === null ? null : Object.fromEntries(Object.entries(value).filter(([name]) => !REASONS.has(name)));
}

function changedSince({ target }: Entry): AppError {
  return new AppError(
    "CONFLICT",
    `"${target}" was changed again since. Look at its state now, then restore or kill it.`,
  );
}
