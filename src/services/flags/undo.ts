/**
 * Undo: takes back exactly one change, found by its audit id, as long as nothing else has changed the same thing since.
 * A reason given afterwards does not count as a change; a kill by somebody else does, even of what was off already.
 */
import { and, eq, gt, ne, sql } from "drizzle-orm";
import { requireEnvironment, requireScope } from "../../authorize.ts";
import { type Change, change, type Changed } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { readFor } from "../../transaction.ts";
import { audit, chains, environments, modelBlocks } from "../../db/schema/state.ts";
import type { AuditRow } from "../../db/types.ts";
import {
  type ChainSteps,
  parseBlock,
  parseDefinition,
  parseFlagState,
  parseMaster,
  parseSteps,
} from "../../domain/audit-values.ts";
import { isRevertible } from "../../domain/audit-actions.ts";
import { AppError } from "../../errors.ts";
import { findChain, usersByChain } from "../models/chains.ts";
import { definitionOf, requireFlag, writeFlag } from "./flags.ts";
import { masterColumns, masterOf } from "./master.ts";
import { blockOf, findBlock, writeBlock } from "../models/blocks.ts";
import { stateOf } from "./switches.ts";
import { tripNewcomers } from "../trips/trips.ts";

const KILLS: ReadonlySet<string> = new Set(["flag.killed", "master.killed"]);
const REASONS: ReadonlySet<string> = new Set(["reason", "levelReason", "masterReason"]);

export interface Target {
  kind: string;
  key: string;
}

/** Takes one change back. CONFLICT when the same thing was changed again since, or when it cannot be taken back. */
export async function revert(
  ctx: Ctx,
  environmentKey: string,
  auditId: number,
  reason: string | null,
): Promise<Changed<{ target: Target }>> {
  const { environment, entry } = await requireEntry(ctx, environmentKey, auditId);
  if (!isRevertible(entry.action)) {
    throw new AppError("CONFLICT", `A change of the kind "${entry.action}" cannot be taken back by one click.`);
  }
  if (entry.action === "flag.edited" || entry.action === "chain.edited") requireScope(ctx.actor, "admin");
  return change(ctx, environment.id, async (open) => {
    await requireNoLaterKill(open, entry);
    const swapped = await swap(open, entry);
    await open.record({
      action: entry.action,
      targetKind: kindOf(entry),
      target: entry.target,
      reason: reason ?? `undo of #${entry.id}`,
      reverts: entry.id,
      before: swapped.before,
      after: swapped.after,
    });
    await tripNewcomers(ctx, open, await flagsMoved(open, entry));
    return { target: { kind: entry.targetKind, key: entry.target } };
  });
}

/** The flags whose chain may be another one now. */
async function flagsMoved({ tx, environment }: Change, entry: AuditRow): Promise<string[]> {
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
  const { environment, entry } = await requireEntry(ctx, environmentKey, auditId);
  return change(ctx, environment.id, async (open) => {
    await writeReason(open, entry, reason);
    await open.record({ action: "reason.given", targetKind: kindOf(entry), target: entry.target, reason });
    return { target: { kind: entry.targetKind, key: entry.target } };
  });
}

async function requireEntry(ctx: Ctx, environmentKey: string, auditId: number) {
  const environment = await requireEnvironment(ctx, environmentKey, "operator");
  const rows = await readFor(ctx, "operator", (db) =>
    db
      .select()
      .from(audit)
      .where(and(eq(audit.environmentId, environment.id), eq(audit.id, auditId)))
      .limit(1),
  );
  const entry = rows[0];
  if (entry === undefined) throw new AppError("NOT_FOUND", `There is no audit entry ${auditId} in this environment.`);
  return { environment, entry };
}

/**
 * Who pulls the cord on what is off already changes nothing, but relies on it staying off: then the first kill is not
 * taken back by one click. A second kill by the same actor is a double click or a retry.
 */
