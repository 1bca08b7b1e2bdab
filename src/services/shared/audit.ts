/** The audit: who did what, when and why, newest first. */
import { and, desc, eq, lt } from "drizzle-orm";
import { requireEnvironment } from "../../authorize.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { audit } from "../../db/schema/state.ts";
import type { AuditRow } from "../../db/types.ts";
import { readTakenBack } from "../../domain/audit.ts";
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from "../../domain/limits.ts";
import type { AuditResource } from "../../api/audit.ts";
import { invalid } from "../../errors.ts";

export interface AuditQuery {
  target?: { kind: string; key: string };
  /** From the page before; opaque to callers. */
  cursor?: string;
  /** Entries per page, at most 200. */
  limit?: number;
}

/** One page of an environment's audit. INVALID for a cursor that is none. */
export async function listAudit(
  ctx: Ctx,
  environmentKey: string,
  query: AuditQuery = {},
): Promise<{ items: AuditResource[]; nextCursor: string | null }> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const limit = Math.min(Math.max(query.limit ?? DEFAULT_PAGE_SIZE, 1), MAX_PAGE_SIZE);
  const conditions = [eq(audit.environmentId, environment.id)];
  if (query.cursor !== undefined) conditions.push(lt(audit.id, parseCursor(query.cursor)));
  if (query.target !== undefined) {
    conditions.push(eq(audit.targetKind, query.target.kind), eq(audit.target, query.target.key));
  }
  const rows = await read(ctx, (db) =>
    db
      .select()
      .from(audit)
      .where(and(...conditions))
      .orderBy(desc(audit.id))
      .limit(limit + 1),
  );
  const items = rows.slice(0, limit).map((row) => auditResource(row, environment.key));
  const last = items.at(-1);
  return { items, nextCursor: rows.length > limit && last !== undefined ? String(last.id) : null };
}

function auditResource(row: AuditRow, environment: string): AuditResource {
  return {
    id: row.id,
    environment,
    revision: row.revision,
    at: row.at.toISOString(),
    actor: row.actor,
    action: row.action,
    target: { kind: row.targetKind, key: row.target },
    reason: row.reason,
    before: row.before,
    after: row.after,
    revertible: readTakenBack(row) !== null,
    reverts: row.reverts,
  };
}

function parseCursor(cursor: string): number {
  if (!/^\d{1,15}$/.test(cursor)) throw invalid("cursor", "this is not a cursor of this list; start without one");
  return Number(cursor);
}
