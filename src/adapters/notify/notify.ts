/**
 * Sends one alert to one channel, once. Never throws: what happened is the answer, in words that hold neither the
 * channel's URL nor anything that its receiver wrote.
 */
import type { Clock } from "../../clock.ts";
import type { Notify } from "../../deps.ts";
import { post } from "./post.ts";
import { slackRequest } from "./slack.ts";
import { webhookRequest } from "./webhook.ts";

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