async function requireNoLaterKill({ tx, environment }: Change, entry: AuditRow): Promise<void> {
  if (!KILLS.has(entry.action)) return;
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

/** Writes what was before the entry's change; answers with both sides for the audit. */
async function swap(open: Change, entry: AuditRow): Promise<{ before: unknown; after: unknown }> {
  const { tx, environment, at } = open;
  switch (kindOf(entry)) {
    case "flag": {
      const current = await requireFlag(tx, environment.id, entry.target);
      if (entry.action === "flag.edited") {
        const [was, became] = [parseDefinition(entry.before), parseDefinition(entry.after)];
        requireSame(definitionOf(current), became, entry);
        if (was.chain !== null && (await findChain(tx, environment.id, was.chain)) === undefined) {
          throw new AppError("CONFLICT", `The chain "${was.chain}" that the flag had is gone. Create it first.`);
        }
        await writeFlag(tx, current, { ...was, updatedAt: at });
        return { before: became, after: was };
      }
      const [was, became] = [parseFlagState(entry.before), parseFlagState(entry.after)];
      requireSame(stateOf(current), became, entry);
      await writeFlag(tx, current, was);
      return { before: stateOf(current), after: was };
    }
    case "master": {
      const current = masterColumns(masterOf(environment));
      const was = parseMaster(entry.before);
      requireSame(current, parseMaster(entry.after), entry);
      await tx.update(environments).set(was).where(eq(environments.id, environment.id));
      return { before: current, after: was };
    }
    case "model": {
      const current = blockOf(await findBlock(tx, environment.id, entry.target));
      const was = parseBlock(entry.before);
      requireSame(current, parseBlock(entry.after), entry);
      await writeBlock(tx, environment.id, entry.target, was ?? undefined);
      return { before: current, after: was };
    }
    case "chain": {
      const current = await findChain(tx, environment.id, entry.target);
      const became: ChainSteps = parseSteps(entry.after);
      if (current === undefined) throw changedSince(entry);
      requireSame({ steps: current.steps }, became, entry);
      const was = parseSteps(entry.before);
      await tx
        .update(chains)
        .set({ steps: was.steps, version: current.version + 1, updatedAt: at })
        .where(and(eq(chains.environmentId, environment.id), eq(chains.name, entry.target)));
      return { before: became, after: was };
    }
    case "token":
    case "environment":
    case "budget":
    case "incident":
    case "channel":
    case "price":
      throw new AppError("CONFLICT", `A change of a ${entry.targetKind} is not taken back by undo.`);
  }
}

async function writeReason(open: Change, entry: AuditRow, reason: string): Promise<void> {
  const { tx, environment } = open;
  switch (entry.action) {
    case "flag.killed":
    case "flag.downgraded": {
      const current = await requireFlag(tx, environment.id, entry.target);
      requireSame(stateOf(current), parseFlagState(entry.after), entry);
      await writeFlag(tx, current, entry.action === "flag.killed" ? { reason } : { levelReason: reason });
      return;
    }
    case "master.killed":
      requireSame(masterColumns(masterOf(environment)), parseMaster(entry.after), entry);
      await tx.update(environments).set({ masterReason: reason }).where(eq(environments.id, environment.id));
      return;
    case "model.blocked": {
      const current = await findBlock(tx, environment.id, entry.target);
      requireSame(blockOf(current), parseBlock(entry.after), entry);
      await tx
        .update(modelBlocks)
        .set({ reason })
        .where(and(eq(modelBlocks.environmentId, environment.id), eq(modelBlocks.model, entry.target)));
      return;
    }
    default:
      throw new AppError("CONFLICT", `A change of the kind "${entry.action}" takes no reason afterwards.`);
  }
}

/**
 * Compares all but the reason. Who and since when tell the state that this entry made from an equal one that somebody
 * made later: undoing an old kill must not lift a newer one.
 */
function requireSame(current: unknown, became: unknown, entry: AuditRow): void {
  if (essenceOf(current) !== essenceOf(became)) throw changedSince(entry);
}

function essenceOf(value: unknown): string {
  return JSON.stringify(value, (key, inner: unknown) => (REASONS.has(key) ? undefined : inner));
}

function changedSince(entry: AuditRow): AppError {
  return new AppError(
    "CONFLICT",
    `"${entry.target}" was changed again since. Look at its state now, then restore or kill it.`,
  );
}

function kindOf(entry: AuditRow) {
  switch (entry.targetKind) {
    case "flag":
    case "chain":
    case "model":
    case "master":
    case "token":
    case "environment":
    case "budget":
    case "incident":
    case "channel":
    case "price":
      return entry.targetKind;
    default:
      throw new AppError("INTERNAL", `Unknown target kind "${entry.targetKind}" in the audit.`);
  }
}
