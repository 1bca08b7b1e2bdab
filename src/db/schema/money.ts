/**
 * The tables of money: usage, budgets, trips, incidents and alerts. Money is nano-USD in a bigint. A budget's window is
 * added to by one `insert … on conflict do update` under its row lock; that order is what makes a ladder step act once.
 */
import { sql } from "drizzle-orm";
import {
  bigint,
  bigserial,
  boolean,
  index,
  integer,
  jsonb,
  numeric,
  pgTable,
  primaryKey,
  text,
  timestamp,
  unique,
} from "drizzle-orm/pg-core";
import type { PriceRow } from "../../../sdk-client/src/wire/price-row.ts";
import type { AccountFault } from "../../domain/account-fault.ts";
import type { Enforcement, LadderStep } from "../../domain/budget.ts";
import type { LeaseStanding } from "../../domain/lease.ts";
import type { SubjectAction } from "../../domain/subject.ts";
import type { LadderMemory } from "../../domain/ladder.ts";
import type { Unpriced } from "../../domain/unpriced.ts";
import type { Period } from "../../domain/window.ts";
import { environments } from "./state.ts";

const moment = (name: string) => timestamp(name, { withTimezone: true, mode: "date", precision: 3 });
const amount = (name: string) => bigint(name, { mode: "number" }).notNull().default(0);
/** A sum of money, nano-USD: no number of records can overflow it. */
const money = (name: string) => numeric(name, { mode: "number" }).notNull().default(0);

const environmentId = () =>
  text("environment_id")
    .notNull()
    .references(() => environments.id, { onDelete: "cascade" });

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
 * The same sums for quarters of an hour, hours and days in UTC (`grain`, in seconds), of whole hours that no record can
 * reach any more; see services/usage-rollups.ts.
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

export const budgets = pgTable(
  "budgets",
  {
    id: text("id").primaryKey(),
    environmentId: environmentId(),
    name: text("name").notNull(),
    /** All null: the whole environment. */
    flag: text("flag"),
    model: text("model"),
    /** The flags that have this tag. */
    tag: text("tag"),
    /** One user's or session's id, or `each`. */
    userScope: text("user_scope"),
    sessionScope: text("session_scope"),
    /** Counts, and does nothing. */
    paused: boolean("paused").notNull().default(false),
    limitNanoUsd: bigint("limit_nano_usd", { mode: "number" }).notNull(),
    period: text("period").$type<Period>().notNull(),
    timezone: text("timezone").notNull(),
    enforcement: text("enforcement").$type<Enforcement>().notNull(),
    // What clients do that wait, that reach no server, and that clamp; see domain/budget.ts.
    onUnavailable: text("on_unavailable").$type<"allow" | "deny">().notNull().default("allow"),
    reserveWaitMs: integer("reserve_wait_ms").notNull().default(2_000),
    minTokens: integer("min_tokens").notNull().default(256),
    ladder: jsonb("ladder").$type<LadderStep[]>().notNull(),
    onReset: text("on_reset").$type<"restore" | "stay">().notNull(),
    version: integer("version").notNull().default(1),
    createdAt: moment("created_at").notNull(),
    updatedAt: moment("updated_at").notNull(),
  },
  (t) => [unique("budgets_environment_name").on(t.environmentId, t.name)],
);

/** A limit raised until a moment. It counts while `now < until`; `endedAt` is set when its end was acted on. */
export const budgetRaises = pgTable(
  "budget_raises",
  {
    id: text("id").primaryKey(),
    budgetId: text("budget_id")
      .notNull()
      .references(() => budgets.id, { onDelete: "cascade" }),
    addNanoUsd: bigint("add_nano_usd", { mode: "number" }).notNull(),
    until: moment("until").notNull(),
    reason: text("reason").notNull(),
    by: text("by").notNull(),
    at: moment("at").notNull(),
    endedAt: moment("ended_at"),
  },
  (t) => [index("budget_raises_budget").on(t.budgetId, t.until)],
);

/** What was spent in one window of one budget, and what its ladder has done there. */
export const budgetWindows = pgTable(
  "budget_windows",
  {
    budgetId: text("budget_id")
      .notNull()
      .references(() => budgets.id, { onDelete: "cascade" }),
    startsAt: moment("starts_at").notNull(),
    endsAt: moment("ends_at").notNull(),
    spentNanoUsd: money("spent_nano_usd"),
    exactNanoUsd: money("exact_nano_usd"),
    // Under `reserve`: what leases hold, and what is held of leases whose clients went silent. Neither is spent.
    reservedNanoUsd: amount("reserved_nano_usd"),
    indeterminateNanoUsd: amount("indeterminate_nano_usd"),
    /** Until then clients give idle money back: somebody waits, or did a moment ago. */
    scarceUntil: moment("scarce_until"),
    /** The ladder's memory of this window, see domain/ladder.ts; null until a step was looked at. */
    ladderState: jsonb("ladder_state").$type<LadderMemory>(),
    /** Set once, when the end of the window was acted on. */
    closedAt: moment("closed_at"),
    // What is over the limit, and what was told of it, see domain/over-limit.ts.
    overSince: moment("over_since"),
    overLimitNanoUsd: bigint("over_limit_nano_usd", { mode: "number" }),
    toldPercent: integer("told_percent"),
    toldLimitNanoUsd: bigint("told_limit_nano_usd", { mode: "number" }),
    toldAt: moment("told_at"),
    lookedAt: moment("looked_at"),
  },
  (t) => [primaryKey({ columns: [t.budgetId, t.startsAt] }), index("budget_windows_open").on(t.endsAt, t.closedAt)],
);

