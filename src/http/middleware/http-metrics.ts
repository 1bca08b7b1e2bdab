/**
 * How many requests this process answered and how long they took, by route. The route is the pattern, never the address.
 * Polls of clients do not pass here: they are the hot path, and the parked ones are counted where they wait.
 */
import type { MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import { collectDefaultMetrics, Histogram, Registry } from "prom-client";
import type { Deps } from "../../deps.ts";
import type { AppContext, AppEnv } from "../app-env.ts";

const BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** A scanner's made-up methods must not become series. */
const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

export interface HttpMetrics {
  registry: Registry;
  middleware: MiddlewareHandler<AppEnv>;
}

export function httpMetrics(deps: Pick<Deps, "clock">): HttpMetrics {
  const registry = new Registry();
  const durations = new Histogram({
    name: "andon_http_request_duration_seconds",
    help: "Duration of requests this server answered, without the polls of clients.",
    labelNames: ["method", "route", "status"],
    buckets: BUCKETS_SECONDS,
    registers: [registry],
  });
  return {
    registry,
    middleware: async (c, next) => {
      const startedMs = deps.clock.monotonicMs();
      await next();
      const method = METHODS.has(c.req.method) ? c.req.method : "other";
      const labels = { method, route: routeOf(c), status: String(c.res.status) };
      durations.observe(labels, (deps.clock.monotonicMs() - startedMs) / 1000);
    },
  };
}

/** Middleware matches too, some of it after the handler: it is what answers to every method. */
function routeOf(c: AppContext): string {
  return matchedRoutes(c).findLast(({ method }) => method !== "ALL")?.path ?? "none";
}

/** Gauges with the ending of counters, which `promtool check metrics` refuses; `nodejs_active_resources` says as much. */
const MISNAMED = ["nodejs_active_handles_total", "nodejs_active_requests_total", "nodejs_active_resources_total"];

let processRegistry: Registry | null = null;

/** Memory, CPU, event loop and garbage collection of this process. Made when first asked for: there is one process. */
export function processMetrics(): Registry {
  if (processRegistry === null) {
    processRegistry = new Registry();
    collectDefaultMetrics({ register: processRegistry });
    for (const name of MISNAMED) processRegistry.removeSingleMetric(name);
  }
  return processRegistry;
}
