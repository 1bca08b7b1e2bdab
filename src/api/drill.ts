/** Drills: a flag off for seconds, to see that its switch works. */
import { z } from "@hono/zod-openapi";
import { DRILL_STATES, MAX_ABORTING_DRILL_SECONDS, MAX_DRILL_SECONDS } from "../domain/drill.ts";
import { time } from "./fields.ts";
import { optionalField } from "./optional-field.ts";

export const drillSecondsSchema = z
  .int("must be whole seconds")
  .min(1, "must be at least 1")
  .max(MAX_DRILL_SECONDS, `must be at most ${String(MAX_DRILL_SECONDS)}`);

export const drillBody = z
  .strictObject({
    seconds: optionalField(drillSecondsSchema).openapi({
      description: `How long the flag is off at most; it is back as soon as everybody has answered. At most ${String(MAX_ABORTING_DRILL_SECONDS)} where a kill aborts running calls.`,
    }),
  })
  .openapi("StartDrill");

export const drillSchema = z
  .object({
    id: z.string(),
    flag: z.string(),
    state: z.enum(DRILL_STATES).openapi({
      description:
        "`proven`: every instance that ran has applied the kill. `unproven`: some have not. `interrupted`: somebody restored it first. `skipped`: a scheduled one that would have done harm.",
    }),
    by: z.string(),
    scheduled: z.boolean(),
    startedAt: time,
    endsAt: time.openapi({ description: "The flag is back by then, unless somebody killed it meanwhile." }),
    finishedAt: time.nullable(),
    revision: z.string().nullable().openapi({ description: "Of its kill; null of one that was skipped." }),
    applied: z.number().nullable().openapi({ description: "Instances that applied the kill. Null while it runs." }),
    live: z.number().nullable().openapi({ description: "Instances that ran or may have run." }),
    lastMs: z.number().nullable().openapi({ description: "Milliseconds from the kill to the last receipt." }),
    missing: z.array(z.string()).openapi({ description: "Those that did not answer, at most 20 of them." }),
    note: z.string().nullable(),
  })
  .openapi("Drill");
export const drillsSchema = z.object({ items: z.array(drillSchema) }).openapi("Drills");
export type DrillResource = z.infer<typeof drillSchema>;
