/** The outbox as people see it: what was sent, what waits and why, what failed; and to retry what failed. */
import { and, asc, desc, eq, gt, isNotNull, isNull, lt, ne, type SQL } from "drizzle-orm";
import { z } from "zod";
import { requireEnvironment } from "../../authorize.ts";
import { insertAudit } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { read, withTransaction } from "../../transaction.ts";
import { channels, outbox } from "../../db/schema/incidents.ts";
import type { Db } from "../../db/types.ts";
import type { AlertResource, AlertState } from "../../api/alert.ts";
import type { PageQuery } from "../../api/list.ts";
import { AppError } from "../../errors.ts";
import { one } from "../shared/one.ts";
import { byId, type Page, page } from "../shared/page.ts";

export interface AlertQuery extends PageQuery {
  state?: AlertState;
  /** The order in which they are tried; pages then lead to newer ones. */
  oldestFirst?: boolean;
}

const BY_ID = byId<{ alert: { id: number } }>(({ alert }) => alert.id);

/** One page of an environment's alerts, newest first unless asked otherwise. INVALID for a cursor that is none. */
export async function listAlerts(
  ctx: Ctx,
  environmentKey: string,
  query: AlertQuery = {},
): Promise<Page<AlertResource>> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const oldestFirst = query.oldestFirst === true;
  const { items, nextCursor } = await page(query, BY_ID, (after, limit) =>
    read(ctx, (db) =>
      db
        .select({ alert: outbox, channel: { id: channels.id, name: channels.name, kind: channels.kind } })
        .from(outbox)
        .innerJoin(channels, eq(channels.id, outbox.channelId))
        .where(
          and(
            eq(outbox.environmentId, environment.id),
            query.state === undefined ? undefined : inState(query.state),
            after === undefined ? undefined : (oldestFirst ? gt : lt)(outbox.id, after),
          ),
        )
        .orderBy(oldestFirst ? asc(outbox.id) : desc(outbox.id))
        .limit(limit),
    ),
  );
  return { items: items.map(({ alert, channel }) => alertResource(alert, channel)), nextCursor };
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
    const row = one(rows, "There is no such alert in this environment.");
    if (retried.length === 0) {
      const state = row.alert.deliveredAt === null ? "waits for its next attempt already" : "was delivered";
      throw new AppError("CONFLICT", `Only an alert that failed can be retried; this one ${state}.`);
    }
    if (row.channel.kind === "pagerduty") await closeAgain(tx, row.alert, at);
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

/** A trigger that comes late opens a page: what told that somebody is on it, or that it is over, is sent after it once more. */
async function closeAgain(tx: Db, { id, channelId, incidentId }: typeof outbox.$inferSelect, at: Date): Promise<void> {
  if (incidentId === null) return;
  await tx
    .update(outbox)
    .set({ deliveredAt: null, nextAttemptAt: at })
    .where(
      and(
        eq(outbox.channelId, channelId),
        eq(outbox.incidentId, incidentId),
        gt(outbox.id, id),
        ne(outbox.event, "trigger"),
        isNotNull(outbox.deliveredAt),
      ),
    );
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
    heldUntil: state === "waiting" && row.attempts === 0 ? (row.heldUntil?.toISOString() ?? null) : null,
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
