/** An alert as a Standard Webhook: JSON, signed, with an id that stays the same over all attempts. */
import { Webhook } from "standardwebhooks";
import type { Message } from "../../deps.ts";
import type { OutgoingRequest } from "./post.ts";

/** @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md */
export function webhookRequest({ id, alert }: Message, secret: string, nowMs: number): OutgoingRequest {
  const body = JSON.stringify({ id, ...alert });
  const at = new Date(nowMs);
  return {
    body,
    headers: {
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
      "webhook-signature": new Webhook(secret).sign(id, at, body),
    },
  };
}