/**
 * Slices of a `reserve` budget's window, each granted to one client process. All sums only grow; what is held is granted
 * less released less settled. Changed under the lock of its window's row, which has the sum of all that is held.
 */
export const leases = pgTable(
  "leases",
  {
    id: text("id").primaryKey(),
    environmentId: environmentId(),
    budgetId: text("budget_id")
      .notNull()
      .references(() => budgets.id, { onDelete: "cascade" }),
    windowStartsAt: moment("window_starts_at").notNull(),
    windowEndsAt: moment("window_ends_at").notNull(),
    instance: text("instance").notNull(),
    /** `open`: held counts as reserved; `indeterminate`: its client went silent; `ended`: nothing is held. */
    state: text("state").$type<LeaseStanding>().notNull(),
    /** Set when the budget began to count something else: nothing more is granted on it or started from it. */
    recalled: boolean("recalled").notNull().default(false),
    grantedNanoUsd: amount("granted_nano_usd"),
    releasedNanoUsd: amount("released_nano_usd"),
    /** Moved to spent by the records that named it. */
    settledNanoUsd: amount("settled_nano_usd"),
    // As its client said last.
    spentNanoUsd: amount("spent_nano_usd"),
    inFlightNanoUsd: amount("in_flight_nano_usd"),
    grantedAt: moment("granted_at").notNull(),
    renewedAt: moment("renewed_at").notNull(),
    endedAt: moment("ended_at"),
  },
  (t) => [
    index("leases_window").on(t.budgetId, t.windowStartsAt, t.state),
    index("leases_environment").on(t.environmentId, t.state, t.renewedAt),
    index("leases_ended").on(t.endedAt),
  ],
);

/** Requests that were granted something: sent again, they are answered with it. Pruned when no client sends them any more. */
export const leaseRequests = pgTable(
  "lease_requests",
  {
    budgetId: text("budget_id")
      .notNull()
      .references(() => budgets.id, { onDelete: "cascade" }),
    requestId: text("request_id").notNull(),
    leaseId: text("lease_id").notNull(),
    at: moment("at").notNull(),
  },
  (t) => [primaryKey({ columns: [t.budgetId, t.requestId] }), index("lease_requests_at").on(t.at)],
);

/**
 * Calls that wait for money that others hold, at whatever server, oldest first. A server grants only what waits at itself
 * and whose connection stands, so that the dead are granted nothing.
 */
export const leaseWants = pgTable(
  "lease_wants",
  {
    budgetId: text("budget_id")
      .notNull()
      .references(() => budgets.id, { onDelete: "cascade" }),
    requestId: text("request_id").notNull(),
    instance: text("instance").notNull(),
    /** The server where it waits. */
    server: text("server").notNull(),
    since: moment("since").notNull(),
    /** As the client said it: a want that is repeated keeps its place. */
    saidSinceMs: bigint("said_since_ms", { mode: "number" }).notNull(),
    atLeastNanoUsd: bigint("at_least_nano_usd", { mode: "number" }).notNull(),
    overtaken: integer("overtaken").notNull().default(0),
    /** Its request waits until then; from then until `livesUntil` it keeps its place for being repeated. */
    waitsUntil: moment("waits_until").notNull(),
    livesUntil: moment("lives_until").notNull(),
  },
  (t) => [primaryKey({ columns: [t.budgetId, t.requestId] }), index("lease_wants_lives").on(t.livesUntil)],
);

/**
 * What one user, session, or pair of both spent in one window of a budget about users or sessions. Only the window that runs
 * has rows; bounded by MAX_SUBJECTS_PER_WINDOW.
 */
export const subjectWindows = pgTable(
  "subject_windows",
  {
    budgetId: text("budget_id")
      .notNull()
      .references(() => budgets.id, { onDelete: "cascade" }),
    startsAt: moment("starts_at").notNull(),
    /** See `subjectOf` in domain/budget.ts. */
    subject: text("subject").notNull(),
    spentNanoUsd: money("spent_nano_usd"),
    exactNanoUsd: money("exact_nano_usd"),
    /** What holds for it; null: nothing. */
    action: text("action").$type<SubjectAction>(),
    /** Of a downgrade; null: one further than its flag. */
    level: integer("level"),
    /** What had been spent when a person lifted it: steps crossed by then do not count in this window. */
    liftedNanoUsd: numeric("lifted_nano_usd", { mode: "number" }),
    liftedBy: text("lifted_by"),
  },
  (t) => [
    primaryKey({ columns: [t.budgetId, t.startsAt, t.subject] }),
    // Few: every update of a row in an index costs one in each.
    index("subject_windows_acted")
      .on(t.budgetId, t.startsAt, t.spentNanoUsd.desc())
      .where(sql`action is not null or lifted_by is not null`),
  ],
);

