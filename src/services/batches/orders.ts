/**
 * Which client is to ask the provider to cancel which batch: the one that submitted it at once, after a while any that can.
 * In the ledger's transaction, with the answer to a report; an order that is not answered is given again.
 */
import { and, asc, eq, isNotNull, isNull } from "drizzle-orm";
import { messageBatches } from "../../db/schema/batches.ts";
import type { Db } from "../../db/types.ts";
import type { Submission } from "../../deps.ts";
import { isRunning, MAX_CANCEL_TRIES, ORDER_AGAIN_MS } from "../../domain/message-batch.ts";

type Row = typeof messageBatches.$inferSelect;

/** The batches that each of these is to have canceled, by the id of its report. */
export async function orderCancels(
  tx: Db,
  environmentId: string,
  submissions: readonly Submission[],
  nowMs: number,
): Promise<ReadonlyMap<string, string[]>> {
  const orders = new Map<string, string[]>();
  const able = submissions.filter((submission) => submission.messageBatches !== undefined);
  if (able.length === 0) return orders;
  const rows = await tx
    .select()
    .from(messageBatches)
    .where(
      and(
        eq(messageBatches.environmentId, environmentId),
        isNotNull(messageBatches.askedAt),
        isNull(messageBatches.outcome),
      ),
    )
    .orderBy(asc(messageBatches.id))
    .for("update", { skipLocked: true });
  for (const row of rows) {
    const own = and(eq(messageBatches.environmentId, environmentId), eq(messageBatches.id, row.id));
    const over = overWithout(row, nowMs);
    if (over !== null) {
      await tx
        .update(messageBatches)
        .set({ outcome: over, outcomeAt: new Date(nowMs) })
        .where(own);
      continue;
    }
    const to = able.find((submission) => mayOrder(row, submission.instance, nowMs));
    if (to === undefined) continue;
    orders.set(to.batchId, [...(orders.get(to.batchId) ?? []), row.id]);
    const orderedAt = new Date(nowMs);
    await tx
      .update(messageBatches)
      .set({ orderedAt, orderedTo: to.instance, tries: row.tries + 1 })
      .where(own);
  }
  return orders;
}

/** Nobody need ask any more, or nobody does. */
function overWithout(row: Row, nowMs: number): "ended" | "failed" | null {
  if (!isRunning(row, nowMs)) return "ended";
  return row.tries >= MAX_CANCEL_TRIES && isOld(row.orderedAt, nowMs) ? "failed" : null;
}

function mayOrder(row: Row, instance: string, nowMs: number): boolean {
  if (row.orderedAt !== null && !isOld(row.orderedAt, nowMs)) return false;
  return row.instance === instance || isOld(row.askedAt, nowMs);
}

function isOld(at: Date | null, nowMs: number): boolean {
  return at !== null && nowMs - at.getTime() >= ORDER_AGAIN_MS;
}
