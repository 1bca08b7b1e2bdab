/**
 * The hot SQL of the outbox. A row is claimed by one `update` that counts the attempt and hides the row for a lease, so
 * two servers never send it at once and a crash does not lose it; the attempt's number fences off whoever comes late.
 * While a row is leased its `last_error` is null: that is how it is told from one that waits for its next attempt.
 */
import {
  and,
  asc,
  desc,
  eq,
  gt,
  isNotNull,
  isNull,
  lt,
  lte,
  min,
  ne,
  notExists,
  notInArray,
  or,
  sql,
} from "drizzle-orm";
import { alias } from "drizzle-orm/pg-core";
import type { Change } from "../../change.ts";
import type { Ctx, Deps } from "../../deps.ts";
import type { AlertPayload } from "../../api/alert.ts";
import { channels, incidents, outbox } from "../../db/schema/incidents.ts";
import type { Db } from "../../db/types.ts";
import { type Severity, worse } from "../../domain/channel.ts";
import type { Outcome } from "../../domain/delivery.ts";
import { eventOf, severityOf } from "./severity.ts";

/** Longer than any attempt; after it an attempt that left no trace counts as lost. */
export const LEASE_MS = 30_000;
/**
 * So many failures in a row hold up the alerts behind them, which keeps the order over a short outage. After that an
 * alert steps aside: one that its receiver never takes must not keep the others back.
 */
const HOLDING_ATTEMPTS = 4;
/** How long alerts are kept that were delivered or given up. */
const KEPT_MS = 90 * 24 * 3_600_000;

export type Claimed = typeof outbox.$inferSelect & { channel: typeof channels.$inferSelect };

/** Another alert, looked at beside one. */
const older = alias(outbox, "older");
/**
 * Of one incident an acknowledge or a resolve never overtakes what came before it, nor is overtaken: a trigger that came
 * after its resolve would open a page that nothing closes.
 */
const isBeforeInIncident = and(
  eq(older.incidentId, outbox.incidentId),
  or(ne(older.event, "trigger"), ne(outbox.event, "trigger")),
);

const waiting = and(isNull(outbox.deliveredAt), isNull(outbox.failedAt));

interface NewAlert {
  incidentId: string | null;
  dedupKey: string;
  payload: AlertPayload;
}

/** One outbox row for each channel of the environment; a row that is there already stays. */
export async function enqueue(ctx: Ctx, open: Change, alert: NewAlert): Promise<void> {
  const { tx, environment, at } = open;
  const severity = await graded(open, alert);
  const targets = await tx
    .select({ id: channels.id })
    .from(channels)
    .where(eq(channels.environmentId, environment.id))
    .orderBy(asc(channels.id));
  if (targets.length === 0) return;
  await tx
    .insert(outbox)
    .values(
      targets.map(({ id }) => ({
        environmentId: environment.id,
        channelId: id,
        incidentId: alert.incidentId,
        dedupKey: alert.dedupKey,
        messageId: `msg_${ctx.deps.newId()}`,
        event: eventOf(alert.payload),
        severity,
        payload: alert.payload,
        createdAt: at,
        nextAttemptAt: at,
      })),
    )
    .onConflictDoNothing();
}

/** How bad it is, which its incident then is at least; that of the incident for what makes nothing worse. */
async function graded({ tx }: Change, { incidentId, payload }: NewAlert): Promise<Severity> {
  const own = severityOf(payload);
  if (incidentId === null) return own ?? "info";
  const ofIncident = eq(incidents.id, incidentId);
  const [incident] = await tx.select({ severity: incidents.severity }).from(incidents).where(ofIncident);
  const known = incident?.severity ?? "info";
  if (own === null) return known;
  const severity = worse(own, known);
  if (severity !== known) await tx.update(incidents).set({ severity }).where(ofIncident);
  return own;
}

