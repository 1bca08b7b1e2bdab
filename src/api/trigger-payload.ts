/**
 * What other systems send when an alert fires, as far as a trigger reads it. Keys that are not named here are accepted: each
 * of these formats grows. What was run and what was read is said at each.
 */
import { z } from "zod";
import { MAX_ALERTS_PER_DELIVERY, type TriggerAlert, type TriggerSource } from "../domain/trigger.ts";

const MAX_TITLE_CHARS = 200;
const MAX_URL_CHARS = 2_000;
/** The label, or field, by which an alert names the one flag that it is about. */
export const FLAG_LABEL = "andon_flag";

const text = z.string("must be a text");
const labels = z.record(z.string(), z.string("must be a text"), "must be an object of texts");
const moment = z.iso.datetime({ offset: true, error: "must be a time with its zone" });

/**
 * Alertmanager's webhook, version 4 (0.25 and 0.33.1 run), and Grafana's, which has its shape (read). Each alert says for
 * itself whether it fires: the status on top is "firing" while any of them is. `fingerprint` is of the labels alone;
 * `startsAt` tells one time from the next.
 * @see https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
 */
const alertmanager = z.looseObject({
  receiver: text.optional(),
  truncatedAlerts: z.number().optional(),
  alerts: z.array(
    z.looseObject({
      status: z.enum(["firing", "resolved"], 'must be "firing" or "resolved"'),
      labels,
      annotations: labels.optional(),
      startsAt: moment,
      generatorURL: text.optional(),
      fingerprint: text.optional(),
    }),
    "must be a list of alerts",
  ),
});

/**
 * Datadog's webhooks send what their template says; this is ours. `$ALERT_CYCLE_KEY` is the same from trigger to recovery.
 * @see https://docs.datadoghq.com/integrations/webhooks/
 */
const datadog = z.looseObject({
  transition: text,
  alertId: text,
  cycle: text,
  scope: text.optional(),
  title: text.optional(),
  url: text.optional(),
  flag: text.optional(),
});
export const DATADOG_TEMPLATE = `{
  "transition": "$ALERT_TRANSITION",
  "alertId": "$ALERT_ID",
  "scope": "$ALERT_SCOPE",
  "cycle": "$ALERT_CYCLE_KEY",
  "title": "$EVENT_TITLE",
  "url": "$LINK"
}`;
const DATADOG_STATES: Readonly<Record<string, TriggerAlert["state"]>> = {
  triggered: "firing",
  "re-triggered": "firing",
  recovered: "resolved",
};

/**
 * PagerDuty's webhooks, version 3 (read). An incident that is reopened fires anew, by the id of that event, which a retry
 * repeats.
 * @see https://developer.pagerduty.com/docs/webhooks-overview
 */
const pagerduty = z.looseObject({
  event: z.looseObject({
    id: text,
    event_type: text,
    occurred_at: moment.optional(),
    data: z.looseObject({
      id: text.optional(),
      title: text.nullish(),
      html_url: text.nullish(),
    }),
  }),
});
const PAGERDUTY_STATES: Readonly<Record<string, TriggerAlert["state"]>> = {
  "incident.triggered": "firing",
  "incident.reopened": "firing",
  "incident.resolved": "resolved",
};

const generic = z.strictObject({
  id: text.min(1, "must name the alert: the same while it fires and when it ends"),
  status: z.enum(["firing", "resolved"], 'must be "firing" or "resolved"'),
  title: text.optional(),
  startedAt: moment.optional(),
  url: text.optional(),
  flag: text.optional(),
});

export interface Delivery {
  alerts: TriggerAlert[];
  /** Alerts that the sender left out, or that are beyond MAX_ALERTS_PER_DELIVERY. */
  truncated: number;
}

/** What a delivery says, or the faults of it with their paths. */
export function readDelivery(source: TriggerSource, body: unknown) {
  return DELIVERIES[source].safeParse(body);
}

const one = (alert: TriggerAlert): Delivery => ({ alerts: [bounded(alert)], truncated: 0 });

const ofAlertmanager = alertmanager.transform(({ receiver = "", truncatedAlerts = 0, alerts }): Delivery => ({
  alerts: alerts.slice(0, MAX_ALERTS_PER_DELIVERY).map((alert) =>
    bounded({
      identity: `${receiver}:${alert.fingerprint ?? nameOf(alert.labels)}`,
      episode: alert.startsAt,
      startedAt: alert.startsAt,
      state: alert.status,
      title: alert.labels["alertname"] ?? alert.annotations?.["summary"] ?? "An alert",
      url: alert.generatorURL ?? null,
      flag: alert.labels[FLAG_LABEL] ?? null,
    }),
  ),
  truncated: truncatedAlerts + Math.max(0, alerts.length - MAX_ALERTS_PER_DELIVERY),
}));

const DELIVERIES = {
  alertmanager: ofAlertmanager,
  grafana: ofAlertmanager,
  datadog: datadog.transform(({ transition, alertId, scope = "", cycle, title, url, flag }) =>
    one({
      identity: `${alertId}:${scope}`,
      episode: cycle,
      startedAt: null,
      state: DATADOG_STATES[transition.toLowerCase()] ?? null,
      title: title ?? "An alert",
      url: url ?? null,
      flag: flag ?? null,
    }),
  ),
  pagerduty: pagerduty.transform(({ event: { id, event_type: type, data } }) =>
    one({
      identity: data.id ?? "",
      episode: type === "incident.reopened" ? id : "first",
      startedAt: null,
      state: data.id === undefined ? null : (PAGERDUTY_STATES[type] ?? null),
      title: data.title ?? "An incident",
      url: data.html_url ?? null,
      flag: null,
    }),
  ),
  generic: generic.transform(({ id, status, title, startedAt, url, flag }) =>
    one({
      identity: id,
      episode: startedAt ?? "",
      startedAt: startedAt ?? null,
      state: status,
      title: title ?? id,
      url: url ?? null,
      flag: flag === undefined || flag === "" ? null : flag,
    }),
  ),
} as const satisfies Record<TriggerSource, z.ZodType<Delivery>>;

/** As long as it is shown. */
function bounded(alert: TriggerAlert): TriggerAlert {
  return {
    ...alert,
    title: alert.title.trim().slice(0, MAX_TITLE_CHARS) || "An alert",
    url: alert.url !== null && /^https?:\/\//.test(alert.url) ? alert.url.slice(0, MAX_URL_CHARS) : null,
  };
}

/** Older versions give no fingerprint. */
function nameOf(of: Readonly<Record<string, string>>): string {
  const names = Object.keys(of).toSorted((a, b) => (a < b ? -1 : 1));
  return JSON.stringify(names.map((name) => [name, of[name]]));
}
