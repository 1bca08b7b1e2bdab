/** What turns a flag off and on and steps it down, and what is told of that. */
import { z } from "@hono/zod-openapi";
import { MAX_CHAIN_STEPS } from "../domain/limits.ts";
import { budgetName, modelSchema, reasonSchema, switchState, time, untilSchema } from "./fields.ts";
import { optionalField } from "./optional-field.ts";

const MAX_LEVEL = MAX_CHAIN_STEPS - 1;

export const killBody = z
  .strictObject({
    reason: reasonSchema.nullable().openapi({ description: "Null: a kill waits for nothing; it is told afterwards." }),
    until: optionalField(untilSchema),
  })
  .openapi("Kill");

const rampSchema = z
  .number("must be a percentage")
  .gt(0, "must be more than 0")
  .lt(100, "must be less than 100; leave it out to restore at once");
export const restoreBody = z
  .strictObject({
    reason: reasonSchema,
    ramp: optionalField(rampSchema).openapi({
      description: "Percentage of contexts that get the feature back first. Left out: all.",
    }),
  })
  .openapi("Restore");

export const downgradeBody = z
  .strictObject({
    level: optionalField(
      z
        .int("must be a whole number")
        .min(0, "must be 0 (full quality) or more")
        .max(MAX_LEVEL, `must be at most ${String(MAX_LEVEL)}`),
    ),
    model: optionalField(modelSchema),
    reason: reasonSchema,
    until: optionalField(untilSchema),
  })
  .refine((body) => body.level === undefined || body.model === undefined, {
    path: ["model"],
    message: "give either level or model, not both",
  })
  .openapi("Downgrade", { description: "By level or by model; with neither, one step further than now." });

export const switchSchema = z
  .object({
    state: switchState,
    cause: z.enum(["manual", "trigger", "budget"]).nullable(),
    reason: z.string().nullable(),
    by: z.string().nullable(),
    since: time,
    until: time.nullable(),
    ramp: z.number().nullable(),
  })
  .openapi("Switch");
export type SwitchResource = z.infer<typeof switchSchema>;

export const levelSchema = z
  .object({
    /** The level in force, resolved in the chain as it is now. */
    level: z.number(),
    manual: z
      .object({
        level: z.number(),
        model: z.string(),
        reason: z.string().nullable(),
        by: z.string(),
        since: time,
        until: time.nullable(),
      })
      .nullable(),
  })
  .openapi("Level");

export const tripSchema = z
  .object({
    id: z.string(),
    budget: budgetName,
    atPercent: z.number(),
    action: z.enum(["downgrade", "kill"]),
    level: z.number().nullable(),
    model: z.string().nullable(),
    since: time,
    until: time.nullable().openapi({ description: "When it ends by itself; null: when somebody restores." }),
  })
  .openapi("Trip", { description: "What a budget did to the flag by itself." });
export type TripResource = z.infer<typeof tripSchema>;
