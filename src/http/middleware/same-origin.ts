/**
 * Protection against forged requests for everything that a cookie authenticates: a browser says where a request comes
 * from, and anything but our own pages is refused. Needs no token in forms, so it works without JavaScript.
 */
import type { Context, MiddlewareHandler } from "hono";
import type { Deps } from "../../deps.ts";
import { AppError } from "../../errors.ts";

const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);

/** True when the browser says that the request comes from a page of this server. */
export function isSameOrigin(c: Context, deps: Deps): boolean {
  const site = c.req.header("sec-fetch-site");
  // `none` is the address bar or a bookmark: a person, but never a form.
  if (site !== undefined) return site === "same-origin" || (site === "none" && SAFE_METHODS.has(c.req.method));
  const origin = c.req.header("origin");
  if (origin === undefined) return SAFE_METHODS.has(c.req.method);
  return origin === new URL(c.req.url).origin || origin === new URL(deps.config.publicUrl).origin;
}

/** Throws FORBIDDEN unless the request comes from a page of this server. */
export function requireSameOrigin(c: Context, deps: Deps): void {
  if (isSameOrigin(c, deps)) return;
  throw new AppError(
    "FORBIDDEN",
    "This request comes from another site, so the session cookie was not accepted. Open Andon itself and try again.",
  );
}

/** For pages: refuses every changing request (a form) that does not come from our own pages. Links stay allowed. */
export function sameOriginForms(deps: Deps): MiddlewareHandler {
  return async (c, next) => {
    if (!SAFE_METHODS.has(c.req.method)) requireSameOrigin(c, deps);
    await next();
  };
}
