/**
 * All pages of the board. Every page but sign-in needs a session; every form must come from our own pages; what goes
 * wrong is a page with a sentence, never a bare code.
 */
import { type ErrorHandler, Hono, type MiddlewareHandler } from "hono";
import { getCookie } from "hono/cookie";
import type { Deps } from "../../deps.ts";
import { MAX_BODY_BYTES } from "../../domain/limits.ts";
import { AppError } from "../../errors.ts";
import { bodyLimit } from "../../http/middleware/body-limit.ts";
import { sameOriginForms } from "../../http/middleware/same-origin.ts";
import { readSession } from "../../http/middleware/session.ts";
import { errorPage } from "./error-page.tsx";
import { ENVIRONMENT_COOKIE, type PageEnv, wantsParts } from "./page-context.ts";
import { alertPages } from "../incidents/alerts.tsx";
import { auditPages } from "../audit/page.tsx";
import { batchPages } from "../batches/pages.tsx";
import { boardPages } from "../board/page.tsx";
import { budgetPages } from "../budgets/pages.tsx";
import { chainPages } from "../chains/pages.tsx";
import { channelPages } from "../channels/pages.tsx";
import { environmentPages } from "../access/environments.tsx";
import { flagEditPages } from "../flags/edit.tsx";
import { flagPages } from "../flags/page.tsx";
import { deadPages } from "../instances/dead.tsx";
import { readinessPages } from "../flags/readiness.tsx";
import { holdPages } from "../flags/hold.tsx";
import { incidentPages } from "../incidents/pages.tsx";
import { instancePages } from "../instances/page.tsx";
import { linkPages } from "../incidents/link-pages.tsx";
import { modelPages } from "../models/pages.tsx";
import { pricePages } from "../prices/pages.tsx";
import { watchPages } from "../watches/pages.tsx";
import { signInPages } from "../access/sign-in.tsx";
import { switchPages } from "../flags/switches.tsx";
import { tagPages } from "../flags/tag.tsx";
import { reconciliationPages } from "../reconciliation/pages.tsx";
import { usagePages } from "../usage/pages.tsx";
import { tokenPages } from "../access/tokens.tsx";
import { triggerPages } from "../triggers/pages.tsx";
import { visibleEnvironments } from "./render.tsx";
import { staticFiles } from "./static-files.ts";

const SIGNED_IN = ["/", "/e/*", "/environments/*", "/environments"];
const PAGES = [...SIGNED_IN, "/act", "/sign-in", "/sign-in/*", "/sign-out"];

export function webRoutes(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();
  app.route("/", staticFiles());

  const onError: ErrorHandler<PageEnv> = (error, c) => errorPage(c, deps, error);
  const pages = new Hono<PageEnv>();
  pages.onError(onError);
  const limit = bodyLimit(MAX_BODY_BYTES, "That is more than a form of this board can hold.");
  for (const path of PAGES) pages.use(path, sameOriginForms(deps), limit);
  pages.route("/", signInPages(deps));
  pages.route("/", linkPages(deps));
  for (const path of SIGNED_IN) pages.use(path, requireSession(deps));

  pages.get("/", (c) => {
    const keys = visibleEnvironments(deps, c.get("actor"));
    const last = getCookie(c, ENVIRONMENT_COOKIE);
    const key = last !== undefined && keys.includes(last) ? last : keys.includes("production") ? "production" : keys[0];
    if (key === undefined)
      throw new AppError("NOT_READY", "This token sees no environment yet. Ask an admin for one that does.");
    return c.redirect(`/e/${key}`, 303);
  });
  for (const part of [
    boardPages,
    switchPages,
    tagPages,
    flagEditPages,
    flagPages,
    holdPages,
    readinessPages,
    budgetPages,
    usagePages,
    reconciliationPages,
    incidentPages,
    alertPages,
    watchPages,
    batchPages,
    channelPages,
    triggerPages,
    chainPages,
    modelPages,
    pricePages,
    instancePages,
    deadPages,
    auditPages,
    tokenPages,
    environmentPages,
  ]) {
    pages.route("/", part(deps));
  }
  app.route("/", pages);
  return app;
}

/** Sets `actor`. A visitor without a session is sent to sign in, and back afterwards. */
function requireSession(deps: Deps): MiddlewareHandler<PageEnv> {
  return async (c, next) => {
    const actor = await readSession(c, deps);
    if (actor !== null) {
      c.set("actor", actor);
      await next();
      return;
    }
    // The page's script knows the address of its page; what it asked for is a part of it.
    if (wantsParts(c)) return c.body(null, 401, { "HX-Redirect": "/sign-in" });
    const { pathname, search } = new URL(c.req.url);
    const back = c.req.method === "GET" ? `?next=${encodeURIComponent(pathname + search)}` : "";
    return c.redirect(`/sign-in${back}`, 303);
  };
}
