/** What was held in quiet hours as one message: a line for each, oldest first; a webhook is sent each in full beside it. */
import { z } from "zod";
import type { Deps, Message } from "../../deps.ts";
import { type Severity, worse } from "../../domain/channel.ts";
import type { Claimed } from "./outbox.ts";

/** So that the lines of a digest fit into one message of Slack. */
const MAX_LINE_CHARS = 150;

/** What has to be there to send an alert; a webhook is sent the rest of it too. */
export const alertSchema = z.looseObject({
  type: z.string(),
  environment: z.string(),
  incidentId: z.string().nullable(),
  title: z.string(),
  text: z.string(),
  at: z.string(),
  url: z.string(),
});

/** The digest of at least two alerts of one channel. */
export function digestOf(
  batch: readonly [Claimed, ...Claimed[]],
  { clock, config }: Pick<Deps, "clock" | "config">,
): Message | null {
  const [first] = batch;
  const alerts = batch.flatMap((claimed) => {
    const alert = alertSchema.safeParse(claimed.payload);
    return alert.success ? [{ ...alert.data, severity: claimed.severity, event: claimed.event }] : [];
  });
  const environment = alerts[0]?.environment;
  if (environment === undefined) return null;
  const lines = alerts.map(({ at, title, text, event }) => lineOf(at, event === "trigger" ? title : text));
  const title = `${batch.length} alerts were held in quiet hours`;
  return {
    id: first.messageId,
    event: "trigger",
    alert: {
      type: "digest",
      environment,
      incidentId: null,
      title,
      text: `${title}:\n${lines.join("\n")}`,
      at: new Date(clock.nowMs()).toISOString(),
      url: `${config.publicUrl}/e/${environment}/incidents`,
      severity: alerts.map(({ severity }) => severity).reduce<Severity>(worse, "info"),
      actions: [],
      alerts: alerts.map(({ event: _event, ...alert }) => alert),
    },
  };
}

/** "2026-11-21 02:41 UTC: Daily reached 80 % of $50.00". */
function lineOf(at: string, said: string): string {
  const line = `${at.slice(0, 16).replace("T", " ")} UTC: ${said}`;
  return line.length <= MAX_LINE_CHARS ? line : `${line.slice(0, MAX_LINE_CHARS - 1)}…`;
}
