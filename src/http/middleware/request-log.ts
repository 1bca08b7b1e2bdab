/**
 * One log line per request: method, route, status, duration, actor id. The route is the pattern, never the address: an
 * address can hold a secret. Headers, queries, cookies and bodies are never logged.
 */
import type { MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import type { Deps } from "../../deps.ts";
import type { AppEnv } from "../app-env.ts";

export function requestLog(deps: Deps): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const startedMs = deps.clock.monotonicMs();
    await next();
    const line = {
      requestId: c.get("requestId"),
      method: c.req.method,
      route: routePath(c, -1),
      status: c.res.status,
      ms: Math.round((deps.clock.monotonicMs() - startedMs) * 10) / 10,
      actor: (c.get("ctx") as AppEnv["Variables"]["ctx"] | undefined)?.actor.id ?? null,
    };
    deps.log.info(line, "request");
  };
}
