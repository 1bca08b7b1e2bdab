/**
 * Channels: where an environment's alerts go. Their URLs, signing secrets and routing keys leave the database only towards
 * the receiver; people, the audit and the log get a mask. A webhook's secret is shown once, when it is made.
 */
import { and, asc, count, eq, isNull } from "drizzle-orm";
import { requireEnvironment } from "../../authorize.ts";
import { type Change, change, type Changed } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { channels, outbox } from "../../db/schema/incidents.ts";
import type { Db } from "../../db/types.ts";
import { type ChannelTold, mailtoOf, MAX_CHANNELS_PER_ENVIRONMENT, PAGERDUTY_URL } from "../../domain/channel.ts";
import { same } from "../../domain/same.ts";
import type { ChannelResource, NewChannel, ChannelEdit } from "../../api/channel.ts";
import { AppError, invalid } from "../../errors.ts";
import { channelUrlFault, maskUrl } from "../../api/channel-url.ts";
import { one, requireRoom } from "../shared/one.ts";
import { requireMatch } from "../shared/if-match.ts";
import { hurry, release } from "./outbox.ts";

export type ChannelRow = typeof channels.$inferSelect;

/** `secret` is that of a webhook that was just made or given a new one; else null. It cannot be read again. */
export type ChannelWithSecret = ChannelResource & { secret: string | null };

const SECRET_BYTES = 32;
const TOO_MANY = `An environment holds at most ${MAX_CHANNELS_PER_ENVIRONMENT} channels. Delete unused ones.`;

/** All channels of an environment, by name. */
export async function listChannels(
  ctx: Ctx,
  environmentKey: string,
): Promise<{ items: ChannelResource[]; revision: string }> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  return read(ctx, async (db) => {
    const rows = await db
      .select()
      .from(channels)
      .where(eq(channels.environmentId, environment.id))
      .orderBy(asc(channels.name));
    const undelivered = await undeliveredOf(db, environment.id);
    return {
      items: rows.map((row) => channelResource(row, undelivered.get(row.id))),
      revision: ctx.deps.snapshots.revisionOf(environment.id, environment.revision),
    };
  });
}

/** Adds a channel. CONFLICT when the name is taken. */
export async function createChannel(
  ctx: Ctx,
  environmentKey: string,
  input: NewChannel,
): Promise<Changed<ChannelWithSecret>> {
  const environment = await requireEnvironment(ctx, environmentKey, "admin");
  const url = urlOf(input);
  return change(ctx, environment.id, async ({ tx, at, record }) => {
    const channelCount = await tx.$count(channels, eq(channels.environmentId, environment.id));
    requireRoom(channelCount + 1, MAX_CHANNELS_PER_ENVIRONMENT, TOO_MANY);
    const secret = input.kind === "webhook" ? newSigningSecret(ctx) : null;
    const routingKey = input.kind === "pagerduty" ? input.routingKey : null;
    const rows = await tx
      .insert(channels)
      .values({
        id: ctx.deps.newId(),
        environmentId: environment.id,
        kind: input.kind,
        name: input.name,
        url,
        secret: secret ?? routingKey,
        ...toldOf({ ...TOLD_OF_ALL, ...input }),
        createdAt: at,
      })
      .onConflictDoNothing()
      .returning();
    const row = one(rows, nameTaken(input.name), "CONFLICT");
    await record({ action: "channel.created", target: row.name, after: auditOf(row) });
    return { ...channelResource(row), secret };
  });
}

/** Where it is reached. INVALID for what cannot be one. */
function urlOf(input: NewChannel): string {
  if (input.kind === "email") return mailtoOf(input.to);
  const url = input.kind === "pagerduty" ? (input.url ?? PAGERDUTY_URL) : input.url;
  requireUrl(url);
  return url;
}

/** Edits a channel. Alerts that wait for a receiver with a wrong URL are sent to the new one at once. */
export async function updateChannel(
  ctx: Ctx,
  environmentKey: string,
  id: string,
  patch: ChannelEdit,
  ifMatch?: string,
): Promise<Changed<ChannelWithSecret>> {
  const environment = await requireEnvironment(ctx, environmentKey, "admin");
  if (patch.url !== undefined) requireUrl(patch.url);
  return change(ctx, environment.id, async (open) => {
    const current = await requireChannel(open.tx, environment.id, id);
    requireMatch(ifMatch, current.version);
    const renews = patch.newSecret === true;
    if (renews && current.kind !== "webhook") throw invalid("newSecret", "only a webhook is signed");
    const { routingKey } = patch;
    if (routingKey !== undefined && current.kind !== "pagerduty")
      throw invalid("routingKey", "only PagerDuty has a routing key");
    const name = patch.name ?? current.name;
    if (patch.url !== undefined && current.kind === "email")
      throw invalid("url", "e-mail goes to an address: give `to`");
    if (patch.to !== undefined && current.kind !== "email") throw invalid("to", "only e-mail goes to an address");
    const url = patch.to === undefined ? (patch.url ?? current.url) : mailtoOf(patch.to);
    const secret = renews ? newSigningSecret(ctx) : (routingKey ?? current.secret);
    const reaches = url !== current.url || secret !== current.secret;
    const told = toldOf({ ...current, ...patch });
    if (name === current.name && !reaches && same(told, toldOf(current))) {
      return { ...channelResource(current, await undeliveredIn(open, id)), secret: null };
    }
    await requireFreeName(open.tx, current, name);
    const rows = await open.tx
      .update(channels)
      .set({
        name,
        url,
        secret,
        ...told,
        ...(reaches && { testedAt: null, testResult: null }),
        version: current.version + 1,
      })
      .where(eq(channels.id, id))
      .returning();
    const row = one(rows, "This channel was deleted meanwhile.", "CONFLICT");
    if (reaches) await hurry(open.tx, id, open.at);
    if (!same(told.quietHours, current.quietHours)) await release(open.tx, id, open.at);
    await open.record({
      action: "channel.edited",
      target: row.name,
      ...(secret !== current.secret && { reason: renews ? "new signing secret" : "new routing key" }),
      before: auditOf(current),
      after: auditOf(row),
    });
    return { ...channelResource(row, await undeliveredIn(open, id)), secret: renews ? secret : null };
  });
}

