/** Where alerts go: the kinds of receivers, how many an environment may have, and what an alert is to them. */

export const CHANNEL_KINDS = ["slack", "pagerduty", "webhook"] as const;
export type ChannelKind = (typeof CHANNEL_KINDS)[number];

export const MAX_CHANNELS_PER_ENVIRONMENT = 20;

/** Of the events of accounts outside the EU. @see https://developer.pagerduty.com/docs/send-alert-event */
export const PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue";

/** From the least to the worst; the words of PagerDuty's Events API v2. */
export const SEVERITIES = ["info", "warning", "error", "critical"] as const;
export type Severity = (typeof SEVERITIES)[number];

/** The worse of both. */
export function worse(a: Severity, b: Severity): Severity {
  return SEVERITIES.indexOf(a) >= SEVERITIES.indexOf(b) ? a : b;
}

/** What an alert does to the page of its incident: opens it or adds to it, says that somebody is on it, or closes it. */
export type AlertEvent = "trigger" | "acknowledge" | "resolve";