/** The last number given to a verdict of an environment; a client that knows less than `floor` may have missed a lift. */
export const verdictHeads = pgTable("verdict_heads", {
  environmentId: environmentId().primaryKey(),
  n: bigint("n", { mode: "number" }).notNull(),
  floor: bigint("floor", { mode: "number" }).notNull().default(0),
});

/** The newest verdict about each user or session: a log that is only added to, less what newer entries have replaced. */
export const verdicts = pgTable(
  "verdicts",
  {
    environmentId: environmentId(),
    budgetId: text("budget_id").notNull(),
    subject: text("subject").notNull(),
    n: bigint("n", { mode: "number" }).notNull(),
    action: text("action").$type<SubjectAction | "lift">().notNull(),
    level: integer("level"),
    until: moment("until").notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.environmentId, t.budgetId, t.subject] }),
    index("verdicts_n").on(t.environmentId, t.n),
    index("verdicts_until").on(t.until),
  ],
);

/**
 * What each process has told last of its running calls, and what it may begin unseen, see domain/bound.ts. Nano-USD: by
 * flag, null for a process that does not tell; by budget id.
 */
export const runningCalls = pgTable(
  "running_calls",
  {
    environmentId: environmentId(),
    instance: text("instance").notNull(),
    /** `""` for a process that does not say. */
    boot: text("boot").notNull(),
    toldAt: moment("told_at").notNull(),
    running: jsonb("running").$type<Record<string, number | null>>().notNull(),
    credits: jsonb("credits").$type<Record<string, number>>().notNull(),
    /** Granted with the answer before: that may be the last that has arrived. */
    creditsBefore: jsonb("credits_before").$type<Record<string, number>>().notNull(),
    /** When calls of a flag last began that it had not told of, by flag: Unix time in milliseconds. */
    unanswered: jsonb("unanswered").$type<Record<string, number>>().notNull().default({}),
  },
  // No index on what every report changes: the table has a row a process.
  (t) => [primaryKey({ columns: [t.environmentId, t.instance, t.boot] })],
);

/** An automatic kill or downgrade of one flag by a budget. In force while neither ended nor overridden. */
export const trips = pgTable(
  "trips",
  {
    id: text("id").primaryKey(),
    environmentId: environmentId(),
    flag: text("flag").notNull(),
    budgetId: text("budget_id")
      .notNull()
      .references(() => budgets.id, { onDelete: "cascade" }),
    windowStartsAt: moment("window_starts_at").notNull(),
    /** Names the ladder's step, see domain/ladder.ts. */
    step: text("step").notNull(),
    atPercent: integer("at_percent").notNull(),
    action: text("action").$type<"downgrade" | "kill">().notNull(),
    /** For a downgrade: the level, and the model it means. */
    level: integer("level"),
    model: text("model"),
    since: moment("since").notNull(),
    // Of a kill: the most that could be spent in the end, as clients had told by then; and how many did not tell.
    boundNanoUsd: bigint("bound_nano_usd", { mode: "number" }),
    boundNotReporting: integer("bound_not_reporting"),
    /** End of the window for `onReset: restore`; null: until a person restores. */
    until: moment("until"),
    overriddenAt: moment("overridden_at"),
    overriddenBy: text("overridden_by"),
    overrideReason: text("override_reason"),
    endedAt: moment("ended_at"),
    endReason: text("end_reason"),
  },
  (t) => [index("trips_in_force").on(t.environmentId, t.flag, t.endedAt), index("trips_budget").on(t.budgetId)],
);

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
    title: text("title").notNull(),
    steps: jsonb("steps").$type<{ at: string; atPercent: number; action: string; text: string }[]>().notNull(),
    openedAt: moment("opened_at").notNull(),
    acknowledgedAt: moment("acknowledged_at"),
    acknowledgedBy: text("acknowledged_by"),
    resolvedAt: moment("resolved_at"),
  },
  (t) => [
    unique("incidents_cause").on(t.environmentId, t.cause),
    index("incidents_open").on(t.environmentId, t.resolvedAt),
  ],
);

/** Where alerts go. `secret` signs generic webhooks; `url` is itself a secret for Slack. */
export const channels = pgTable(
  "channels",
  {
    id: text("id").primaryKey(),
    environmentId: environmentId(),
    kind: text("kind").$type<"slack" | "webhook">().notNull(),
    name: text("name").notNull(),
    url: text("url").notNull(),
    secret: text("secret"),
    version: integer("version").notNull().default(1),
    createdAt: moment("created_at").notNull(),
    testedAt: moment("tested_at"),
    testResult: text("test_result"),
  },
  (t) => [unique("channels_environment_name").on(t.environmentId, t.name)],
);

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