/** Channels with something due, those that waited longest first, without those in `busy`. */
export async function dueChannels(db: Db, now: Date, busy: readonly string[], limit: number): Promise<string[]> {
  const rows = await db
    .select({ channelId: outbox.channelId })
    .from(outbox)
    .where(
      and(
        waiting,
        lte(outbox.nextAttemptAt, now),
        busy.length === 0 ? undefined : notInArray(outbox.channelId, [...busy]),
      ),
    )
    .groupBy(outbox.channelId)
    .orderBy(asc(min(outbox.nextAttemptAt)), asc(outbox.channelId))
    .limit(limit);
  return rows.map((row) => row.channelId);
}

/** Takes the oldest alert of the channel that may be sent now; null when there is none. */
export async function claimNext(db: Db, channelId: string, now: Date): Promise<Claimed | null> {
  const next = db
    .select({ id: outbox.id })
    .from(outbox)
    .where(
      and(
        eq(outbox.channelId, channelId),
        waiting,
        lte(outbox.nextAttemptAt, now),
        notExists(
          db
            .select({ one: sql`1` })
            .from(older)
            .where(
              and(
                eq(older.channelId, channelId),
                isNull(older.deliveredAt),
                isNull(older.failedAt),
                lt(older.id, outbox.id),
                or(lt(older.attempts, HOLDING_ATTEMPTS), isBeforeInIncident),
              ),
            ),
        ),
      ),
    )
    .orderBy(asc(outbox.id))
    .limit(1)
    .for("update", { skipLocked: true });
  const rows = await db
    .update(outbox)
    .set({
      attempts: sql`${outbox.attempts} + 1`,
      nextAttemptAt: new Date(now.getTime() + LEASE_MS),
      lastError: null,
    })
    .from(channels)
    .where(and(eq(outbox.id, sql`(${next})`), eq(channels.id, outbox.channelId)))
    .returning();
  const row = rows[0];
  if (row === undefined) return null;
  const { channels: channel, ...alert } = row;
  return { ...alert, channel };
}

/** The routing key by which the channel took the newest trigger of the incident: PagerDuty drops a resolve by another. */
export async function keyOfPage(db: Db, { channel, incidentId, id }: Claimed): Promise<string | null> {
  if (incidentId === null) return null;
  const [trigger] = await db
    .select({ sentBy: outbox.sentBy })
    .from(outbox)
    .where(
      and(
        eq(outbox.channelId, channel.id),
        eq(outbox.incidentId, incidentId),
        lt(outbox.id, id),
        isNotNull(outbox.sentBy),
      ),
    )
    .orderBy(desc(outbox.id))
    .limit(1);
  return trigger?.sentBy ?? null;
}

/** Writes what became of a claimed alert, unless another attempt has begun since. */
export async function settle(db: Db, claimed: Claimed, outcome: Outcome, now: Date): Promise<void> {
  const { id, attempts, channel, event } = claimed;
  const opensPage = outcome.type === "delivered" && channel.kind === "pagerduty" && event === "trigger";
  await db
    .update(outbox)
    .set({ ...columnsOf(outcome, now), ...(opensPage && { sentBy: channel.secret }) })
    .where(and(eq(outbox.id, id), eq(outbox.attempts, attempts), waiting));
  if (outcome.type === "delivered") await hurry(db, channel.id, now);
}

/** The channel works (again): whatever waits there for its next attempt is due now. */
export async function hurry(db: Db, channelId: string, now: Date): Promise<void> {
  await db
    .update(outbox)
    .set({ nextAttemptAt: now })
    .where(and(eq(outbox.channelId, channelId), waiting, isNotNull(outbox.lastError), gt(outbox.nextAttemptAt, now)));
}

/** Removes alerts that nobody looks at any more. */
export async function pruneAlerts({ db, clock }: Pick<Deps, "db" | "clock">): Promise<void> {
  const before = new Date(clock.nowMs() - KEPT_MS);
  await db.delete(outbox).where(or(lt(outbox.deliveredAt, before), lt(outbox.failedAt, before)));
}

function columnsOf(outcome: Outcome, now: Date) {
  switch (outcome.type) {
    case "delivered":
      return { deliveredAt: now, lastError: null };
    case "wait":
      return { nextAttemptAt: new Date(outcome.nextAttemptAtMs), lastError: outcome.error };
    case "failed":
      return { failedAt: now, lastError: outcome.error };
  }
}
