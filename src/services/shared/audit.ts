/** The audit: who did what, when and why, newest first. */
import { and, desc, eq, lt } from "drizzle-orm";
import { requireEnvironment } from "../../authorize.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { audit } from "../../db/schema/state.ts";
import type { AuditRow } from "../../db/types.ts";
import { readTakenBack } from "../../domain/audit.ts";
import { byId, type Page, page } from "./page.ts";
import type { PageQuery } from "../../api/list.ts";
import type { AuditResource } from "../../api/audit.ts";

export interface AuditQuery extends PageQuery {
  target?: { kind: string; key: string };
}

const BY_ID = byId<AuditRow>(({ id }) => id);

/** One page of an environment's audit. INVALID for a cursor that is none. */
export async function listAudit(
  ctx: Ctx,
  environmentKey: string,
  query: AuditQuery = {},
): Promise<Page<AuditResource>> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const conditions = [eq(audit.environmentId, environment.id)];
  if (query.target !== undefined) {
    // The database refuses a text that has NUL; nothing is called so.
    if (`${query.target.kind}${query.target.key}`.includes("\0")) return { items: [], nextCursor: null };
    conditions.push(eq(audit.targetKind, query.target.kind), eq(audit.target, query.target.key));
  }
  const { items, nextCursor } = await page(query, BY_ID, (before, limit) =>
    read(ctx, (db) =>
      db
        .select()
        .from(audit)
        .where(and(...conditions, before === undefined ? undefined : lt(audit.id, before)))
        .orderBy(desc(audit.id))
        .limit(limit),
    ),
  );
  return { items: items.map((row) => auditResource(row, environment.key)), nextCursor };
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
