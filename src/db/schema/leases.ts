/** Money that `reserve` budgets have set aside. Changed under the lock of the window's row in budget_windows. */
import { bigint, boolean, index, integer, pgTable, primaryKey, text } from "drizzle-orm/pg-core";
import type { LeaseStanding } from "../../domain/lease.ts";
import { budgets } from "./budgets.ts";
import { amount, moment } from "./columns.ts";
import { environmentId } from "./state.ts";

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
