/**
 * The lineage of a revision: the same on every server, another one when history may have been rewound. It is derived
 * from what a restored backup or a promoted replica cannot keep: the cluster's identity, its WAL timeline, the oid of
 * the table; and from a salt of the environment that is replaced when somebody has seen a later revision than there is.
 */
import { createHash } from "node:crypto";
import { sql } from "drizzle-orm";
import { environments, installation } from "./schema/state.ts";

const LINEAGE_CHARS = 12;

/**
 * Columns for a query from `installation` joined with `environments`. The timeline is null on a standby. It is read off the name of the current
 * WAL file: `pg_control_checkpoint()` shows a promotion only after the next checkpoint.
 */
export const lineageColumns = {
  salt: installation.lineageSalt,
  own: environments.lineageSalt,
  system: sql<string>`(select system_identifier::text from pg_control_system())`.as("system"),
  timeline: sql<
    string | null
  >`case when pg_is_in_recovery() then null else substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) end`.as(
    "timeline",
  ),
  table: sql<string>`'environments'::regclass::oid::text`.as("table"),
};

export interface LineageParts {
  salt: string;
  /** The environment's own salt, `""` until it is replaced. */
  own: string;
  system: string;
  timeline: string | null;
  table: string;
}

/** The lineage as it stands before the dot of a revision; null on a standby, which must not speak. */
export function lineageOf(parts: LineageParts): string | null {
  if (parts.timeline === null) return null;
  const identity = JSON.stringify([parts.system, parts.timeline, parts.table, parts.salt, parts.own]);
  return createHash("sha256").update(identity).digest("hex").slice(0, LINEAGE_CHARS);
}
