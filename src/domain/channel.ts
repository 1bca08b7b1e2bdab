/** Where alerts go: the kinds of receivers, how many an environment may have, and what an alert is to them. */

import type { QuietHours } from "./quiet-hours.ts";

export const CHANNEL_KINDS = ["slack", "pagerduty", "webhook", "email"] as const;
export type ChannelKind = (typeof CHANNEL_KINDS)[number];

export const MAX_CHANNELS_PER_ENVIRONMENT = 20;

/** Of the events of accounts outside the EU. @see https://developer.pagerduty.com/docs/send-alert-event */
export const PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue";

/** When a channel is told. */
export interface ChannelTold {
  /** Only of an incident that nobody acknowledged for so long; null: of each at once. */
  escalateAfterMinutes: number | null;
  /** Of nothing that is less bad. */
  minSeverity: Severity;
  /** What is not critical waits for their end, and comes as one digest; null: none. */
  quietHours: QuietHours | null;
}

/** How long an incident waits for somebody before it escalates, and at most. */
export const DEFAULT_ESCALATE_AFTER_MINUTES = 15;
export const MAX_ESCALATE_AFTER_MINUTES = 1_440;

/** The URL of an e-mail channel, and back. One address: an alert has one fate. */
export const mailtoOf = (address: string): string => `mailto:${address}`;
export const addressOf = (url: string): string => url.slice("mailto:".length);

/** The mail server that e-mail goes by. */
export interface Smtp {
  /** With the user and password, if any: a secret. */
  url: string;
  from: string;
  /** A password is not sent to another machine in the clear. */
  requireTls: boolean;
}

/** From the least to the worst; the words of PagerDuty's Events API v2. */
export const SEVERITIES = ["info", "warning", "error", "critical"] as const;
export type Severity = (typeof SEVERITIES)[number];

/** Whether it is at least as bad. */
export function isAtLeast(severity: Severity, least: Severity): boolean {
  return worse(severity, least) === severity;
}

/** The worse of both. */
export function worse(a: Severity, b: Severity): Severity {
  return SEVERITIES.indexOf(a) >= SEVERITIES.indexOf(b) ? a : b;
}

/** What an alert does to the page of its incident: opens it or adds to it, says that somebody is on it, or closes it. */
export type AlertEvent = "trigger" | "acknowledge" | "resolve";
