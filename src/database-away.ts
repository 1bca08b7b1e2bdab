/**
 * Tells a database that is away (stopped, hung, demoted, unreachable) from a fault of ours. Whoever gets
 * DATABASE_AWAY knows whether the change was not made or may have been.
 */
import { AppError, DATABASE_AWAY_ADVICE } from "./errors.ts";

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

/** The session answers but may not change anything: an old primary, a standby, or a database that was closed for writing. */
export class ReadOnlyError extends Error {
  override readonly name = "ReadOnlyError";

  constructor() {
    super("The database takes no changes (it is read-only).");
  }
}

/** The database answers, but more is asked of this server than its connections can carry. */
export class OverloadError extends Error {
  override readonly name = "OverloadError";
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
    if (link instanceof CommitUnknownError || link instanceof StandbyError || link instanceof ReadOnlyError)
      return true;
    if (link instanceof AggregateError && link.errors.some((inner) => isDatabaseAway(inner))) return true;
    const code = link instanceof Error && "code" in link ? link.code : undefined;
    if (typeof code === "string" && (AWAY_CODES.has(code) || AWAY_SQLSTATE.test(code))) return true;
  }
  return false;
}

/** True when a session proved that it may not write: it must not be asked again. */
export function isReadOnly(error: unknown): boolean {
  for (const link of chainOf(error)) {
    if (link instanceof StandbyError || link instanceof ReadOnlyError) return true;
    if (sqlStateOf(link) === READ_ONLY_SQLSTATE) return true;
  }
  return false;
}

function isOverload(error: unknown): boolean {
  for (const link of chainOf(error)) if (link instanceof OverloadError) return true;
  return false;
}

function isCommitUnknown(error: unknown): boolean {
  for (const link of chainOf(error)) if (link instanceof CommitUnknownError) return true;
  return false;
}

/** What to answer: DATABASE_AWAY or OVERLOADED, with what to do instead; `error` itself when it is of another kind. */
export function databaseFault(error: unknown): unknown {
  for (const link of chainOf(error)) if (link instanceof AppError) return link;
  const options = { retryAfterSeconds: RETRY_AFTER_SECONDS, cause: error };
  if (isOverload(error)) return new AppError("OVERLOADED", OVERLOADED_ADVICE, options);
  if (!isDatabaseAway(error)) return error;
  if (isCommitUnknown(error)) return new AppError("DATABASE_AWAY", COMMIT_UNKNOWN_ADVICE, options);
  return new AppError("DATABASE_AWAY", DATABASE_AWAY_ADVICE.replace(NO_ANSWER, reasonOf(error)), options);
}

/** The same for a question: nothing was to be changed. */
export function databaseFaultOfRead(error: unknown): unknown {
  const fault = databaseFault(error);
  if (!(fault instanceof AppError) || fault.code !== "DATABASE_AWAY") return fault;
  const message = fault.message.replace(NOT_MADE, "");
  return new AppError(fault.code, message, { retryAfterSeconds: RETRY_AFTER_SECONDS, cause: error });
}

/** In words: the database may answer and yet not do what was asked. */
function reasonOf(error: unknown): string {
  if (isReadOnly(error)) return "The database answers but takes no changes (it is read-only, or a standby)";
  for (const link of chainOf(error)) {
    const state = sqlStateOf(link);
    if (state === "53300") return "The database has no connection left";
    if (state === "57014" || state === "55P03") return "The database was too busy to do this in time";
  }
  return NO_ANSWER;
}

function sqlStateOf(error: unknown): string | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined;
}

const READ_ONLY_SQLSTATE = "25006";
const NO_ANSWER = "The database does not answer";
const NOT_MADE = ", so this change was not made";
const OVERLOADED_ADVICE =
  "This server is too busy to do this now, and nothing was changed. The database answers: try again in a moment.";
const COMMIT_UNKNOWN_ADVICE = `The connection to the database was lost while the change was being committed: it may or may not have been made. Look at the board; a kill can be repeated safely. ${DATABASE_AWAY_ADVICE.replace(NOT_MADE, "")}`;
