/** What holds for a flag now, since when without a break, and the cause that decides. */
import { z } from "@hono/zod-openapi";
import { budgetName, time } from "./fields.ts";

const causeKind = z.enum([
  "MASTER",
  "KILLED",
  "TRIPPED",
  "NO_MODEL",
  "OVERRIDE",
  "RAISE_ENDED",
  "TRACK",
  "NO_KILL",
  "BLOCK",
  "BREAKER",
  "LEVEL",
  "RAMP",
  "ON",
]);

export const standingSchema = z
  .object({
    state: z.enum(["off", "over", "downgraded", "ramping", "on"]),
    since: time.openapi({ description: "The start of the unbroken time in this state." }),
    cause: z
      .object({
        kind: causeKind,
        by: z.string().nullable(),
        reason: z.string().nullable(),
        /** When this cause began to hold; null when only `since` is known. */
        at: time.nullable(),
        until: time.nullable(),
        budget: budgetName.nullable(),
        /** Of a trip: the share of the limit that it was for. Of `NO_KILL`: where the ladder would turn it off. */
        atPercent: z.number().nullable(),
        /** Those that are out, of `BLOCK`, `BREAKER` and `NO_MODEL`. */
        models: z.array(z.string()),
      })
      .openapi({ description: "What decides now, by the order of authority." }),
    heldSince: time.nullable().openapi({ description: "When the deciding cause began, if later than `since`." }),
    began: causeKind.nullable().openapi({ description: "What decided when the state began; null: not known." }),
    over: z
      .object({ budget: budgetName, since: time, spentNanoUsd: z.number(), limitNanoUsd: z.number() })
      .nullable()
      .openapi({ description: "Its budget that is over the limit while it is on." }),
    revision: z.number().nullable().openapi({
      description: "`n` of the revision that turned it on or off, or changed its models; null: not known.",
    }),
  })
  .openapi("Standing", { description: "What holds now, since when, by whom and why." });
export type StandingResource = z.infer<typeof standingSchema>;
