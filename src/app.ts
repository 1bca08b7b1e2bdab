/**
 * Mounts everything the server answers. No I/O on import, none when called. Polls of clients and of open boards come
 * first and pass no middleware: they are the hot path and bring their own headers.
 */
import { type ErrorHandler, Hono } from "hono";
import { requestId } from "hono/request-id";
import { secureHeaders } from "hono/secure-headers";
import type { Deps } from "./deps.ts";
import { AppError } from "./errors.ts";
import type { AppEnv } from "./http/app-env.ts";
import { docsRoutes } from "./http/docs/docs.ts";
import { httpMetrics } from "./http/middleware/http-metrics.ts";
import { methodsByPath } from "./http/middleware/method-not-allowed.ts";
import { operatorApi } from "./http/operator-api.ts";
import { failureOf, logFailure, problemResponse } from "./http/problem.ts";
import { requestLog } from "./http/middleware/request-log.ts";
import { healthRoutes } from "./http/health.ts";
import { metricsRoutes } from "./http/operator/metrics.ts";
import { leaseRoutes } from "./http/sdk/leases.ts";
import { pollRoute, pollsFirst, sdkRoutes } from "./http/sdk/poll.ts";
import { usageReportRoutes } from "./http/sdk/usage.ts";
import { verdictRoutes } from "./http/sdk/verdicts.ts";
import { errorPage, wantsPage } from "./web/shell/error-page.tsx";
import { boardsFirst, liveRoute } from "./web/board/live-route.ts";
import { webRoutes } from "./web/shell/routes.tsx";

const MAX_REQUEST_ID_CHARS = 64;
/** Addresses of programs: whoever looks at one in a browser is shown what a program gets. */
const API_PATH = /^\/(?:v1|sdk)(?:\/|$)/;

/** The server's handler. Needs deps whose snapshots and tokens are loaded, or answers 503 until they are. */
export function createApp(deps: Deps): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  const onError: ErrorHandler<AppEnv> = (error, c) => {
    const failure = failureOf(c, error);
    logFailure(deps.log, c.get("requestId"), failure);
    return problemResponse(c, failure);
  };
  app.onError(onError);

  const http = httpMetrics(deps);
  app.route("/", sdkRoutes(deps));
  app.use(http.middleware);
  app.route("/", usageReportRoutes(deps));
  app.route("/", leaseRoutes(deps));
  app.route("/", verdictRoutes(deps));
  app.use(requestId({ limitLength: MAX_REQUEST_ID_CHARS, generator: () => deps.newId() }));
  app.use(securityHeaders(deps));
  app.use(requestLog(deps));
  app.route("/", healthRoutes(deps));
  app.route("/", metricsRoutes(deps, http.registry));
  const api = operatorApi(deps);
  app.route("/", api);
  app.route("/", docsRoutes(api));
  const boards = liveRoute(deps);
  app.route("/", boards);
  app.route("/", webRoutes(deps));

  const methodsOf = methodsByPath(app);
  app.notFound((c) => {
    const allowed = methodsOf(c.req.path);
    const error =
      allowed.length === 0
        ? new AppError("NOT_FOUND", "There is nothing at this address.")
        : new AppError("METHOD_NOT_ALLOWED", `${c.req.method} is not possible here; ${allowed.join(", ")} is.`);
    if (allowed.length > 0) c.header("Allow", allowed.join(", "));
    return !API_PATH.test(c.req.path) && wantsPage(c) ? errorPage(c, deps, error) : problemResponse(c, error);
  });
  app.fetch = pollsFirst(pollRoute(deps).onError(onError), boardsFirst(boards.onError(onError), app.fetch));
  return app;
}

/**
 * `same-origin` and not `no-referrer`: with the latter, browsers send `Origin: null` with the forms of our own pages,
 * and they could not be told from forged ones.
 */
function securityHeaders(deps: Deps) {
  return secureHeaders({
    overwrite: false,
    contentSecurityPolicy: {
      defaultSrc: ["'none'"],
      frameAncestors: ["'none'"],
      baseUri: ["'none'"],
      formAction: ["'none'"],
    },
    referrerPolicy: "same-origin",
    xFrameOptions: "DENY",
    strictTransportSecurity: deps.config.publicUrl.startsWith("https:") ? "max-age=31536000" : false,
    permissionsPolicy: { camera: [], microphone: [], geolocation: [], payment: [], usb: [] },
  });
}
