/**
 * The ledger: what calls used, by the minute and rolled up, and what is known from the newest of them; the prices that
 * operators set. Money is nano-USD.
 */
import { sql } from "drizzle-orm";
import { bigint, bigserial, boolean, index, integer, jsonb, pgTable, primaryKey, text } from "drizzle-orm/pg-core";
import type { PriceRow } from "../../../sdk-client/src/wire/price-row.ts";
import type { AccountFault } from "../../domain/account-fault.ts";
import type { TopBy } from "../../domain/name-sums.ts";
import { amount, moment, money } from "./columns.ts";
import { environmentId } from "./state.ts";

/** Which batches have been counted; what makes a retry harmless. Pruned when no client can retry them any more. */
export const usageBatches = pgTable(
  "usage_batches",
  {
    environmentId: environmentId(),
    batchId: text("batch_id").notNull(),
    receivedAt: moment("received_at").notNull(),
    accepted: integer("accepted").notNull(),
    rejected: jsonb("rejected").$type<{ index: number; path: string; message: string }[]>().notNull().default([]),
  },
  (t) => [primaryKey({ columns: [t.environmentId, t.batchId] }), index("usage_batches_received_at").on(t.receivedAt)],
);

/** Records that count once, whoever sends them and however often (`once`). Pruned when they cannot be read any more. */
export const usageOnce = pgTable(
  "usage_once",
  {
    environmentId: environmentId(),
    id: text("id").notNull(),
    at: moment("at").notNull(),
  },
  (t) => [primaryKey({ columns: [t.environmentId, t.id] }), index("usage_once_at").on(t.at)],
);

/** What is summed of usage, by whatever span. */
const usageSums = () => ({
  /** First attempts, so calls; `attempts` counts all. */
  calls: amount("calls"),
  attempts: amount("attempts"),
  errors: amount("errors"),
  aborted: amount("aborted"),
  refused: amount("refused"),
  input: amount("input"),
  output: amount("output"),
  cacheWrite5m: amount("cache_write_5m"),
  cacheWrite1h: amount("cache_write_1h"),
  cacheRead: amount("cache_read"),
  webSearches: amount("web_searches"),
  exactNanoUsd: money("exact_nano_usd"),
  estimatedNanoUsd: money("estimated_nano_usd"),
  /** Attempts at a model without a price, counted at the dearest rate. */
  unpriced: amount("unpriced"),
  /** Answers whose stop reason is known, and how many of them `max_tokens` cut; 0 from before these were counted. */
  ended: amount("ended"),
  cut: amount("cut"),
  /** The most tokens, of all classes, that one attempt is known to have used; not a sum. */
  largestTokens: amount("largest_tokens"),
  latency: bigint("latency", { mode: "number" }).array().notNull(),
});

/** Sums per minute, flag and model. `latency` counts attempts per bucket of `LATENCY_BUCKETS_MS`. */
export const usageMinutes = pgTable(
  "usage_minutes",
  {
    environmentId: environmentId(),
    minute: moment("minute").notNull(),
    flag: text("flag").notNull(),
    model: text("model").notNull(),
    ...usageSums(),
  },
  (t) => [
    primaryKey({ columns: [t.environmentId, t.minute, t.flag, t.model] }),
    index("usage_minutes_unpriced")
      .on(t.environmentId, t.minute)
      .where(sql`unpriced > 0`),
  ],
);

/**
 * The same sums for quarters of an hour, hours, days and months in UTC (`grain`, in seconds), of whole hours that no record can
 * reach any more; see services/usage/rollups.ts.
 */
export const usageRollups = pgTable(
  "usage_rollups",
  {
    environmentId: environmentId(),
    grain: integer("grain").notNull(),
    start: moment("start").notNull(),
    flag: text("flag").notNull(),
    model: text("model").notNull(),
    ...usageSums(),
  },
  (t) => [primaryKey({ columns: [t.environmentId, t.grain, t.start, t.flag, t.model] })],
);

/**
 * What transactions of the ledger have to add to the sums of names, each written once and taken out once: see
 * services/usage/staged-sums.ts. `sums` is JSON, unread until then.
 */
export const usageStaged = pgTable("usage_staged", {
  id: bigserial("id", { mode: "number" }).primaryKey(),
  environmentId: environmentId(),
  hour: moment("hour").notNull(),
  /** How many sums there are, and what the records of this hour in that transaction cost. */
  rows: integer("rows").notNull(),
  nanoUsd: money("nano_usd"),
  sums: text("sums").notNull(),
});

