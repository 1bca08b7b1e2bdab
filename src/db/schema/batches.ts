/** Message batches: work that the provider does for hours, as far as clients tell of it. */
import { sql } from "drizzle-orm";
import { index, integer, jsonb, pgTable, primaryKey, text } from "drizzle-orm/pg-core";
import type { BatchState, CancelOutcome } from "../../../sdk-client/src/wire/usage-protocol.ts";
import type { Estimated } from "../../domain/message-batch.ts";
import { amount, moment } from "./columns.ts";
import { environmentId } from "./state.ts";

/**
 * What each message batch was estimated at when it was submitted, and what of that still stands; who can be asked to cancel
 * it, and what came of that. Pruned when its results cannot be read any more.
 */
export const messageBatches = pgTable(
  "message_batches",
  {
    environmentId: environmentId(),
    /** The provider's. */
    id: text("id").notNull(),
    flag: text("flag").notNull(),
    state: text("state").$type<BatchState>().notNull(),
    /** Who submitted it, or was the last to find it running. */
    instance: text("instance").notNull(),
    user: text("user_id"),
    session: text("session_id"),
    requests: integer("requests").notNull(),
    submittedAt: moment("submitted_at").notNull(),
    toldAt: moment("told_at").notNull(),
    estimatedNanoUsd: amount("estimated_nano_usd"),
    /** As it is counted in the ledger, less what results have told. */
    left: jsonb("left_estimates").$type<Estimated[]>().notNull().default([]),
    askedAt: moment("cancel_asked_at"),
    askedBy: text("cancel_asked_by"),
    // The client that was told to ask the provider last.
    orderedAt: moment("cancel_ordered_at"),
    orderedTo: text("cancel_ordered_to"),
    tries: integer("cancel_tries").notNull().default(0),
    outcome: text("cancel_outcome").$type<CancelOutcome>(),
    detail: text("cancel_detail"),
    outcomeAt: moment("cancel_outcome_at"),
  },
  (t) => [
    primaryKey({ columns: [t.environmentId, t.id] }),
    index("message_batches_flag").on(t.environmentId, t.flag, t.submittedAt),
    index("message_batches_submitted").on(t.submittedAt),
    // Asked with each report of a client that can cancel, and nearly always empty.
    index("message_batches_orders")
      .on(t.environmentId)
      .where(sql`cancel_asked_at is not null and cancel_outcome is null`),
  ],
);
