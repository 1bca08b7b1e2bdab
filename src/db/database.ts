/** What an open database offers, whichever it is: PostgreSQL or PGlite. */
import type { DatabaseConfig } from "../config.ts";
import type { Listener, Listening } from "./listen.ts";
import type { Db } from "./types.ts";

/**
 * Connections by kind of work, so that none waits for another: a kill never for a page. With PGlite, which has one
 * connection, they are all the same.
 */
export interface Lanes {
  /** Changes by people. */
  readonly changes: Db;
  /** What the leader does by itself: ends, prunes, delivers. */
  readonly jobs: Db;
  /** What polls are answered from: the version check, snapshots, tokens, receipts. */
  readonly sync: Db;
  /** Usage batches. */
  readonly usage: Db;
  /** Leases of budgets, for which calls wait. */
  readonly leases: Db;
  /** Pages and reports. Waits less long than the others, and not at all while the database is silent. */
  readonly pages: Db;
}

export interface Database {
  readonly kind: DatabaseConfig["kind"];
  readonly lanes: Lanes;
  /** Tells by `question`, which is asked every second, whether the database answers. */
  check<T>(question: Promise<T>): Promise<T>;
  /** Replaces every session: the database behind them is another one by now. */
  renew(): void;
  /** Brings the schema up to date; waits while another server does. */
  migrate(): Promise<void>;
  listen(listening: Listening): Promise<Listener>;
  /** True when this process leads the jobs now; asks for the lead when nobody has it. */
  lead(): Promise<boolean>;
  close(): Promise<void>;
}

/** Oldest and newest major version of PostgreSQL that the tests run on or that is known to work. */
const POSTGRES_MIN_MAJOR = 14;
const POSTGRES_MAX_MAJOR = 18;

/** Null when the version is supported, else what to tell the operator. `versionNum` as `server_version_num` gives it. */
export function unsupportedVersion(versionNum: number): string | null {
  const major = Math.floor(versionNum / 10_000);
  if (major >= POSTGRES_MIN_MAJOR && major <= POSTGRES_MAX_MAJOR) return null;
  return `PostgreSQL ${major} is not supported: Andon needs ${POSTGRES_MIN_MAJOR} to ${POSTGRES_MAX_MAJOR}.`;
}