/**
 * Sums of the users, sessions, apps and versions that cost most in an hour, a day or a month in UTC (`grain`, in seconds), by
 * flag and model: both are "" where a name used more of them than are told apart. See services/usage/top-spans.ts.
 */
export const usageTopNames = pgTable(
  "usage_top_names",
  {
    environmentId: environmentId(),
    grain: integer("grain").notNull(),
    by: text("by").$type<TopBy>().notNull(),
    start: moment("start").notNull(),
    name: text("name").notNull(),
    flag: text("flag").notNull(),
    model: text("model").notNull(),
    calls: amount("calls"),
    attempts: amount("attempts"),
    errors: amount("errors"),
    aborted: amount("aborted"),
    refused: amount("refused"),
    prompt: amount("prompt"),
    output: amount("output"),
    exactNanoUsd: money("exact_nano_usd"),
    estimatedNanoUsd: money("estimated_nano_usd"),
  },
  (t) => [
    primaryKey({
      name: "usage_top_names_pk",
      columns: [t.environmentId, t.grain, t.by, t.start, t.name, t.flag, t.model],
    }),
  ],
);

/** What is known of the names of a span beside their sums. */
export const usageTopSpans = pgTable(
  "usage_top_spans",
  {
    environmentId: environmentId(),
    grain: integer("grain").notNull(),
    by: text("by").$type<TopBy>().notNull(),
    start: moment("start").notNull(),
    /** What all records cost that were looked at, those of no name among them. */
    nanoUsd: money("nano_usd"),
    /** No name has more in this span than its rows tell and this. */
    leftOutNanoUsd: money("left_out_nano_usd"),
    /** At most so many rows. */
    rows: integer("rows").notNull(),
    /** Names have come since it was last cut to those that cost most. */
    isOpen: boolean("is_open").notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.environmentId, t.grain, t.by, t.start] }),
    index("usage_top_spans_open")
      .on(t.start)
      .where(sql`is_open`),
  ],
);

/** What is rolled up: from a midnight in UTC to before a full hour. */
export const usageRolled = pgTable("usage_rolled", {
  environmentId: environmentId().primaryKey(),
  from: moment("from_at").notNull(),
  until: moment("until_at").notNull(),
});

/**
 * Calls of the last minutes by the revision they were decided by, see domain/calls.ts: tells what the state in force lets
 * begin from what still ends. `lineage` is "" and `revision` 0 where that is older than anything known.
 */
export const callsByRevision = pgTable(
  "calls_by_revision",
  {
    environmentId: environmentId(),
    minute: moment("minute").notNull(),
    flag: text("flag").notNull(),
    lineage: text("lineage").notNull(),
    revision: bigint("revision", { mode: "number" }).notNull(),
    model: text("model").notNull(),
    requestedModel: text("requested_model").notNull(),
    attempts: amount("attempts"),
    nanoUsd: money("nano_usd"),
    /** When the newest of them began, and where it ran. */
    newestStart: moment("newest_start").notNull(),
    newestInstance: text("newest_instance").notNull(),
  },
  (t) => [
    primaryKey({
      name: "calls_by_revision_pk",
      columns: [t.environmentId, t.minute, t.flag, t.lineage, t.revision, t.model, t.requestedModel],
    }),
  ],
);

/**
 * How the calls of each model went in the last minutes, for its breaker: a row for each transaction of the ledger that had
 * some, with the instances they ran in. Only ever added to, so that no report waits for another.
 */
export const fleetCalls = pgTable(
  "fleet_calls",
  {
    environmentId: environmentId(),
    /** The name that models are compared by. */
    model: text("model").notNull(),
    at: moment("at").notNull(),
    /** What they were decided by; 0 where that is not known. */
    revision: bigint("revision", { mode: "number" }).notNull(),
    answered: integer("answered").notNull(),
    failed: integer("failed").notNull(),
    /** First attempts of calls that asked for it, whatever was sent. */
    wanted: integer("wanted").notNull(),
    instances: text("instances").array().notNull(),
    answeredOf: integer("answered_of").array().notNull(),
    failedOf: integer("failed_of").array().notNull(),
  },
  (t) => [
    index("fleet_calls_model").on(t.environmentId, t.model, t.at),
    index("fleet_calls_failed")
      .on(t.environmentId, t.at)
      .where(sql`failed > 0`),
  ],
);

