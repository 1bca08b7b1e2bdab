/**
 * Sends one alert to one channel, once. Never throws: what happened is the answer, in words that hold neither the
 * channel's URL nor anything that its receiver wrote.
 */
import type { Clock } from "../../clock.ts";
import type { Message, Notify, Target } from "../../deps.ts";
import { type OutgoingRequest, post } from "./post.ts";
import { addressOf, type ChannelKind, type Smtp } from "../../domain/channel.ts";
import { mail } from "./email.ts";
import { pagerdutyRequest } from "./pagerduty.ts";
import { slackRequest } from "./slack.ts";
import { webhookRequest } from "./webhook.ts";

/** Sends over HTTP, and e-mail by SMTP. */
export function createNotify(clock: Clock, smtp: Smtp | null): Notify {
  return {
    send: async ({ kind, url, secret }, message, signal) => {
      if (kind === "email") return mail(clock, smtp, addressOf(url), message, signal);
      const request = requestOf({ kind, secret }, message, clock.nowMs());
      if (request === null) return { type: "refused", error: WITHOUT_SECRET };
      return post(clock, { kind, url }, request, signal);
    },
  };
}

const WITHOUT_SECRET = "This channel has no secret to send with. Edit it, and give it a new one.";

interface HttpTarget extends Pick<Target, "secret"> {
  kind: Exclude<ChannelKind, "email">;
}

/** Null when what it is sent with is not there. */
function requestOf({ kind, secret }: HttpTarget, message: Message, nowMs: number): OutgoingRequest | null {
  switch (kind) {
    case "slack":
      return slackRequest(message);
    case "pagerduty":
      return secret === null ? null : pagerdutyRequest(message, secret);
    case "webhook":
      return secret === null ? null : webhookRequest(message, secret, nowMs);
  }
}
