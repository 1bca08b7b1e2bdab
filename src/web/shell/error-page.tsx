/** What a person sees when a page cannot be shown: what happened and what to do, with the request's id. */
import type { Context } from "hono";
import type { Deps } from "../../deps.ts";
import type { Actor } from "../../domain/actor.ts";
import { ERROR_STATUS, type ErrorCode } from "../../errors.ts";
import { failureOf, logFailure } from "../../http/problem.ts";
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
  OVERLOADED: "Too busy",
};

/** Whether this request is a person's, who looks at an address: a browser asks for HTML first, programs and our script do not. */
export function wantsPage(c: Context): boolean {
  return /^\s*text\/html\b/i.test(c.req.header("accept") ?? "");
}

/** The page about `error`, with the way back to the board. Behind sign-in it is framed for its visitor. */
export function errorPage(c: Context, deps: Deps, error: unknown): Response | Promise<Response> {
  const failure = failureOf(c, error);
  const requestId: string = c.get("requestId");
  logFailure(deps.log, requestId, failure);
  const actor: Actor | null = c.get("actor") ?? null;
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
