/**
 * The test of a channel: one attempt by the same way that alerts go, with the result at once. Never put off or repeated.
 * The page that it opens at PagerDuty is closed with it.
 */
import { eq } from "drizzle-orm";
import { requireEnvironment } from "../../authorize.ts";
import { insertAudit } from "../../change.ts";
import type { Alert, Ctx } from "../../deps.ts";
import { readFor, withTransaction } from "../../transaction.ts";
import { channels } from "../../db/schema/incidents.ts";
import type { ChannelTest } from "../../api/channel.ts";
import type { AlertEvent } from "../../domain/channel.ts";
import { sentText } from "../../domain/delivery.ts";
import { requireChannel } from "./channels.ts";

/** Sends a test alert and says what came of it; that it was not delivered is an answer, not an error. */
export async function testChannel(ctx: Ctx, environmentKey: string, channelId: string): Promise<ChannelTest> {
  const { clock, notify, config } = ctx.deps;
  const environment = await requireEnvironment(ctx, environmentKey, "operator");
  const channel = await readFor(ctx, "operator", (db) => requireChannel(db, environment.id, channelId));
  const id = `msg_${ctx.deps.newId()}`;
  const alert: Alert = {
    type: "test",
    environment: environment.key,
    incidentId: null,
    title: "Test alert",
    text: `This is a test, sent by ${ctx.actor.name}. Alerts of ${environment.name} reach you here.`,
    at: new Date(clock.nowMs()).toISOString(),
    url: `${config.publicUrl}/e/${environment.key}`,
    severity: "info",
    actions: [],
  };
  // No database connection is held while the receiver takes its time.
  const send = (event: AlertEvent) => notify.send(channel, { id, event, alert }, new AbortController().signal);
  const opened = await send("trigger");
  const sent = channel.kind === "pagerduty" && opened.type === "delivered" ? await send("resolve") : opened;
  const isLeftOpen = opened.type === "delivered" && sent.type !== "delivered";
  const text = isLeftOpen
    ? `The page was opened and could not be closed, close it there: ${sentText(sent)}`
    : sentText(sent);
  const at = new Date(clock.nowMs());
  await withTransaction(ctx, async (tx) => {
    await tx.update(channels).set({ testedAt: at, testResult: text }).where(eq(channels.id, channelId));
    const entry = { action: "channel.tested", target: channel.name, after: { text } } as const;
    await insertAudit(ctx, tx, entry, { environmentId: environment.id, revision: null, at });
  });
  return { delivered: sent.type === "delivered", text };
}
