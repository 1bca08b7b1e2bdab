/**
 * The closed list of what can go wrong on purpose. Handlers never catch: `http/problem.ts` maps a code to its
 * status and to RFC 9457 problem+json. A code is stable; a message says what to do next.
 */

export const ERROR_STATUS = {
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  CONFLICT: 409,
  PRECONDITION_FAILED: 412,
  TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  INVALID: 422,
  RATE_LIMITED: 429,
  INTERNAL: 500,
  DATABASE_AWAY: 503,
  NOT_READY: 503,
  OVERLOADED: 503,
} as const;

export type ErrorCode = keyof typeof ERROR_STATUS;

/** Where a fault is in the input: a dotted path (`steps.0.model`) and what was expected there. */
export interface Fault {
  path: string;
  message: string;
  /** How to say that it is meant so. Each door adds its own words: a field, a box, an option. */
  confirm?: Confirm;
}

/** `newModel`: the name of a model that nobody knows yet. `unusual`: figures that look like a slip. */
export const CONFIRMS = ["newModel", "unusual"] as const;
export type Confirm = (typeof CONFIRMS)[number];

export interface AppErrorOptions {
  faults?: readonly Fault[];
  /** Seconds, sent as `Retry-After`. */
  retryAfterSeconds?: number;
  cause?: unknown;
}

export class AppError extends Error {
  override readonly name = "AppError";
  readonly code: ErrorCode;
  readonly faults: readonly Fault[];
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.faults = options.faults ?? [];
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

export const DATABASE_AWAY_ADVICE =
  "The database does not answer, so this change was not made. To stop AI calls now without it: set ANDON_KILL=* (or the flag's key) in the application's environment and restart it, or revoke the provider's API key.";

/** Shorthand for a fault at one path. */
export function invalid(path: string, message: string): AppError {
  return new AppError("INVALID", `${path}: ${message}`, { faults: [{ path, message }] });
}
