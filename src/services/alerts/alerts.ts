/** The outbox as people see it: what was sent, what waits and why, what failed; and to retry what failed. */
import { and, asc, desc, eq, gt, isNotNull, isNull, lt, type SQL } from "drizzle-orm";
import { z } from "zod";
import { requireEnvironment } from "../../authorize.ts";
import { insertAudit } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { read, withTransaction } from "../../transaction.ts";
import { channels, outbox } from "../../db/schema/money.ts";
import type { AlertResource, AlertState } from "../../api/alert.ts";
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from "../../domain/limits.ts";
import { AppError, invalid } from "../../errors.ts";

export interface AlertQuery {
  state?: AlertState;
  /** From the page before; opaque to callers. */
  cursor?: string;
  /** Alerts per page, at most 200. */
  limit?: number;
  /** The order in which they are tried; pages then lead to newer ones. */
  oldestFirst?: boolean;
}

/** One page of an environment's alerts, newest first unless asked otherwise. INVALID for a cursor that is none. */
export async function listAlerts(
  ctx: Ctx,
  environmentKey: string,
  query: AlertQuery = {},
): Promise<{ items: AlertResource[]; nextCursor: string | null }> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const limit = Math.min(Math.max(query.limit ?? DEFAULT_PAGE_SIZE, 1), MAX_PAGE_SIZE);
  const oldestFirst = query.oldestFirst === true;
  const rows = await read(ctx, (db) =>
    db
      .select({ alert: outbox, channel: { id: channels.id, name: channels.name, kind: channels.kind } })
      .from(outbox)
      .innerJoin(channels, eq(channels.id, outbox.channelId))
      .where(
        and(
          eq(outbox.environmentId, environment.id),
          query.state === undefined ? undefined : inState(query.state),
          query.cursor === undefined ? undefined : (oldestFirst ? gt : lt)(outbox.id, parseCursor(query.cursor)),
        ),
      )
      .orderBy(oldestFirst ? asc(outbox.id) : desc(outbox.id))
      .limit(limit + 1),
  );
  const items = rows.slice(0, limit).map(({ alert, channel }) => alertResource(alert, channel));
  const last = items.at(-1);
  return { items, nextCursor: rows.length > limit && last !== undefined ? String(last.id) : null };
}

/** Has a failed alert sent again within a second. CONFLICT when it has not failed. */
export async function retryAlert(ctx: Ctx, environmentKey: string, id: number): Promise<AlertResource> {
  const environment = await requireEnvironment(ctx, environmentKey, "operator");
  const at = new Date(ctx.deps.clock.nowMs());
  return withTransaction(ctx, async (tx) => {
    const own = and(eq(outbox.environmentId, environment.id), eq(outbox.id, id));
    const retried = await tx
      .update(outbox)
      .set({ failedAt: null, nextAttemptAt: at })
      .where(and(own, isNotNull(outbox.failedAt)))
      .returning({ id: outbox.id });
    const rows = await tx
      .select({ alert: outbox, channel: { id: channels.id, name: channels.name, kind: channels.kind } })
      .from(outbox)
      .innerJoin(channels, eq(channels.id, outbox.channelId))
      .where(own);
    const row = rows[0];
    if (row === undefined) throw new AppError("NOT_FOUND", "There is no such alert in this environment.");
    if (retried.length === 0) {
      const state = row.alert.deliveredAt === null ? "waits for its next attempt already" : "was delivered";
      throw new AppError("CONFLICT", `Only an alert that failed can be retried; this one ${state}.`);
    }
    const resource = alertResource(row.alert, row.channel);
    await insertAudit(
      ctx,
      tx,
      { action: "alert.retried", target: row.channel.name, after: { title: resource.title } },
      { environmentId: environment.id, revision: null, at },
    );
    return resource;
  });
}

const shown = z.object({ type: z.string(), title: z.string(), text: z.string() });
/** For a row that a newer version of Andon wrote. */
const UNREADABLE = { type: "unknown", title: "An alert that this version cannot read", text: "" };

function alertResource(row: typeof outbox.$inferSelect, channel: AlertResource["channel"]): AlertResource {
  const payload = shown.safeParse(row.payload);
  const state: AlertState = row.deliveredAt !== null ? "sent" : row.failedAt !== null ? "failed" : "waiting";
  const isUnderWay = row.attempts > 0 && row.lastError === null;
  return {
    id: row.id,
    channel,
    incidentId: row.incidentId,
    ...(payload.success ? payload.data : UNREADABLE),
    state,
    attempts: row.attempts,
    lastError: row.lastError,
    nextAttemptAt: state === "waiting" && !isUnderWay ? row.nextAttemptAt.toISOString() : null,
    createdAt: row.createdAt.toISOString(),
    deliveredAt: row.deliveredAt?.toISOString() ?? null,
    failedAt: row.failedAt?.toISOString() ?? null,
  };
}

function inState(state: AlertState): SQL | undefined {
  switch (state) {
    case "sent":
      return isNotNull(outbox.deliveredAt);
    case "failed":
      return isNotNull(outbox.failedAt);
    case "waiting":
      return and(isNull(outbox.deliveredAt), isNull(outbox.failedAt));
  }
}

function parseCursor(cursor: string): number {
  if (!/^\d{1,15}$/.test(cursor)) throw invalid("cursor", "this is not a cursor of this list; start without one");
  return Number(cursor);
}
