/** What can be asked about usage, and what is answered. Money is whole nano-USD. Never content. */
import { z } from "@hono/zod-openapi";
import { USAGE_BUCKETS, USAGE_GROUPS } from "../domain/usage-query.ts";
import { nanoUsd, time, totalSchema } from "./fields.ts";
import { pageQuery } from "./list.ts";
import { optionalField } from "./optional-field.ts";

const MAX_ZONE_CHARS = 64;
const MAX_LABEL_CHARS = 256;

const totalNanoUsd = totalSchema("Whole nano-USD (1e-9 USD).");
const totalTokens = totalSchema("Tokens.");
const moment = z.iso
  .datetime({ offset: true, error: "must be a time with its zone, such as 2030-01-31T06:00:00Z" })
  .transform((text) => new Date(text))
  .openapi({ type: "string", format: "date-time" });
/** Not the shape of keys: what was reported under a misspelt flag can be asked for by it. */
const label = z
  .string()
  .max(MAX_LABEL_CHARS, "is too long")
  .regex(/^\P{Cc}*$/u, "has a control character");
const GROUPS = USAGE_GROUPS.join(", ");

export const usageQuery = z.strictObject({
  from: optionalField(moment),
  to: optionalField(moment),
  groupBy: optionalField(
    z
      .string()
      .transform((text) => text.split(","))
      .pipe(z.array(z.enum(USAGE_GROUPS, `must be a list of ${GROUPS}, such as flag,model`)).max(USAGE_GROUPS.length))
      .openapi({ type: "string", example: "flag,model" }),
  ),
  bucket: optionalField(z.enum(USAGE_BUCKETS, `must be one of ${USAGE_BUCKETS.join(", ")}`)),
  timezone: optionalField(z.string().max(MAX_ZONE_CHARS, "is not an IANA time zone")).openapi({
    description: "IANA zone that hours and days follow; UTC when left out.",
  }),
  flag: optionalField(label),
  model: optionalField(label),
});
export type UsageQuery = z.infer<typeof usageQuery>;

const count = z.number();

const usageRowSchema = z
  .object({
    at: time.nullable().openapi({ description: "Start of the bucket; null without buckets." }),
    /** What the row is grouped by; a record without a user or session has "". */
    flag: optionalField(z.string()),
    model: optionalField(z.string()),
    user: optionalField(z.string()),
    session: optionalField(z.string()),
    app: optionalField(z.string()),
    version: optionalField(z.string()),
    /** First attempts; `attempts` counts all. */
    calls: count,
    attempts: count,
    errors: count,
    aborted: count,
    refused: count,
    promptTokens: totalSchema("Input, cache writes and cache reads."),
    outputTokens: totalTokens,
    tokens: z
      .object({
        input: totalTokens,
        output: totalTokens,
        cacheWrite5m: totalTokens,
        cacheWrite1h: totalTokens,
        cacheRead: totalTokens,
      })
      .nullable()
      .openapi({ description: "By price class; null for users, sessions, apps and versions." }),
    webSearches: count.nullable(),
    costNanoUsd: totalNanoUsd,
    /** The part that the provider's own usage proves. */
    exactNanoUsd: totalNanoUsd,
    estimatedNanoUsd: totalNanoUsd,
    unpriced: count.nullable().openapi({ description: "Attempts at a model without a price." }),
    /** From the ledger: the upper bound of the bucket that holds the quantile. Null without any attempt. */
    p50Ms: count.nullable(),
    p95Ms: count.nullable(),
    p99Ms: count.nullable(),
  })
  .openapi("UsageRow");
export type UsageRow = z.infer<typeof usageRowSchema>;

export const usageSchema = z
  .object({
    from: time,
    to: time,
    bucket: z.enum(USAGE_BUCKETS).nullable(),
    timezone: z.string(),
    groupBy: z.array(z.enum(USAGE_GROUPS)),
    source: z.enum(["ledger", "topNames", "recentCalls"]).openapi({
      description:
        "`ledger`: complete sums. `topNames`, for users, sessions, apps or versions: the 1,000 of each hour that cost most; `rest` is what the ledger has beside them. `recentCalls`, for several of these at once and for buckets that are no whole hours: sums of the calls that are still kept; under load only the newest of each moment are.",
    }),
    items: z.array(usageRowSchema),
    unknown: z
      .array(z.object({ path: z.enum(["flag", "model"]), message: z.string() }))
      .openapi({ description: "Without rows: what was asked for and is no flag, or no model, that anything knows." }),
    rest: optionalField(z.array(usageRowSchema)).openapi({
      description: "With `topNames`: what is in none of `items`, by bucket, flag and model where those are asked for.",
    }),
  })
  .openapi("Usage");
export type UsageAnswer = z.infer<typeof usageSchema>;

export const callsQuery = pageQuery.extend({
  flag: optionalField(label),
  model: optionalField(label),
  outcome: optionalField(z.enum(["ok", "error", "aborted", "refused"])),
  user: optionalField(label),
  session: optionalField(label),
});
export type CallsQuery = z.infer<typeof callsQuery>;

const callSchema = z
  .object({
    id: z.number(),
    at: time,
    flag: z.string(),
    model: z.string(),
    requestedModel: z.string(),
    outcome: z.enum(["ok", "error", "aborted", "refused"]),
    exact: z.boolean(),
    costNanoUsd: nanoUsd,
    promptTokens: count,
    outputTokens: count,
    latencyMs: count,
    attempt: count,
    status: count.nullable(),
    errorType: z.string().nullable(),
    stopReason: z.string().nullable(),
    requestId: z.string().nullable(),
    user: z.string().nullable(),
    session: z.string().nullable(),
    instance: z.string().nullable(),
  })
  .openapi("Call");
export type CallResource = z.infer<typeof callSchema>;
export const callsSchema = z.object({ items: z.array(callSchema), nextCursor: z.string().nullable() }).openapi("Calls");
