/**
 * The only place that turns an error into an answer: RFC 9457 `application/problem+json`. An error that was not made on
 * purpose becomes a 500 that says nothing but its request id.
 */
import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { Logger } from "pino";
import { ZodError } from "zod";
import { AppError, ERROR_STATUS, type ErrorCode, type Fault } from "../errors.ts";
import { bodyBrokeOff } from "./middleware/body-limit.ts";
import { describeError } from "./middleware/error-log.ts";

export const PROBLEM_MEDIA_TYPE = "application/problem+json";
/** What a client is told to wait when the error itself does not say. */
const DEFAULT_RETRY_AFTER_SECONDS = 5;
/** More faults than this help nobody; the rest is counted. */
const MAX_FAULTS = 50;

const TITLES: Record<ErrorCode, string> = {
  UNAUTHENTICATED: "No valid token",
  FORBIDDEN: "Not allowed",
  NOT_FOUND: "Not found",
  METHOD_NOT_ALLOWED: "Method not allowed",
  CONFLICT: "Conflict",
  PRECONDITION_FAILED: "Changed by someone else",
  TOO_LARGE: "Too large",
  UNSUPPORTED_MEDIA_TYPE: "Unsupported content type",
  INVALID: "Invalid input",
  RATE_LIMITED: "Too many requests",
  INTERNAL: "Internal error",
  DATABASE_AWAY: "The database is away",
  NOT_READY: "Not ready",
  OVERLOADED: "Too busy",
};

/** The body of every error answer. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: ErrorCode;
  requestId: string;
  errors?: Fault[];
}

/** The answer for `error`. Never throws; the id is the request's, or `requestId` for routes outside the middleware. */
export function problemResponse(c: Context, error: unknown, requestId?: string): Response {
  const failure = failureOf(c, error);
  const id = requestId ?? requestIdOf(c);
  const status: ContentfulStatusCode = ERROR_STATUS[failure.code];
  const problem: Problem = {
    type: `urn:andon:problem:${failure.code.toLowerCase().replaceAll("_", "-")}`,
    title: TITLES[failure.code],
    status,
    detail:
      failure.code === "INTERNAL"
        ? `Something went wrong on the server. Its log has the details under the request id ${id}.`
        : failure.message,
    code: failure.code,
    requestId: id,
  };
  if (failure.faults.length > 0) problem.errors = boundedFaults(failure.faults);
  const headers: Record<string, string> = {
    "Content-Type": PROBLEM_MEDIA_TYPE,
    "Cache-Control": "no-store",
    "X-Request-Id": id,
  };
  if (status === 429 || status === 503) {
    headers["Retry-After"] = String(Math.max(1, Math.ceil(failure.retryAfterSeconds ?? DEFAULT_RETRY_AFTER_SECONDS)));
  }
  if (status === 413) headers["Connection"] = "close";
  if (status === 401) headers["WWW-Authenticate"] = 'Bearer realm="andon"';
  return c.body(JSON.stringify(problem), status, headers);
}

/** The client went away before its body had arrived. Nobody reads the answer. */
export class BrokenOffError extends AppError {
  constructor(cause: unknown) {
    super("INVALID", "The connection ended before the body had arrived.", { cause });
  }
}

/** Tells the log of a failure, as loudly as it concerns whoever runs this. */
export function logFailure(log: Logger, requestId: string, failure: AppError): void {
  if (failure.code === "INTERNAL") {
    log.error({ requestId, error: describeError(failure.cause ?? failure) }, "request failed");
  } else if (failure.code === "DATABASE_AWAY") {
    log.warn({ requestId, error: describeError(failure) }, "the database is away");
  } else if (failure.code === "OVERLOADED") {
    log.warn({ requestId, error: describeError(failure) }, "this server is too busy");
  } else if (failure instanceof BrokenOffError) {
    log.debug({ requestId }, "a client went away");
  }
}

/** What went wrong with a request: the error, unless its client was gone before its body had arrived. */
export function failureOf(c: Context, error: unknown): AppError {
  const failure = toAppError(error);
  if (failure.code !== "INTERNAL" || !bodyBrokeOff(c)) return failure;
  return new BrokenOffError(error);
}

/** The error as one of the closed list. What is not known becomes INTERNAL with the original as its cause. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof ZodError) return fromIssues(error.issues);
  if (error instanceof HTTPException) return fromHttpException(error);
  return new AppError("INTERNAL", "Internal error", { cause: error });
}

/** Input that does not fit its schema: INVALID with the path of each fault. */
export function fromIssues(issues: readonly ZodError["issues"][number][]): AppError {
  const faults = issues.flatMap(faultsOf);
  const first = faults[0];
  const detail = first === undefined ? "The input is not valid." : sentence(first, faults.length);
  return new AppError("INVALID", detail, { faults });
}

function faultsOf(issue: ZodError["issues"][number]): Fault[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ path: dotted([...issue.path, key]), message: "is not a known field" }));
  }
  return [{ path: dotted(issue.path), message: issue.message }];
}

function sentence(first: Fault, count: number): string {
  const where = first.path === "" ? "The body" : first.path;
  const more = count > 1 ? ` (and ${String(count - 1)} more)` : "";
  return `${where}: ${first.message}${more}`;
}

function boundedFaults(faults: readonly Fault[]): Fault[] {
  if (faults.length <= MAX_FAULTS) return faults.map(forApi);
  const rest = faults.length - MAX_FAULTS;
  return [...faults.slice(0, MAX_FAULTS).map(forApi), { path: "", message: `and ${String(rest)} more` }];
}

/** A program confirms with a field of the body. */
function forApi(fault: Fault): Fault {
  if (fault.confirm === undefined) return fault;
  const when = fault.confirm === "newModel" ? "If it is new" : "If that is right";
  return { ...fault, message: `${fault.message} ${when}, send "${fault.confirm}": true.` };
}

function dotted(path: readonly PropertyKey[]): string {
  return path.map(String).join(".");
}

/** Hono's own refusals. 400 is INVALID here: every fault of the input has one status. */
const CODE_OF_STATUS: Readonly<Partial<Record<number, ErrorCode>>> = {
  400: "INVALID",
  401: "UNAUTHENTICATED",
  403: "FORBIDDEN",
  404: "NOT_FOUND",
  413: "TOO_LARGE",
  415: "UNSUPPORTED_MEDIA_TYPE",
  422: "INVALID",
};

function fromHttpException(error: HTTPException): AppError {
  const code = CODE_OF_STATUS[error.status];
  return code === undefined
    ? new AppError("INTERNAL", "Internal error", { cause: error })
    : new AppError(code, error.message);
}

function requestIdOf(c: Context): string {
  const id: unknown = c.get("requestId");
  return typeof id === "string" ? id : "unknown";
}
