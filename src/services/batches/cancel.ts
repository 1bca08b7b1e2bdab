/**
 * Cancels message batches of a flag: by on-call, and by itself for a flag with `abortInFlight` that is off for longer than
 * an undo is offered. What is written is the wish; clients carry it out, see orders.ts.
 */
import { and, asc, eq, inArray, isNull, or, sql } from "drizzle-orm";
import { requireEnvironment } from "../../authorize.ts";
import { type Change, change, type Changed } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { messageBatches } from "../../db/schema/batches.ts";
import { flags } from "../../db/schema/state.ts";
import { BATCH_LIFETIME_MS, standingNanoUsd } from "../../domain/message-batch.ts";
import { UNDO_MS } from "../../domain/switch.ts";
import { requireFlag } from "../flags/flags.ts";

export interface BatchesAsked {
  asked: number;
}

const REASON = "its flag is off and ends running calls";

/** Asks for all running batches of the flag to be canceled; those that somebody has asked for already are left out. */
export async function cancelBatches(
  ctx: Ctx,
  environmentKey: string,
  flag: string,
  reason: string | null,
): Promise<Changed<BatchesAsked>> {
  const environment = await requireEnvironment(ctx, environmentKey, "operator");
  return change(ctx, environment.id, async (open) => {
    await requireFlag(open.tx, environment.id, flag);
    return { asked: await ask(open, { flag, by: ctx.actor.name, reason }) };
  });
}

/** Does so for flags that turned off and end their running calls. Takes no lock when there is none. */
export async function cancelOfOff(ctx: Ctx, environmentId: string): Promise<void> {
  const { db, clock } = ctx.deps;
  const due = await dueFlags(db, environmentId, clock.nowMs());
  if (due.length === 0) return;
  await change(ctx, environmentId, async (open) => {
    // Another server may have acted, or somebody have restored one.
    for (const flag of await dueFlags(open.tx, environmentId, open.at.getTime())) {
      await ask(open, { flag, by: ctx.actor.name, reason: REASON });
    }
  });
}

/** Off by hand, by a trip or with all others, for longer than the undo lasts. A flag that has no usable model ends no call. */
async function dueFlags(db: Change["tx"], environmentId: string, nowMs: number): Promise<string[]> {
  const rows = await db
    .selectDistinct({ key: flags.key })
    .from(flags)
    .innerJoin(
      messageBatches,
      and(eq(messageBatches.environmentId, flags.environmentId), eq(messageBatches.flag, flags.key)),
    )
    .where(
      and(
        eq(flags.environmentId, environmentId),
        eq(flags.abortInFlight, true),
        eq(flags.standing, "off"),
        sql`${flags.standingBegan} <> 'NO_MODEL'`,
        sql`${flags.standingSince} <= ${new Date(nowMs - UNDO_MS).toISOString()}::timestamptz`,
        eq(messageBatches.state, "running"),
        isNull(messageBatches.askedAt),
        sinceDay(nowMs),
      ),
    )
    .orderBy(asc(flags.key));
  return rows.map(({ key }) => key);
}

async function ask(
  { tx, environment, at, record }: Change,
  { flag, by, reason }: { flag: string; by: string; reason: string | null },
): Promise<number> {
  const asked = await tx
    .update(messageBatches)
    .set({
      askedAt: at,
      askedBy: by,
      orderedAt: null,
      orderedTo: null,
      tries: 0,
      outcome: null,
      detail: null,
      outcomeAt: null,
    })
    .where(
      and(
        eq(messageBatches.environmentId, environment.id),
        eq(messageBatches.flag, flag),
        eq(messageBatches.state, "running"),
        sinceDay(at.getTime()),
        or(isNull(messageBatches.askedAt), inArray(messageBatches.outcome, ["failed", "unknown"])),
      ),
    )
    .returning({ left: messageBatches.left });
  if (asked.length === 0) return 0;
  const estimatedNanoUsd = asked.reduce((sum, batch) => sum + standingNanoUsd(batch), 0);
  await record({
    action: "batches.canceled",
    target: flag,
    reason,
    after: { batches: asked.length, estimatedNanoUsd },
  });
  return asked.length;
}

const sinceDay = (nowMs: number) =>
  sql`${messageBatches.submittedAt} > ${new Date(nowMs - BATCH_LIFETIME_MS).toISOString()}::timestamptz`;
