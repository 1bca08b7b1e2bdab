/**
 * Budgets, what was spent in their windows and by their subjects, and what they did about it. A window is added to by one
 * `insert … on conflict do update` under its row lock; that order is what makes a ladder step act once.
 */
import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  index,
  integer,
  jsonb,
  numeric,
  pgTable,
  primaryKey,
  text,
  unique,
} from "drizzle-orm/pg-core";
import type { Enforcement, LadderStep, WhenHeld } from "../../domain/budget.ts";
import type { LadderMemory } from "../../domain/ladder.ts";
import type { SubjectAction } from "../../domain/subject.ts";
import type { Period } from "../../domain/window.ts";
import { amount, moment, money } from "./columns.ts";
import { environmentId } from "./state.ts";

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
    whenHeld: text("when_held").$type<WhenHeld>().notNull().default("wait"),
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