/** Which instances have calls refused because of their account, for which flags, see domain/account-fault.ts. */
export const accountFaults = pgTable(
  "account_faults",
  {
    environmentId: environmentId(),
    fault: text("fault").$type<AccountFault>().notNull(),
    flag: text("flag").notNull(),
    instance: text("instance").notNull(),
    /** The first and the last refusal. */
    since: moment("since").notNull(),
    lastAt: moment("last_at").notNull(),
  },
  (t) => [primaryKey({ columns: [t.environmentId, t.fault, t.flag, t.instance] })],
);

/**
 * Names of flags and models in use that nobody has defined, as far as they are kept apart; what is beyond the bound counts
 * as `other`. A name keeps its place for a day.
 */
export const usageNames = pgTable(
  "usage_names",
  {
    environmentId: environmentId(),
    kind: text("kind").$type<"flag" | "model">().notNull(),
    name: text("name").notNull(),
    /** Whose report brought it: the places are shared. */
    tokenId: text("token_id").notNull(),
    admittedAt: moment("admitted_at").notNull(),
  },
  (t) => [primaryKey({ columns: [t.environmentId, t.kind, t.name] })],
);

/** The newest calls, one row an attempt. Bounded by time and number. */
export const usageRecent = pgTable(
  "usage_recent",
  {
    id: bigserial("id", { mode: "number" }).primaryKey(),
    environmentId: environmentId(),
    at: moment("at").notNull(),
    flag: text("flag").notNull(),
    model: text("model").notNull(),
    requestedModel: text("requested_model").notNull(),
    outcome: text("outcome").$type<"ok" | "error" | "aborted" | "refused">().notNull(),
    exact: boolean("exact").notNull(),
    costNanoUsd: amount("cost_nano_usd"),
    input: amount("input"),
    output: amount("output"),
    latencyMs: integer("latency_ms").notNull(),
    attempt: integer("attempt").notNull(),
    status: integer("status"),
    errorType: text("error_type"),
    stopReason: text("stop_reason"),
    requestId: text("request_id"),
    user: text("user_id"),
    session: text("session_id"),
    instance: text("instance"),
  },
  (t) => [
    index("usage_recent_environment_flag").on(t.environmentId, t.flag, t.id),
    index("usage_recent_environment_at").on(t.environmentId, t.at),
    // Asked every second, and nearly always empty.
    index("usage_recent_account")
      .on(t.environmentId, t.at)
      .where(sql`error_type in ('billing_error', 'authentication_error')`),
  ],
);

/**
 * How often each flag was evaluated, as clients report it, and when that was last told. No foreign key: a flag that is
 * deleted meanwhile must not refuse the usage that is counted in the same transaction.
 */
export const flagChecks = pgTable(
  "flag_checks",
  {
    environmentId: environmentId(),
    flag: text("flag").notNull(),
    checkedAt: moment("checked_at").notNull(),
    on: amount("on_count"),
    off: amount("off_count"),
    /** When a guard last said that it holds calls of the flag. */
    guardedAt: moment("guarded_at"),
    /** The version of that guard's SDK, when it is known. */
    sdk: text("sdk"),
    // Calls that a limit of the flag refused, and when that was last told.
    limited: amount("limited_count"),
    limitedAt: moment("limited_at"),
  },
  (t) => [primaryKey({ columns: [t.environmentId, t.flag] })],
);

/** Flag keys that applications ask for and no flag has, see services/unknown-flags.ts. */
export const unknownFlags = pgTable(
  "unknown_flags",
  {
    environmentId: environmentId(),
    flag: text("flag").notNull(),
    askedAt: moment("asked_at").notNull(),
    /** The one that asked last. */
    instance: text("instance").notNull(),
  },
  (t) => [primaryKey({ columns: [t.environmentId, t.flag] })],
);

/** Price rows that operators added or corrected; they win over the built-in table. */
export const priceRows = pgTable("price_rows", {
  id: text("id").primaryKey(),
  row: jsonb("row").$type<PriceRow>().notNull(),
  createdBy: text("created_by").notNull(),
  createdAt: moment("created_at").notNull().defaultNow(),
  /** Null for rows from before it was kept here: the audit has it. */
  reason: text("reason"),
});
