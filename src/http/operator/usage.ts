/** What was used and what it cost: sums, and the newest calls. As JSON, or as CSV with `Accept: text/csv`. */
import { z } from "@hono/zod-openapi";
import { savingsQuery, savingsSchema } from "../../api/savings.ts";
import { type CallResource, callsQuery, callsSchema, usageQuery, usageSchema } from "../../api/usage.ts";
import { listCalls } from "../../services/usage/recent-calls.ts";
import { getSavings, savingsCsv } from "../../services/usage/savings.ts";
import { getUsage } from "../../services/usage/view.ts";
import type { AppContext } from "../app-env.ts";
import { csv } from "../../domain/csv.ts";
import { usageCsv } from "../../services/usage/csv.ts";
import { type Api, createApi, environmentParams, readRoute } from "../openapi.ts";

const tags = ["Usage"];
/** A table for spreadsheets; asked for with `Accept: text/csv`. */
const csvAnswer = { "text/csv": { schema: z.string() } } as const;
const CSV = { "Content-Type": "text/csv; charset=utf-8" };

const sums = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/usage",
  tags,
  operationId: "getUsage",
  summary: "Calls, errors, tokens, cost and latency over a span, by flag, model, user or session, in buckets",
  request: { params: environmentParams, query: usageQuery },
  responses: {
    200: {
      description: "One row a group and bucket.",
      content: { "application/json": { schema: usageSchema }, ...csvAnswer },
    },
  },
});

const savings = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/usage/savings",
  tags,
  operationId: "getSavings",
  summary: "What caching and batches would save at most, by flag and model, with what that assumes",
  request: { params: environmentParams, query: savingsQuery },
  responses: {
    200: {
      description: "What would save most comes first.",
      content: { "application/json": { schema: savingsSchema }, ...csvAnswer },
    },
  },
});

const calls = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/usage/calls",
  tags,
  operationId: "listCalls",
  summary: "The newest calls, one row an attempt",
  request: { params: environmentParams, query: callsQuery },
  responses: {
    200: {
      description: "One page; nextCursor leads to older ones. In CSV the cursor is the last row's id.",
      content: { "application/json": { schema: callsSchema }, ...csvAnswer },
    },
  },
});

export function usageRoutes(): Api {
  return createApi()
    .openapi(sums, async (c) => {
      const [ctx, { env }, query] = [c.get("ctx"), c.req.valid("param"), c.req.valid("query")];
      return wantsCsv(c)
        ? c.body(await usageCsv(ctx, env, query), 200, CSV)
        : c.json(await getUsage(ctx, env, query), 200);
    })
    .openapi(savings, async (c) => {
      const [ctx, { env }, query] = [c.get("ctx"), c.req.valid("param"), c.req.valid("query")];
      return wantsCsv(c)
        ? c.text(await savingsCsv(ctx, env, query), 200, CSV)
        : c.json(await getSavings(ctx, env, query), 200);
    })
    .openapi(calls, async (c) => {
      const page = await listCalls(c.get("ctx"), c.req.valid("param").env, c.req.valid("query"));
      return wantsCsv(c) ? c.text(csv(CALL_COLUMNS, page.items.map(callCells)), 200, CSV) : c.json(page, 200);
    });
}

/** JSON unless CSV is named and JSON is not. */
function wantsCsv(c: AppContext): boolean {
  const accept = c.req.header("accept") ?? "";
  return /\btext\/csv\b/i.test(accept) && !/\bapplication\/json\b/i.test(accept);
}

const CALL_COLUMNS = [
  "id",
  "at",
  "flag",
  "model",
  "requestedModel",
  "outcome",
  "exact",
  "costNanoUsd",
  "promptTokens",
  "outputTokens",
  "latencyMs",
  "attempt",
  "status",
  "errorType",
  "stopReason",
  "requestId",
  "user",
  "session",
  "instance",
];

/** A type alias has an index signature where an interface has none. */
function callCells(call: CallResource): Record<string, string | number | boolean | null> {
  return { ...call };
}
