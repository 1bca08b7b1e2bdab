/**
 * An alert as an event of PagerDuty. The incident's id is the dedup key: all its alerts are one page, which the resolve
 * closes.
 */
import type { Message } from "../../deps.ts";
import type { OutgoingRequest } from "./post.ts";

/** @see https://developer.pagerduty.com/docs/send-alert-event */
const MAX_SUMMARY_CHARS = 1_024;
/** Of what is said in full, so that the whole stays far below PagerDuty's 512 KB. */
const MAX_DETAIL_CHARS = 8_192;

export function pagerdutyRequest({ id, event, alert }: Message, routingKey: string): OutgoingRequest {
  const about = { routing_key: routingKey, event_action: event, dedup_key: `andon/${alert.incidentId ?? id}` };
  if (event !== "trigger") return { headers: {}, body: JSON.stringify(about) };
  return {
    headers: {},
    body: JSON.stringify({
      ...about,
      client: "Andon",
      client_url: alert.url,
      links: [
        { href: alert.url, text: "Open the board" },
        ...alert.actions.map(({ url, label }) => ({ href: url, text: label })),
      ],
      payload: {
        summary: shortened(`${alert.title} (${alert.environment})`, MAX_SUMMARY_CHARS),
        source: `andon/${alert.environment}`,
        severity: alert.severity,
        timestamp: alert.at,
        group: alert.environment,
        class: alert.type,
        custom_details: { text: shortened(alert.text, MAX_DETAIL_CHARS) },
      },
    }),
  };
}

/** At most `maxChars` UTF-16 units, no character cut in half. */
function shortened(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text;
  return `${text.slice(0, maxChars - 1).replace(/[\uD800-\uDBFF]$/, "")}…`;
}