/** Deletes a channel with the alerts that wait for it. */
export async function deleteChannel(
  ctx: Ctx,
  environmentKey: string,
  id: string,
  ifMatch?: string,
): Promise<Changed<null>> {
  const environment = await requireEnvironment(ctx, environmentKey, "admin");
  return change(ctx, environment.id, async ({ tx, record }) => {
    const current = await requireChannel(tx, environment.id, id);
    requireMatch(ifMatch, current.version);
    await tx.delete(channels).where(eq(channels.id, id));
    await record({
      action: "channel.deleted",
      target: current.name,
      before: auditOf(current),
    });
    return null;
  });
}

/** The channel's row; NOT_FOUND when this environment has none by the id. */
export async function requireChannel(db: Db, environmentId: string, id: string): Promise<ChannelRow> {
  const rows = await db
    .select()
    .from(channels)
    .where(and(eq(channels.environmentId, environmentId), eq(channels.id, id)));
  return one(rows, "There is no such channel in this environment.");
}

interface Undelivered {
  waiting: number;
  failed: number;
}

function channelResource(row: ChannelRow, alerts: Undelivered = { waiting: 0, failed: 0 }): ChannelResource {
  return {
    id: row.id,
    kind: row.kind,
    name: row.name,
    url: maskUrl(row.url),
    routingKey: maskedKey(row),
    ...toldOf(row),
    version: row.version,
    createdAt: row.createdAt.toISOString(),
    testedAt: row.testedAt?.toISOString() ?? null,
    testResult: row.testResult,
    alerts,
  };
}

/** What the audit keeps: nothing that could be used. */
function auditOf(row: ChannelRow) {
  const routingKey = maskedKey(row);
  return {
    kind: row.kind,
    name: row.name,
    url: maskUrl(row.url),
    ...(routingKey !== null && { routingKey }),
    ...toldOf(row),
  };
}

/** When it is told. */
function toldOf({ escalateAfterMinutes, minSeverity, quietHours }: ChannelTold): ChannelTold {
  return { escalateAfterMinutes, minSeverity, quietHours };
}

const TOLD_OF_ALL: ChannelTold = { escalateAfterMinutes: null, minSeverity: "info", quietHours: null };

/** Of a key's characters so many are shown, to tell it from another. */
const SHOWN_KEY_CHARS = 4;

function maskedKey({ kind, secret }: ChannelRow): string | null {
  return kind !== "pagerduty" || secret === null ? null : `…${secret.slice(-SHOWN_KEY_CHARS)}`;
}

/** Alerts of each channel that have not been delivered. */
async function undeliveredOf(db: Db, environmentId: string): Promise<Map<string, Undelivered>> {
  const rows = await db
    .select({ channelId: outbox.channelId, isWaiting: isNull(outbox.failedAt).mapWith(Boolean), n: count() })
    .from(outbox)
    .where(and(eq(outbox.environmentId, environmentId), isNull(outbox.deliveredAt)))
    .groupBy(outbox.channelId, isNull(outbox.failedAt));
  const counts = new Map<string, Undelivered>();
  for (const { channelId, isWaiting, n } of rows) {
    const known = counts.get(channelId) ?? { waiting: 0, failed: 0 };
    counts.set(channelId, isWaiting ? { ...known, waiting: n } : { ...known, failed: n });
  }
  return counts;
}

async function undeliveredIn({ tx, environment }: Change, channelId: string): Promise<Undelivered | undefined> {
  return (await undeliveredOf(tx, environment.id)).get(channelId);
}

function requireUrl(url: string): void {
  const fault = channelUrlFault(url);
  if (fault !== null) throw invalid("url", fault);
}

async function requireFreeName(tx: Db, current: ChannelRow, name: string): Promise<void> {
  if (name === current.name) return;
  const rows = await tx
    .select({ id: channels.id })
    .from(channels)
    .where(and(eq(channels.environmentId, current.environmentId), eq(channels.name, name)));
  if (rows.length > 0) throw new AppError("CONFLICT", nameTaken(name));
}

function nameTaken(name: string): string {
  return `There is a channel "${name}" already. Choose another name, or edit that channel.`;
}

/** As Standard Webhooks writes it: `whsec_` and base64, not base64url. */
function newSigningSecret(ctx: Ctx): string {
  const key = Buffer.from(ctx.deps.newSecret(SECRET_BYTES), "base64url");
  return `whsec_${key.toString("base64")}`;
}
