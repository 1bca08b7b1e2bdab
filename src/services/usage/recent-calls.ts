/** The newest calls, one row an attempt, newest first. Kept by number and age (`config.recentCalls…`). Never content. */
import { and, desc, eq, inArray, lt } from "drizzle-orm";
import { requireEnvironment } from "../../authorize.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { usageRecent } from "../../db/schema/usage.ts";
import { MINUTE_MS } from "../../domain/ledger.ts";
import type { CallResource, CallsQuery } from "../../api/usage.ts";
import { spellingsOf } from "../models/spellings.ts";
import { byId, type Page, page } from "../shared/page.ts";

const HOUR_MS = 3_600_000;

const BY_ID = byId<typeof usageRecent.$inferSelect>(({ id }) => id);

/** One page of the recent calls. INVALID for a cursor that is none. */
export async function listCalls(ctx: Ctx, environmentKey: string, query: CallsQuery = {}): Promise<Page<CallResource>> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const { model } = query;
  const conditions = [eq(usageRecent.environmentId, environment.id)];
  if (query.flag !== undefined) conditions.push(eq(usageRecent.flag, query.flag));
  if (model !== undefined) {
    const nowMs = ctx.deps.clock.nowMs();
    const span = { fromMs: nowMs - ctx.deps.config.recentCallsHours * HOUR_MS, untilMs: nowMs + MINUTE_MS };
    const models = await read(ctx, (db) => spellingsOf(db, environment, model, span));
    conditions.push(inArray(usageRecent.model, models));
  }
  if (query.outcome !== undefined) conditions.push(eq(usageRecent.outcome, query.outcome));
  if (query.user !== undefined) conditions.push(eq(usageRecent.user, query.user));
  if (query.session !== undefined) conditions.push(eq(usageRecent.session, query.session));
  const { items, nextCursor } = await page(query, BY_ID, (before, limit) =>
    read(ctx, (db) =>
      db
        .select()
        .from(usageRecent)
        .where(and(...conditions, before === undefined ? undefined : lt(usageRecent.id, before)))
        .orderBy(desc(usageRecent.id))
        .limit(limit),
    ),
  );
  return { items: items.map(callOf), nextCursor };
}

function callOf(row: typeof usageRecent.$inferSelect): CallResource {
  return {
    id: row.id,
    at: row.at.toISOString(),
    flag: row.flag,
    model: row.model,
    requestedModel: row.requestedModel,
    outcome: row.outcome,
    exact: row.exact,
    costNanoUsd: row.costNanoUsd,
    promptTokens: row.input,
    outputTokens: row.output,
    latencyMs: row.latencyMs,
    attempt: row.attempt,
    status: row.status,
    errorType: row.errorType,
    stopReason: row.stopReason,
    requestId: row.requestId,
    user: row.user,
    session: row.session,
    instance: row.instance,
  };
}
