/** Whether a delivery is signed by its sender, where that sends no token. Signatures are compared in constant time. */
import { createHmac, timingSafeEqual } from "node:crypto";
import { Webhook, WebhookVerificationError } from "standardwebhooks";
import type { TriggerRow } from "../../services/triggers/rows.ts";

type HeaderReader = (name: string) => string | undefined;

/** True when the trigger has a secret and the body is signed with it as the trigger's source signs. */
export function isSigned({ source, secret }: TriggerRow, header: HeaderReader, body: string): boolean {
  if (secret === null) return false;
  switch (source) {
    case "grafana":
      return byGrafana(secret, header, body);
    case "pagerduty":
      return byPagerDuty(secret, header, body);
    case "generic":
      return byStandardWebhooks(secret, header, body);
    case "alertmanager":
    case "datadog":
      return false;
  }
}

/**
 * Bare hexadecimal HMAC-SHA-256 over the body, or over `timestamp:body` when Grafana is told to send a timestamp.
 * @see https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
 */
function byGrafana(secret: string, header: HeaderReader, body: string): boolean {
  const timestamp = header("x-grafana-alerting-timestamp");
  const signed = timestamp === undefined ? body : `${timestamp}:${body}`;
  return equal(header("x-grafana-alerting-signature") ?? "", hmac(secret, signed));
}

/**
 * `v1=<hexadecimal>`, several while a secret is replaced.
 * @see https://developer.pagerduty.com/docs/verifying-webhook-signatures
 */
function byPagerDuty(secret: string, header: HeaderReader, body: string): boolean {
  const signatures = (header("x-pagerduty-signature") ?? "").split(",");
  return signatures.some((signature) => equal(signature.trim(), `v1=${hmac(secret, body)}`));
}

/** By its specification a message is good for five minutes of the wall clock. */
function byStandardWebhooks(secret: string, header: HeaderReader, body: string): boolean {
  const names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
  const headers = Object.fromEntries(names.map((name) => [name, header(name) ?? ""]));
  try {
    new Webhook(secret, secret.startsWith("whsec_") ? {} : { format: "raw" }).verify(body, headers, {
      jsonParse: false,
    });
    return true;
  } catch (error) {
    if (error instanceof WebhookVerificationError) return false;
    throw error;
  }
}

function hmac(secret: string, text: string): string {
  return createHmac("sha256", secret).update(text).digest("hex");
}

function equal(given: string, right: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}
