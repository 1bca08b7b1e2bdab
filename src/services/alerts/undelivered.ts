/**
 * Alerts that were tried and not taken: what makes a dead channel visible while its alerts still wait, which is a day
 * before they count as failed. One grouped query each, however many alerts there are.
 */
import { and, eq, isNotNull, isNull, max, or, sql } from "drizzle-orm";
import { requireEnvironment } from "../../authorize.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { channels, incidents, outbox } from "../../db/schema/incidents.ts";

/** Alerts that wait though somebody tried to deliver them. */
export interface UndeliveredAlerts {
  alerts: number;
  /** When the oldest of them was written; ISO 8601. */
  since: string;
  /** Why the oldest was not taken; null while it is being tried again. */
  error: string | null;
}

export interface ChannelTrouble {
  /** Written, tried and not taken. */
  since: string;
  error: string | null;
  /** Nothing was taken since: it is the channel, not one alert that it does not like. */
  takesNothing: boolean;
  /** Tried alerts that still wait; 0 when all of them were given up. */
  waiting: number;
}

const undelivered = isNull(outbox.deliveredAt);
/** The first attempt may be under way: only one that came to nothing counts. A leased row has no error for a while. */
const tried = sql`(${outbox.attempts} > 1 or ${outbox.lastError} is not null)`;
const instant = (text: string | Date) => new Date(text).toISOString();
const maybeInstant = (text: string | Date | null) => (text === null ? null : instant(text));

/** By the id of the open incident that they tell of. */
export async function undeliveredOfIncidents(
  ctx: Ctx,
  environmentKey: string,
): Promise<ReadonlyMap<string, UndeliveredAlerts>> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const rows = await read(ctx, (db) =>
    db
      .select({
        id: incidents.id,
        alerts: sql`count(*)`.mapWith(Number),
        since: sql`min(${outbox.createdAt})`.mapWith(instant),
        error: sql<string | null>`(array_agg(${outbox.lastError} order by ${outbox.id})
          filter (where ${outbox.lastError} is not null))[1]`,
      })
      .from(outbox)
      .innerJoin(incidents, eq(incidents.id, outbox.incidentId))
      .where(
        and(
          eq(outbox.environmentId, environment.id),
          isNull(incidents.resolvedAt),
          undelivered,
          isNull(outbox.failedAt),
          tried,
        ),
      )
      .groupBy(incidents.id),
  );
  return new Map(rows.map(({ id, ...alerts }) => [id, alerts]));
}

/** By the id of the channel; none for a channel that takes its alerts, or has none to take. */
export async function troubleOfChannels(
  ctx: Ctx,
  environmentKey: string,
): Promise<ReadonlyMap<string, ChannelTrouble>> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const rows = await read(ctx, (db) => {
    const taken = db
      .select({ channelId: outbox.channelId, at: max(outbox.deliveredAt).as("taken_at") })
      .from(outbox)
      .where(eq(outbox.environmentId, environment.id))
      .groupBy(outbox.channelId)
      .as("taken");
    const afterwards = sql`(${taken.at} is null or ${outbox.createdAt} > ${taken.at})`;
    return db
      .select({
        id: channels.id,
        waiting: sql`count(*) filter (where ${outbox.failedAt} is null)`.mapWith(Number),
        first: sql`min(${outbox.createdAt})`.mapWith(instant),
        nothingSince: sql`min(${outbox.createdAt}) filter (where ${afterwards})`.mapWith(maybeInstant),
        error: sql<string | null>`(array_agg(${outbox.lastError} order by ${outbox.failedAt} nulls first, ${outbox.id})
          filter (where ${outbox.lastError} is not null))[1]`,
      })
      .from(outbox)
      .innerJoin(channels, eq(channels.id, outbox.channelId))
      .innerJoin(taken, eq(taken.channelId, outbox.channelId))
      .where(
        and(
          eq(outbox.environmentId, environment.id),
          undelivered,
          or(and(isNull(outbox.failedAt), tried), and(isNotNull(outbox.failedAt), afterwards)),
        ),
      )
      .groupBy(channels.id);
  });
  return new Map(
    rows.map(({ id, waiting, first, nothingSince, error }) => [
      id,
      { waiting, since: nothingSince ?? first, error, takesNothing: nothingSince !== null },
    ]),
  );
}
