/**
 * Tells a database that is away (stopped, hung, demoted, unreachable) from a fault of ours. Whoever gets
 * DATABASE_AWAY knows whether the change was not made or may have been.
 */
import { AppError, DATABASE_AWAY_ADVICE } from "../errors.ts";

/** Codes of postgres.js and of sockets. */
const AWAY_CODES: ReadonlySet<string> = new Set([
  "CONNECTION_CLOSED",
  "CONNECTION_ENDED",
  "CONNECTION_DESTROYED",
  "CONNECTION_CONNECT_TIMEOUT",
  "CONNECT_TIMEOUT",
  "EAI_AGAIN",
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOENT",
  "ENOTFOUND",
  "EPIPE",
  "ETIMEDOUT",
]);

/**
 * SQLSTATEs: connection failures (class 08), too many connections, shutting down or starting up, read-only because
 * demoted, cancelled by our deadline, lock not had within ours.
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const AWAY_SQLSTATE = /^(08...|53300|57P0[1-5]|25006|57014|55P03|25P03)$/;

const RETRY_AFTER_SECONDS = 1;
const MAX_CAUSES = 8;

/** The connection was lost after COMMIT had been sent: nobody can know whether it was made. */
export class CommitUnknownError extends Error {
  override readonly name = "CommitUnknownError";

  constructor(cause: unknown) {
    super("The connection was lost while committing.", { cause });
  }
}

/** The database answers, but as a standby: what it says may be older than what is true. */
export class StandbyError extends Error {
  override readonly name = "StandbyError";

  constructor() {
    super("The database is a standby (in recovery).");
  }
}

/** The error and what caused it, outermost first. */
function* chainOf(error: unknown): Generator {
  let current = error;
  for (let depth = 0; depth < MAX_CAUSES && current !== undefined && current !== null; depth += 1) {
    yield current;
    current = current instanceof Error ? current.cause : undefined;
  }
}

/** True when the database did not answer, or not as a primary; false for every fault of ours. */
export function isDatabaseAway(error: unknown): boolean {
  for (const link of chainOf(error)) {
    if (link instanceof AppError) return link.code === "DATABASE_AWAY";
    if (link instanceof CommitUnknownError || link instanceof StandbyError) return true;
    if (link instanceof AggregateError && link.errors.some((inner) => isDatabaseAway(inner))) return true;
    const code = link instanceof Error && "code" in link ? link.code : undefined;
    if (typeof code === "string" && (AWAY_CODES.has(code) || AWAY_SQLSTATE.test(code))) return true;
  }
  return false;
}

/** The error to answer with: DATABASE_AWAY, with what to do instead. */
export function databaseAway(error: unknown): AppError {
  for (const link of chainOf(error)) {
    if (link instanceof AppError) return link;
    if (link instanceof CommitUnknownError) {
      return new AppError("DATABASE_AWAY", COMMIT_UNKNOWN_ADVICE, {
        retryAfterSeconds: RETRY_AFTER_SECONDS,
        cause: error,
      });
    }
  }
  return new AppError("DATABASE_AWAY", DATABASE_AWAY_ADVICE, { retryAfterSeconds: RETRY_AFTER_SECONDS, cause: error });
}

const COMMIT_UNKNOWN_ADVICE = `The connection to the database was lost while the change was being committed: it may or may not have been made. Look at the board; a kill can be repeated safely. ${DATABASE_AWAY_ADVICE.replace(", so this change was not made", "")}`;
