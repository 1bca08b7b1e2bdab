/**
 * Sends one alert to one channel, once. Never throws: what happened is the answer, in words that hold neither the
 * channel's URL nor anything that its receiver wrote.
 */
import type { Clock } from "../../deps.ts";
import type { ChannelKind } from "../../domain/channel.ts";
import type { Sent } from "../../domain/delivery.ts";
import { post } from "./post.ts";
import { slackRequest } from "./slack.ts";
import { webhookRequest } from "./webhook.ts";

export interface Target {
  kind: ChannelKind;
  url: string;
  /** `whsec_…`; null for Slack. */
  secret: string | null;
}

/** The fields that every alert has; a webhook is sent all that there are. */
export interface Alert {
  type: string;
  environment: string;
  title: string;
  text: string;
  url: string;
}

export interface Message {
  /** The same on every attempt, so that a receiver can drop a repeat. */
  id: string;
  alert: Alert;
}

export interface Notify {
  /** Resolves within `SEND_TIMEOUT_MS` of the clock; sooner, with a retry, when `signal` aborts. */
  send(target: Target, message: Message, signal: AbortSignal): Promise<Sent>;
}

/** Sends over HTTP. */
export function createNotify(clock: Clock): Notify {
  return {
    send: async ({ kind, url, secret }, message, signal) => {
      if (kind === "slack") return post(clock, { kind, url }, slackRequest(message), signal);
      if (secret === null) return { type: "refused", error: "This webhook has no signing secret. Make a new one." };
      return post(clock, { kind, url }, webhookRequest(message, secret, clock.nowMs()), signal);
    },
  };
}
