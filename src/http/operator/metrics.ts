/**
 * `/metrics` for Prometheus: an `op` token with role viewer, sent as a bearer. With the database away it still answers
 * with what this server knows by itself, and says so: a scrape that fails tells less.
 */
import { Hono } from "hono";
import type { Registry } from "prom-client";
import type { Deps, Ctx } from "../../deps.ts";
import type { MetricFamily } from "../../domain/metric.ts";
import { databaseAnswers, databaseFamilies, serverFamilies } from "../../services/shared/metrics.ts";
import { databaseFault } from "../../database-away.ts";
import type { AppEnv } from "../app-env.ts";
import { authenticate, needs } from "../middleware/auth.ts";
import { processMetrics } from "../middleware/http-metrics.ts";
import { metricsText } from "../metrics-text.ts";
import { toAppError } from "../problem.ts";

const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export function metricsRoutes(deps: Deps, http: Registry): Hono<AppEnv> {
  return new Hono<AppEnv>().get("/metrics", authenticate(deps), needs("viewer"), async (c) => {
    const ctx = c.get("ctx");
    const known = await knownOf(ctx);
    const families = [...serverFamilies(ctx), databaseUp(known !== null), ...(known ?? [])];
    const text = [metricsText(families), await http.metrics(), await processMetrics().metrics()].join("\n");
    return c.body(text, 200, { "Content-Type": CONTENT_TYPE, "Cache-Control": "no-store" });
  });
}

/** Null while the database is away. */
async function knownOf(ctx: Ctx): Promise<MetricFamily[] | null> {
  try {
    return (await databaseAnswers(ctx)) ? await databaseFamilies(ctx) : null;
  } catch (error) {
    if (toAppError(databaseFault(error)).code !== "DATABASE_AWAY") throw error;
    // Said by andon_database_up.
    return null;
  }
}

function databaseUp(up: boolean): MetricFamily {
  return {
    name: "andon_database_up",
    help: "1 when the database answered this scrape.",
    type: "gauge",
    samples: [{ labels: {}, value: Number(up) }],
  };
}
