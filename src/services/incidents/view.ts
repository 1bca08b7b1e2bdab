/** Incidents as they are shown: with their budget, and what became of their alerts. */
import { and, desc, eq, inArray, isNull, type SQL, sql } from "drizzle-orm";
import type { AccountFault, Reach } from "../../domain/account-fault.ts";
import { requireEnvironment } from "../../authorize.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { budgets } from "../../db/schema/budgets.ts";
import { incidents, outbox } from "../../db/schema/incidents.ts";
import { triggerAlerts, triggers } from "../../db/schema/triggers.ts";
import type { PageQuery } from "../../api/list.ts";
import type { IncidentResource } from "../../api/incident.ts";
import { readReaches } from "../accounts/refusals.ts";
import { type Cursor, type Page, page } from "../shared/page.ts";

interface Opened {
  openedAt: Date;
  id: string;
}

/** `<opened at in Unix milliseconds>.<id>`. */
const BY_OPENING: Cursor<{ incident: Opened }, Opened> = {
  write: ({ incident: { openedAt, id } }) => `${openedAt.getTime()}.${id}`,
  parse: (cursor) => {
    const [, openedAtMs, id] = /^(\d{1,15})\.([\w-]{1,64})$/.exec(cursor) ?? [];
    return openedAtMs === undefined || id === undefined ? null : { openedAt: new Date(Number(openedAtMs)), id };
  },
};

const TRIGGER_COLUMNS = {
  name: triggers.name,
  source: triggers.source,
  alert: triggerAlerts.title,
  flags: triggerAlerts.flags,
  clearedAt: triggerAlerts.clearedAt,
};
type TriggerColumns = {
  [Column in keyof typeof TRIGGER_COLUMNS]: (typeof TRIGGER_COLUMNS)[Column]["_"]["data"] | null;
};

/** Incidents, newest first; `open` ones alone when asked. */
export async function listIncidents(
  ctx: Ctx,
  environmentKey: string,
  query: PageQuery & { open?: boolean } = {},
): Promise<Page<IncidentResource>> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const conditions = [eq(incidents.environmentId, environment.id)];
  if (query.open === true) conditions.push(isNull(incidents.resolvedAt));
  const { items, nextCursor } = await page(query, BY_OPENING, (before, limit) =>
    read(ctx, (db) =>
      db
        .select({
          incident: incidents,
          budgetName: budgets.name,
          flag: budgets.flag,
          trigger: TRIGGER_COLUMNS,
        })
        .from(incidents)
        .leftJoin(budgets, eq(budgets.id, incidents.budgetId))
        .leftJoin(triggerAlerts, eq(triggerAlerts.id, incidents.triggerAlertId))
        .leftJoin(triggers, eq(triggers.id, triggerAlerts.triggerId))
        .where(and(...conditions, before === undefined ? undefined : olderThan(before)))
        .orderBy(desc(incidents.openedAt), desc(incidents.id))
        .limit(limit),
    ),
  );
  const deliveries = await deliveriesOf(
    ctx,
    items.map((row) => row.incident.id),
  );
  const isRefused = items.some(({ incident }) => incident.account !== null && incident.resolvedAt === null);
  const reaches = isRefused ? await read(ctx, (db) => readReaches(db, environment.id)) : null;
  return {
    items: items.map(({ incident, budgetName, flag, trigger }) => ({
      id: incident.id,
      title: incident.title,
      budget: incident.budgetId === null ? null : { id: incident.budgetId, name: budgetName ?? "" },
      model: incident.model,
      unpriced: incident.unpriced?.map(({ model }) => model) ?? null,
      account: accountOf(incident, reaches),
      drift: incident.drift,
      watch: watchOf(incident),
      trigger: triggerOf(trigger),
      flag: flag ?? (incident.watch?.flags.length === 1 ? (incident.watch.flags[0]?.flag ?? null) : null),
      steps: incident.steps,
      openedAt: incident.openedAt.toISOString(),
      acknowledgedAt: incident.acknowledgedAt?.toISOString() ?? null,
      acknowledgedBy: incident.acknowledgedBy,
      askedSince: (incident.askedSince ?? incident.openedAt).toISOString(),
      severity: incident.severity,
      resolvedAt: incident.resolvedAt?.toISOString() ?? null,
      alerts: deliveries.get(incident.id) ?? { sent: 0, waiting: 0, failed: 0 },
    })),
    nextCursor,
  };
}

/** How far the account's fault reaches, while the incident is open. */
function accountOf(
  { account: fault, openedAt, windowStartsAt, resolvedAt }: typeof incidents.$inferSelect,
  reaches: ReadonlyMap<AccountFault, Reach> | null,
): IncidentResource["account"] {
  if (fault === null) return null;
  const reach = resolvedAt === null ? reaches?.get(fault) : undefined;
  if (reach !== undefined) return { fault, ...reach, since: reach.since.toISOString() };
  return { fault, flags: [], instances: [], running: 0, since: (windowStartsAt ?? openedAt).toISOString() };
}

function watchOf({ watch }: typeof incidents.$inferSelect): IncidentResource["watch"] {
  if (watch === null) return null;
  return {
    kind: watch.kind,
    flags: watch.flags.map(({ flag, sinceMs, heldAtMs, endedAtMs, value, now, worstValue, against, limit }) => ({
      flag,
      since: timeOf(sinceMs),
      heldAt: new Date(heldAtMs).toISOString(),
      endedAt: timeOf(endedAtMs),
      value,
      now,
      worst: worstValue,
      against,
      limit,
    })),
  };
}

function timeOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

/** Null also where the trigger was deleted since: its words are in the steps. */
function triggerOf(row: TriggerColumns): IncidentResource["trigger"] {
  const { name, source, alert, flags, clearedAt } = row;
  if (name === null || source === null || alert === null) return null;
  return { name, source, alert, flags: flags ?? [], clearedAt: clearedAt?.toISOString() ?? null };
}

async function deliveriesOf(ctx: Ctx, ids: readonly string[]) {
  const counts = new Map<string, { sent: number; waiting: number; failed: number }>();
  if (ids.length === 0) return counts;
  const rows = await read(ctx, (db) =>
    db
      .select({ id: outbox.incidentId, deliveredAt: outbox.deliveredAt, failedAt: outbox.failedAt })
      .from(outbox)
      .where(inArray(outbox.incidentId, [...ids])),
  );
  for (const { id, deliveredAt, failedAt } of rows) {
    if (id === null) continue;
    const count = counts.get(id) ?? { sent: 0, waiting: 0, failed: 0 };
    if (deliveredAt !== null) count.sent += 1;
    else if (failedAt !== null) count.failed += 1;
    else count.waiting += 1;
    counts.set(id, count);
  }
  return counts;
}

function olderThan({ openedAt, id }: Opened): SQL {
  return sql`(${incidents.openedAt}, ${incidents.id}) < (${openedAt.toISOString()}::timestamptz, ${id})`;
}
