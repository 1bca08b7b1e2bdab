/** An incident: one per cause and window, growing by step. */
import { z } from "@hono/zod-openapi";
import { WATCH_KINDS } from "../domain/watch.ts";
import { TRIGGER_SOURCES } from "../domain/trigger.ts";
import { SEVERITIES } from "../domain/channel.ts";
import { budgetName, revision, time } from "./fields.ts";
import { pageQuery } from "./list.ts";
import { optionalField } from "./optional-field.ts";

export const incidentsQuery = pageQuery.extend({
  open: optionalField(z.enum(["true", "false"], 'must be "true" or "false"')).openapi({
    description: "`true`: only those whose cause still stands.",
  }),
});

export const incidentSchema = z
  .object({
    id: z.string(),
    title: z.string(),
    budget: budgetName.nullable(),
    /** The model that a breaker has taken out; null for a budget's incident. */
    model: z.string().nullable(),
    /** The models without a price that it is about; null for any other incident. */
    unpriced: z.array(z.string()).nullable(),
    /** Why Claude refuses an account, while the incident is open for which flags and where, and how many instances run; null for any other. */
    account: z
      .object({
        fault: z.enum(["money", "key"]),
        flags: z.array(z.string()),
        instances: z.array(z.string()),
        running: z.number(),
        since: time,
      })
      .nullable(),
    /** Where Claude's bill differs from the ledger now: by day in UTC and model, or what is billed beside tokens; null for any other. */
    drift: z.array(z.object({ day: z.string(), kind: z.enum(["model", "other"]), name: z.string() })).nullable(),
    /** What a watch has found, of the flags that are about it; null for any other. */
    watch: z
      .object({
        kind: z.enum(WATCH_KINDS),
        flags: z.array(
          z.object({
            flag: z.string(),
            since: time.nullable(),
            /** When it last was over its limit, and when it was over for good; null while it is not. */
            heldAt: time,
            endedAt: time.nullable(),
            /** Nano-USD of the last hour (`burn`), tokens of a call (`largeCall`), else percent; and the same of the last 15 minutes. */
            value: z.number(),
            now: z.number(),
            worst: z.number(),
            /** The usual of that hour in nano-USD, the mean of a call in tokens, or the limit in percent. */
            against: z.number(),
            limit: z.number(),
          }),
        ),
      })
      .nullable(),
    /** The alert of another system that pulled the cord, and the flags that it switched; null for any other. */
    trigger: z
      .object({
        name: z.string(),
        source: z.enum(TRIGGER_SOURCES),
        alert: z.string(),
        flags: z.array(z.string()),
        clearedAt: time.nullable(),
      })
      .nullable(),
    /** The flag of the budget's scope, or of a watch that found one alone; null when it has none. */
    flag: z.string().nullable(),
    /** `atPercent`: of the limit; of a breaker (`action` "breaker") the share of the calls that failed; 0 of `unpriced`, `drift` and `watch`. */
    steps: z.array(z.object({ at: time, atPercent: z.number(), action: z.string(), text: z.string() })),
    openedAt: time,
    acknowledgedAt: time.nullable(),
    acknowledgedBy: z.string().nullable(),
    /** Since when on-call is asked: since it opened, or since something new had to be seen. */
    askedSince: time,
    severity: z.enum(SEVERITIES),
    resolvedAt: time.nullable(),
    alerts: z.object({ sent: z.number(), waiting: z.number(), failed: z.number() }),
  })
  .openapi("Incident");
export type IncidentResource = z.infer<typeof incidentSchema>;

export const acknowledgedSchema = z
  .object({ id: z.string(), acknowledgedAt: time, acknowledgedBy: z.string(), revision })
  .openapi("Acknowledged");

export const resolvedSchema = z.object({ id: z.string(), resolvedAt: time, revision }).openapi("Resolved");
