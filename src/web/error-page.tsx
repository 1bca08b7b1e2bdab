/** What a person sees when a page cannot be shown: what happened and what to do, with the request's id. */
import type { Context } from "hono";
import type { Deps } from "../deps.ts";
import { ERROR_STATUS, type ErrorCode } from "../errors.ts";
import { failureOf, logFailure } from "../http/problem.ts";
import type { PageEnv } from "./page-context.ts";
import { sendPage } from "./render.tsx";

const TITLES: Record<ErrorCode, string> = {
  UNAUTHENTICATED: "Sign in first",
  FORBIDDEN: "Not allowed",
  NOT_FOUND: "Not here",
  METHOD_NOT_ALLOWED: "Not possible here",
  CONFLICT: "That did not go through",
  PRECONDITION_FAILED: "Changed by someone else",
  TOO_LARGE: "Too large",
  UNSUPPORTED_MEDIA_TYPE: "Not a form",
  INVALID: "That cannot be right",
  RATE_LIMITED: "Too many attempts",
  INTERNAL: "Something went wrong",
  DATABASE_AWAY: "The database is away",
  NOT_READY: "Not ready yet",
};

export function errorPage(c: Context<PageEnv>, deps: Deps, error: unknown): Response | Promise<Response> {
  const failure = failureOf(c, error);
  const requestId = c.get("requestId");
  logFailure(deps.log, requestId, failure);
  const actor = c.get("actor") ?? null;
  if (failure.retryAfterSeconds !== undefined) c.header("Retry-After", String(Math.ceil(failure.retryAfterSeconds)));
  if (failure.code === "TOO_LARGE") c.header("Connection", "close");
  return sendPage(
    c,
    deps,
    { title: TITLES[failure.code], actor, status: ERROR_STATUS[failure.code] },
    <section class="card stack">
      <h1>{TITLES[failure.code]}</h1>
      <p>
        {failure.code === "INTERNAL"
          ? "The server has logged what happened. Try again; if it stays, give this id to whoever runs Andon."
          : failure.message}
      </p>
      <p class="acts">
        <a class="button main" href="/">
          To the board
        </a>
      </p>
      <p class="dim">
        Request <code>{requestId}</code>
      </p>
    </section>,
  );
}
