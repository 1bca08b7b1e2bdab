/** Incidents, the channels that alerts go to, and the alerts on their way. */
import { bigint, bigserial, index, integer, jsonb, pgTable, text, unique } from "drizzle-orm/pg-core";
import type { AccountFault } from "../../domain/account-fault.ts";
import type { AlertEvent, ChannelKind, Severity } from "../../domain/channel.ts";
import type { DriftPlace } from "../../domain/reconciliation.ts";
import type { QuietHours } from "../../domain/quiet-hours.ts";
import type { Unpriced } from "../../domain/unpriced.ts";
import type { IncidentWatch } from "../../domain/watch.ts";
import { budgets } from "./budgets.ts";
import { moment } from "./columns.ts";
import { environmentId } from "./state.ts";

export const incidents = pgTable(
  "incidents",
  {
    id: text("id").primaryKey(),
    environmentId: environmentId(),
    budgetId: text("budget_id").references(() => budgets.id, { onDelete: "set null" }),
    /** Names what it is about: one incident per cause and window. Its parts are in the columns. */
    cause: text("cause").notNull(),
    windowStartsAt: moment("window_starts_at"),
    /** The model that a breaker has taken out at `windowStartsAt`; null for a budget's. */
    model: text("model"),
    /** The models without a price that it is about; null for any other. */
    unpriced: jsonb("unpriced").$type<Unpriced[]>(),
    /** Why Claude refuses an account since `windowStartsAt`; null for what is not about one. */
    account: text("account").$type<AccountFault>(),
    /** Where Claude's bill differs from the ledger, as long as it does; null for what is not about that. */
    drift: jsonb("drift").$type<DriftPlace[]>(),
    /** What a watch has found, and how it stands; null for what is not a watch's. */
    watch: jsonb("watch").$type<IncidentWatch>(),
    /** The alert of another system that pulled the cord; null for what is not about one. */
    triggerAlertId: bigint("trigger_alert_id", { mode: "number" }),
    title: text("title").notNull(),
    /** The worst of its alerts so far. */
    severity: text("severity").$type<Severity>().notNull().default("info"),
    steps: jsonb("steps").$type<{ at: string; atPercent: number; action: string; text: string }[]>().notNull(),
    openedAt: moment("opened_at").notNull(),
    acknowledgedAt: moment("acknowledged_at"),
    acknowledgedBy: text("acknowledged_by"),
    /** Since when on-call is asked anew, after it had been acknowledged or resolved; null: since it opened. */
    askedSince: moment("asked_since"),
    resolvedAt: moment("resolved_at"),
  },
  (t) => [
    unique("incidents_cause").on(t.environmentId, t.cause),
    index("incidents_open").on(t.environmentId, t.resolvedAt),
  ],
);

/** Where alerts go. `secret` signs generic webhooks and is the routing key of PagerDuty; `url` is itself a secret for Slack. */
export const channels = pgTable(
  "channels",
  {
    id: text("id").primaryKey(),
    environmentId: environmentId(),
    kind: text("kind").$type<ChannelKind>().notNull(),
    name: text("name").notNull(),
    url: text("url").notNull(),
    secret: text("secret"),
    /** Of an incident that nobody acknowledged for so long; null: of each at once. */
    escalateAfterMinutes: integer("escalate_after_minutes"),
    minSeverity: text("min_severity").$type<Severity>().notNull().default("info"),
    quietHours: jsonb("quiet_hours").$type<QuietHours>(),
    version: integer("version").notNull().default(1),
    createdAt: moment("created_at").notNull(),
    testedAt: moment("tested_at"),
    testResult: text("test_result"),
  },
  (t) => [unique("channels_environment_name").on(t.environmentId, t.name)],
);

/** Links of alerts that somebody has used: each does what it says once. Kept until the link has expired. */
export const usedActionLinks = pgTable("used_action_links", {
  id: text("id").primaryKey(),
  usedAt: moment("used_at").notNull(),
  expiresAt: moment("expires_at").notNull(),
});

/** Alerts, written with the change they tell of, one row a channel; delivered by a job until acknowledged. */
export const outbox = pgTable(
  "outbox",
  {
    id: bigserial("id", { mode: "number" }).primaryKey(),
    environmentId: environmentId(),
    channelId: text("channel_id")
      .notNull()
      .references(() => channels.id, { onDelete: "cascade" }),
    incidentId: text("incident_id").references(() => incidents.id, { onDelete: "cascade" }),
    /** The same alert is written once a channel, whoever notices first. */
    dedupKey: text("dedup_key").notNull(),
    /** Sent as the Standard Webhooks message id, the same on every attempt. */
    messageId: text("message_id").notNull(),
    event: text("event").$type<AlertEvent>().notNull().default("trigger"),
    severity: text("severity").$type<Severity>().notNull().default("error"),
    /** The end of the quiet hours that it waits for, or has waited for; null: it did not have to. */
    heldUntil: moment("held_until"),
    /** The routing key that PagerDuty took a trigger by: no other can close its page. */
    sentBy: text("sent_by"),
    payload: jsonb("payload").$type<unknown>().notNull(),
    createdAt: moment("created_at").notNull(),
    attempts: integer("attempts").notNull().default(0),
    nextAttemptAt: moment("next_attempt_at").notNull(),
    lastError: text("last_error"),
    deliveredAt: moment("delivered_at"),
    /** Given up after the last attempt; shown on the page until somebody retries. */
    failedAt: moment("failed_at"),
  },
  (t) => [
    unique("outbox_dedup").on(t.channelId, t.dedupKey),
    index("outbox_due").on(t.deliveredAt, t.failedAt, t.nextAttemptAt),
  ],
);
