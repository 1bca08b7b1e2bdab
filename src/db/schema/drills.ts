/** Drills: what each has proven, and who did not answer. */
import { sql } from "drizzle-orm";
import { bigint, boolean, index, integer, jsonb, pgTable, text, uniqueIndex } from "drizzle-orm/pg-core";
import type { DrillState } from "../../domain/drill.ts";
import { moment } from "./columns.ts";
import { environmentId } from "./state.ts";

export const drills = pgTable(
  "drills",
  {
    id: text("id").primaryKey(),
    environmentId: environmentId(),
    /** No foreign key: the record outlives the flag. */
    flag: text("flag").notNull(),
    state: text("state").$type<DrillState>().notNull(),
    by: text("by").notNull(),
    scheduled: boolean("scheduled").notNull(),
    startedAt: moment("started_at").notNull(),
    /** It ends by then, whoever has answered. */
    endsAt: moment("ends_at").notNull(),
    finishedAt: moment("finished_at"),
    /** Of its kill: the revision that receipts are of, and the entry in the audit. Null of one that was skipped. */
    lineage: text("lineage"),
    revision: bigint("revision", { mode: "number" }),
    auditId: bigint("audit_id", { mode: "number" }),
    applied: integer("applied"),
    live: integer("live"),
    /** From the kill's commit to the last receipt. */
    lastMs: integer("last_ms"),
    /** Instances that did not answer, the first of them by name. */
    missing: jsonb("missing").$type<string[]>().notNull(),
    note: text("note"),
  },
  (t) => [
    index("drills_of_flag").on(t.environmentId, t.flag, t.startedAt),
    uniqueIndex("drills_running")
      .on(t.environmentId, t.flag)
      .where(sql`state = 'running'`),
  ],
);
