/** What Claude reports of the organisation, by day in UTC: of the whole installation, not of one environment. */
import { integer, numeric, pgTable, primaryKey, text } from "drizzle-orm/pg-core";
import { amount, moment } from "./columns.ts";

/** One row: how the reports are asked for. */
export const providerPolls = pgTable("provider_polls", {
  id: integer("id").primaryKey(),
  /** Tells the key, the address and the grouping of the poll from others; says nothing of the key. */
  settings: text("settings").notNull(),
  nextAt: moment("next_at").notNull(),
  /** The last one that went well. */
  readAt: moment("read_at"),
  failures: integer("failures").notNull().default(0),
  /** Why the last one did not, in words. */
  error: text("error"),
  errorAt: moment("error_at"),
});

/** When each day was last read. */
export const providerDays = pgTable("provider_days", {
  day: moment("day").primaryKey(),
  readAt: moment("read_at").notNull(),
});

/** Tokens, as far apart as their prices are; see domain/provider-report.ts. */
export const providerUsage = pgTable(
  "provider_usage",
  {
    day: moment("day").notNull(),
    workspace: text("workspace").notNull(),
    apiKey: text("api_key").notNull(),
    model: text("model").notNull(),
    tier: text("tier").notNull(),
    contextWindow: text("context_window").notNull(),
    geo: text("geo").notNull(),
    input: amount("input"),
    output: amount("output"),
    cacheWrite5m: amount("cache_write_5m"),
    cacheWrite1h: amount("cache_write_1h"),
    cacheRead: amount("cache_read"),
    webSearches: amount("web_searches"),
  },
  (t) => [
    primaryKey({
      name: "provider_usage_pk",
      columns: [t.day, t.workspace, t.apiKey, t.model, t.tier, t.contextWindow, t.geo],
    }),
  ],
);

/** Money that is billed. */
export const providerCosts = pgTable(
  "provider_costs",
  {
    day: moment("day").notNull(),
    workspace: text("workspace").notNull(),
    kind: text("kind").notNull(),
    model: text("model").notNull(),
    /** Below zero for what is credited. */
    nanoUsd: numeric("nano_usd", { mode: "bigint" }).notNull(),
  },
  (t) => [primaryKey({ columns: [t.day, t.workspace, t.kind, t.model] })],
);
