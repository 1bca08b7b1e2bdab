/**
 * Escalation: an incident that nobody acknowledges is told to further channels, each after its own number of minutes. Once a
 * channel, and again only when on-call was asked anew.
 */
import { and, asc, eq, gte, isNotNull, isNull, notExists, sql } from "drizzle-orm";
import { alias } from "drizzle-orm/pg-core";
import { change } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { channels, incidents, outbox } from "../../db/schema/incidents.ts";
import type { Db } from "../../db/types.ts";
import { escalatedTitle } from "../../domain/alert-text.ts";
import { isAtLeast } from "../../domain/channel.ts";
import { enqueueTo } from "../alerts/outbox.ts";
import { alertOf } from "./incidents.ts";

/** Of an environment in one go; what is left has its turn a second later. */
const MAX_AT_ONCE = 100;
const MINUTE_MS = 60_000;

/** Since when on-call is asked. */
const askedSince = sql`coalesce(${incidents.askedSince}, ${incidents.openedAt})`.mapWith(incidents.openedAt);

/** A channel that is told at once. */
const first = alias(channels, "first");

/** Tells the channels for escalation of what has waited too long. */
export async function escalateDue(ctx: Ctx, environmentId: string): Promise<void> {
  const now = new Date(ctx.deps.clock.nowMs());
  if ((await dueEscalations(ctx.deps.db, environmentId, now)).length === 0) return;
  await change(ctx, environmentId, async (open) => {
    for (const { incident, channel, since, minutes } of await dueEscalations(open.tx, environmentId, now)) {
      const waitedMinutes = Math.floor((now.getTime() - since.getTime()) / MINUTE_MS);
      const title = escalatedTitle(waitedMinutes, incident.title);
      const last = incident.steps.at(-1)?.text;
      const alert = {
        incidentId: incident.id,
        dedupKey: `${incident.cause}:escalated:${since.getTime()}`,
        payload: {
          type: "incident.escalated",
          ...alertOf(ctx, open, { id: incident.id, title }),
          text: last === undefined ? `${title}.` : `${title}. ${last}`,
        },
      } as const;
      await enqueueTo(ctx, open, alert, [channel]);
      await open.note({
        action: "incident.escalated",
        target: incident.title,
        reason: `nobody has acknowledged for ${waitedMinutes} min`,
        after: { channel: channel.name, minutes },
      });
    }
  });
}

/** Since when somebody could acknowledge: quiet hours of the channels that are told first do not count. */
function toldSince(db: Db) {
  const firstTold = db
    .select({ at: sql`min(coalesce(${outbox.heldUntil}, ${outbox.createdAt}))` })
    .from(outbox)
    .innerJoin(first, eq(first.id, outbox.channelId))
    .where(
      and(
        eq(outbox.incidentId, incidents.id),
        eq(outbox.event, "trigger"),
        isNull(first.escalateAfterMinutes),
        gte(outbox.createdAt, askedSince),
      ),
    );
  return sql`greatest(${askedSince}, (${firstTold}))`.mapWith(incidents.openedAt);
}

/** The oldest first; of those alone that are bad enough for the channel. */
async function dueEscalations(db: Db, environmentId: string, now: Date) {
  const due = await db
    .select({
      incident: incidents,
      channel: channels,
      since: toldSince(db),
      minutes: sql`${channels.escalateAfterMinutes}`.mapWith(Number),
    })
    .from(incidents)
    .innerJoin(channels, eq(channels.environmentId, incidents.environmentId))
    .where(
      and(
        eq(incidents.environmentId, environmentId),
        isNull(incidents.resolvedAt),
        isNull(incidents.acknowledgedAt),
        isNotNull(channels.escalateAfterMinutes),
        sql`${toldSince(db)} <= ${now.toISOString()}::timestamptz - make_interval(mins => ${channels.escalateAfterMinutes})`,
        notExists(
          db
            .select({ one: sql`1` })
            .from(outbox)
            .where(
              and(
                eq(outbox.channelId, channels.id),
                eq(outbox.incidentId, incidents.id),
                gte(outbox.createdAt, askedSince),
              ),
            ),
        ),
      ),
    )
    .orderBy(asc(askedSince), asc(incidents.id))
    .limit(MAX_AT_ONCE);
  return due.filter(({ incident, channel }) => isAtLeast(incident.severity, channel.minSeverity));
}
