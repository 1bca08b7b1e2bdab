/** Message batches as they are shown: the newest of an environment, or of one flag. */
import { and, desc, eq, gt, inArray, isNotNull, lt, or } from "drizzle-orm";
import { requireEnvironment } from "../../authorize.ts";
import type { Ctx } from "../../deps.ts";
import { messageBatches } from "../../db/schema/batches.ts";
import type { Db } from "../../db/types.ts";
import type { MessageBatchResource } from "../../api/message-batch.ts";
import { BATCH_KEPT_MS, BATCH_LIFETIME_MS, isRunning, standingNanoUsd } from "../../domain/message-batch.ts";
import { read } from "../../transaction.ts";

const MAX_SHOWN = 200;
/** What came of canceling is told for so long. */
const OUTCOME_SHOWN_MS = 3_600_000;

export type MessageBatch = typeof messageBatches.$inferSelect;

/** The newest message batches, 200 at most; of one flag, or only those that run, when asked. */
export async function listMessageBatches(
  ctx: Ctx,
  environmentKey: string,
  query: { flag?: string | undefined; running?: boolean } = {},
): Promise<MessageBatchResource[]> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const nowMs = ctx.deps.clock.nowMs();
  const { flag, running } = query;
  const rows = await read(ctx, (db) =>
    db
      .select()
      .from(messageBatches)
      .where(
        and(
          eq(messageBatches.environmentId, environment.id),
          flag === undefined ? undefined : eq(messageBatches.flag, flag),
          running === true ? runs(nowMs) : undefined,
        ),
      )
      .orderBy(desc(messageBatches.submittedAt), desc(messageBatches.id))
      .limit(MAX_SHOWN),
  );
  return rows.map((row) => resourceOf(row, nowMs));
}

/** What there is to tell of batches now, by flag: those that run, and those that somebody has asked to cancel lately. */
export async function batchesByFlag(ctx: Ctx, environmentKey: string): Promise<ReadonlyMap<string, MessageBatch[]>> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const nowMs = ctx.deps.clock.nowMs();
  const recent = gt(messageBatches.askedAt, new Date(nowMs - OUTCOME_SHOWN_MS));
  const rows = await read(ctx, (db) =>
    db
      .select()
      .from(messageBatches)
      .where(
        and(
          eq(messageBatches.environmentId, environment.id),
          gt(messageBatches.submittedAt, new Date(nowMs - BATCH_LIFETIME_MS)),
          or(runs(nowMs), and(isNotNull(messageBatches.askedAt), recent)),
        ),
      )
      .orderBy(desc(messageBatches.submittedAt), desc(messageBatches.id))
      .limit(MAX_SHOWN),
  );
  const byFlag = new Map<string, MessageBatch[]>();
  for (const row of rows) byFlag.set(row.flag, [...(byFlag.get(row.flag) ?? []), row]);
  return byFlag;
}

/** Forgets batches whose results nobody can read any more. */
export async function pruneMessageBatches(db: Db, nowMs: number): Promise<void> {
  await db.delete(messageBatches).where(lt(messageBatches.submittedAt, new Date(nowMs - BATCH_KEPT_MS)));
}

function runs(nowMs: number) {
  return and(
    inArray(messageBatches.state, ["running", "canceling"]),
    gt(messageBatches.submittedAt, new Date(nowMs - BATCH_LIFETIME_MS)),
  );
}

function resourceOf(row: MessageBatch, nowMs: number): MessageBatchResource {
  const { id, flag, instance, requests, submittedAt, estimatedNanoUsd, askedAt, askedBy, outcome, detail } = row;
  const isOver = (row.state === "running" || row.state === "canceling") && !isRunning(row, nowMs);
  return {
    id,
    flag,
    state: isOver ? "ended" : row.state,
    instance,
    requests,
    submittedAt: submittedAt.toISOString(),
    estimatedNanoUsd,
    standingNanoUsd: standingNanoUsd(row),
    cancel:
      askedAt === null
        ? null
        : {
            askedAt: askedAt.toISOString(),
            askedBy,
            outcome,
            detail,
            at: row.outcomeAt?.toISOString() ?? null,
            orderedTo: row.orderedTo,
          },
  };
}
