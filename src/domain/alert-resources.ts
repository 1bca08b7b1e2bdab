/** What the API and the board show of channels and alerts. Never a URL or secret that could be used. */
import type { ChannelKind } from "./channel.ts";

export interface ChannelResource {
  id: string;
  kind: ChannelKind;
  name: string;
  /** Masked: host and last four characters. */
  url: string;
  version: number;
  createdAt: string;
  testedAt: string | null;
  /** What the last test came to, in a sentence. */
  testResult: string | null;
  alerts: { waiting: number; failed: number };
}

export const ALERT_STATES = ["waiting", "sent", "failed"] as const;
export type AlertState = (typeof ALERT_STATES)[number];

/** One alert to one channel. */
export interface AlertResource {
  id: number;
  channel: { id: string; name: string; kind: ChannelKind };
  incidentId: string | null;
  type: string;
  title: string;
  text: string;
  state: AlertState;
  /** Attempts so far, the one under way included. */
  attempts: number;
  /** Why the last attempt did not deliver it; null also while one is under way. */
  lastError: string | null;
  /** Null unless it waits; null also while an attempt is under way. */
  nextAttemptAt: string | null;
  createdAt: string;
  deliveredAt: string | null;
  failedAt: string | null;
}

export interface ChannelTest {
  delivered: boolean;
  /** "Delivered in 120 ms.", or why it was not. */
  text: string;
}
