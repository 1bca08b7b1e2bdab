/** The newest calls, one row an attempt, newest first. Kept by number and age (`config.recentCalls…`). Never content. */
import { and, desc, eq, inArray, lt } from "drizzle-orm";
import { requireEnvironment } from "../../authorize.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { usageRecent } from "../../db/schema/money.ts";
import { MINUTE_MS } from "../../domain/ledger.ts";
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from "../../domain/limits.ts";
import type { CallResource, CallsQuery } from "../../api/usage.ts";
import { invalid } from "../../errors.ts";
import { spellingsOf } from "../models/spellings.ts";

const HOUR_MS = 3_600_000;

/** One page of the recent calls. INVALID for a cursor that is none. */
export async function listCalls(
  ctx: Ctx,
  environmentKey: string,
  query: CallsQuery = {},
): Promise<{ items: CallResource[]; nextCursor: string | null }> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const limit = Math.min(Math.max(query.limit ?? DEFAULT_PAGE_SIZE, 1), MAX_PAGE_SIZE);
  const { model } = query;
  const conditions = [eq(usageRecent.environmentId, environment.id)];
  if (query.cursor !== undefined) conditions.push(lt(usageRecent.id, parseCursor(query.cursor)));
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
  const rows = await read(ctx, (db) =>
    db
      .select()
      .from(usageRecent)
      .where(and(...conditions))
      .orderBy(desc(usageRecent.id))
      .limit(limit + 1),
  );
  const items = rows.slice(0, limit).map(callOf);
  const last = items.at(-1);
  return { items, nextCursor: rows.length > limit && last !== undefined ? String(last.id) : null };
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

function parseCursor(cursor: string): number {
  if (!/^\d{1,15}$/.test(cursor)) throw invalid("cursor", "this is not a cursor of this list; start without one");
  return Number(cursor);
}
