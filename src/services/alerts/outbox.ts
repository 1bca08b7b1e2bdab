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
  gte,
  inArray,
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
import { type AlertEvent, isAtLeast, type Severity, worse } from "../../domain/channel.ts";
import type { Outcome } from "../../domain/delivery.ts";
import { quietUntilMs } from "../../domain/quiet-hours.ts";
import { eventOf, severityOf } from "./severity.ts";

/** Longer than any attempt; after it an attempt that left no trace counts as lost. */
export const LEASE_MS = 30_000;
/**
 * So many failures in a row hold up the alerts behind them, which keeps the order over a short outage. After that an
 * alert steps aside: one that its receiver never takes must not keep the others back.
 */
const HOLDING_ATTEMPTS = 4;
/** Alerts of one digest: each has its line in a message of Slack. */
const MAX_DIGEST = 15;
/** How long alerts are kept that were delivered or given up. */
const KEPT_MS = 90 * 24 * 3_600_000;

type ChannelRow = typeof channels.$inferSelect;
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

/** One outbox row for each channel that is to be told; a row that is there already stays. */
export async function enqueue(ctx: Ctx, open: Change, alert: NewAlert): Promise<void> {
  const severity = await graded(open, alert);
  await write(ctx, open, alert, severity, await whoIsTold(open, alert, severity));
}

/** The same for these channels alone. */
export async function enqueueTo(
  ctx: Ctx,
  open: Change,
  alert: NewAlert,
  targets: readonly Pick<ChannelRow, "id" | "quietHours">[],
): Promise<void> {
  await write(ctx, open, alert, await graded(open, alert), targets);
}

/** What is not critical waits for the end of the channel's quiet hours; what is takes along what of its incident waits. */
async function write(
  ctx: Ctx,
  { tx, environment, at }: Change,
  alert: NewAlert,
  severity: Severity,
  targets: readonly Pick<ChannelRow, "id" | "quietHours">[],
): Promise<void> {
  const { incidentId, dedupKey, payload } = alert;
  if (severity === "critical" && incidentId !== null) {
    for (const { id } of targets) await release(tx, id, at, incidentId);
  }
  if (targets.length === 0) return;
  const rows = targets.map(({ id, quietHours }) => {
    const isHeld = severity !== "critical" && quietHours !== null;
    const untilMs = isHeld ? quietUntilMs(quietHours, at.getTime()) : null;
    const heldUntil = untilMs === null ? null : new Date(untilMs);
    return {
      environmentId: environment.id,
      channelId: id,
      incidentId,
      dedupKey,
      messageId: `msg_${ctx.deps.newId()}`,
      event: eventOf(payload),
      severity,
      heldUntil,
      payload,
      createdAt: at,
      nextAttemptAt: heldUntil ?? at,
    };
  });
  await tx.insert(outbox).values(rows).onConflictDoNothing();
}

/** What waits for the end of quiet hours, of one incident or all, is due now. */
export async function release(tx: Db, channelId: string, at: Date, incidentId?: string): Promise<void> {
  await tx
    .update(outbox)
    .set({ heldUntil: null, nextAttemptAt: at })
    .where(
      and(
        eq(outbox.channelId, channelId),
        incidentId === undefined ? undefined : eq(outbox.incidentId, incidentId),
        waiting,
        gt(outbox.heldUntil, at),
      ),
    );
}

/**
 * Every channel of the environment for which it is bad enough, but those for escalation, which hear of an incident from then
 * on that it escalated. That somebody is on it, or that it is over, is told to those who had heard of it.
 */
async function whoIsTold(
  { tx, environment }: Change,
  { incidentId, payload }: NewAlert,
  severity: Severity,
): Promise<ChannelRow[]> {
  const all = await tx
    .select()
    .from(channels)
    .where(eq(channels.environmentId, environment.id))
    .orderBy(asc(channels.id));
  const event = eventOf(payload);
  const heard = incidentId === null ? new Set<string>() : await whoHeard(tx, incidentId, event);
  return all.filter(({ id, escalateAfterMinutes, minSeverity }) => {
    const isToldAtOnce = escalateAfterMinutes === null && isAtLeast(severity, minSeverity);
    switch (event) {
      case "trigger":
        return isToldAtOnce || (heard.has(id) && isAtLeast(severity, minSeverity));
      case "acknowledge":
        return heard.has(id);
      case "resolve":
        return isToldAtOnce || heard.has(id);
    }
  });
}

/** Channels that were told of the incident: of a further step, since on-call was last asked; else ever. */
async function whoHeard(tx: Db, incidentId: string, event: AlertEvent): Promise<ReadonlySet<string>> {
  const rows = await tx
    .selectDistinct({ channelId: outbox.channelId })
    .from(outbox)
    .innerJoin(incidents, eq(incidents.id, outbox.incidentId))
    .where(
      and(
        eq(outbox.incidentId, incidentId),
        event === "trigger" ? or(isNull(incidents.askedSince), gte(outbox.createdAt, incidents.askedSince)) : undefined,
      ),
    );
  return new Set(rows.map(({ channelId }) => channelId));
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
                or(and(lt(older.attempts, HOLDING_ATTEMPTS), notHeldAt(older, now)), isBeforeInIncident),
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

/** What waits for the end of quiet hours holds up nothing that does not. */
function notHeldAt({ heldUntil }: Pick<typeof older, "heldUntil">, now: Date) {
  return or(isNull(heldUntil), lte(heldUntil, now));
}

/** Takes what waited with this alert for the end of quiet hours, the oldest first: all of it is one digest. */
export async function claimHeldWith(db: Db, { id, channel }: Claimed, now: Date): Promise<Claimed[]> {
  const held = db
    .select({ id: outbox.id })
    .from(outbox)
    .where(
      and(
        eq(outbox.channelId, channel.id),
        gt(outbox.id, id),
        waiting,
        lte(outbox.heldUntil, now),
        lte(outbox.nextAttemptAt, now),
      ),
    )
    .orderBy(asc(outbox.id))
    .limit(MAX_DIGEST - 1)
    .for("update", { skipLocked: true });
  const rows = await db
    .update(outbox)
    .set({
      attempts: sql`${outbox.attempts} + 1`,
      nextAttemptAt: new Date(now.getTime() + LEASE_MS),
      lastError: null,
    })
    .where(inArray(outbox.id, held))
    .returning();
  return rows.toSorted((a, b) => a.id - b.id).map((row) => ({ ...row, channel }));
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
