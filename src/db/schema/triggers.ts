/** Triggers, and the alerts that came by them. */
import { bigserial, boolean, index, integer, jsonb, pgTable, text, unique } from "drizzle-orm/pg-core";
import type { TriggerAction, TriggerSource } from "../../domain/trigger.ts";
import { moment } from "./columns.ts";
import { environmentId } from "./state.ts";

/** What an alert of another system does here. */
export const triggers = pgTable(
  "triggers",
  {
    id: text("id").primaryKey(),
    environmentId: environmentId(),
    name: text("name").notNull(),
    source: text("source").$type<TriggerSource>().notNull(),
    action: text("action").$type<TriggerAction>().notNull(),
    /** Of a downgrade; null: one further than now. */
    level: integer("level"),
    /** The flags that it pulls, or those that have the tag. */
    flags: jsonb("flags").$type<string[]>().notNull(),
    tag: text("tag"),
    /** What it switched ends by itself after so long; null: when somebody restores. */
    expiresMinutes: integer("expires_minutes"),
    paused: boolean("paused").notNull().default(false),
    /** What the sender signs with; null: it sends a token. */
    secret: text("secret"),
    version: integer("version").notNull().default(1),
    createdAt: moment("created_at").notNull(),
    /** The last delivery, and what came of it. */
    receivedAt: moment("received_at"),
    received: text("received"),
  },
  (t) => [unique("triggers_environment_name").on(t.environmentId, t.name)],
);

/** Alerts that fired: each once, however often it is told. Pruned when nobody can repeat them any more. */
export const triggerAlerts = pgTable(
  "trigger_alerts",
  {
    id: bigserial("id", { mode: "number" }).primaryKey(),
    triggerId: text("trigger_id")
      .notNull()
      .references(() => triggers.id, { onDelete: "cascade" }),
    identity: text("identity").notNull(),
    episode: text("episode").notNull(),
    startedAt: moment("started_at"),
    title: text("title").notNull(),
    firedAt: moment("fired_at").notNull(),
    /** When it was told of last: one that fires for months is known all the while. */
    heardAt: moment("heard_at").notNull(),
    clearedAt: moment("cleared_at"),
    /** What it switched. */
    flags: jsonb("flags").$type<string[]>().notNull(),
  },
  (t) => [
    index("trigger_alerts_identity").on(t.triggerId, t.identity, t.id),
    index("trigger_alerts_heard_at").on(t.heardAt),
  ],
);
