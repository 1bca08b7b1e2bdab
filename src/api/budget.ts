/**
 * A budget. Money that people write is in USD; what the server counted is integer nano-USD. What people send is strict, and
 * what a later release will accept is refused with its path.
 */
import { z } from "@hono/zod-openapi";
import {
  MAX_LADDER_STEPS,
  MAX_LIMIT_NANO_USD,
  MAX_STEP_PERCENT,
  MIN_LIMIT_NANO_USD,
  MIN_STEP_PERCENT,
  NANO_PER_USD,
} from "../domain/budget.ts";
import { stepKey } from "../domain/ladder.ts";
import { MAX_CHAIN_STEPS, MAX_NAME_CHARS } from "../domain/limits.ts";
import { PERIODS } from "../domain/window.ts";
import {
  flagKeySchema,
  modelSchema,
  nanoUsd,
  reasonSchema,
  requiredText,
  revision,
  time,
  totalSchema,
  untilSchema,
} from "./fields.ts";
import { optionalField } from "./optional-field.ts";

const MAX_ZONE_CHARS = 64;
const MAX_LEVEL = MAX_CHAIN_STEPS - 1;
const MIN_LIMIT_USD = MIN_LIMIT_NANO_USD / NANO_PER_USD;
const MAX_LIMIT_USD = MAX_LIMIT_NANO_USD / NANO_PER_USD;
const NOT_YET_SUBJECT =
  "must be left out: budgets of single users or sessions are not supported yet; use a flag, a model or both";

const scopeSchema = z
  .strictObject(
    {
      flag: optionalField(flagKeySchema),
      model: optionalField(modelSchema),
      user: optionalField(z.never(NOT_YET_SUBJECT)),
      session: optionalField(z.never(NOT_YET_SUBJECT)),
    },
    'must be an object such as {} (the whole environment) or {"flag": "support-chat"}',
  )
  .transform(({ flag, model }) => ({ ...(flag !== undefined && { flag }), ...(model !== undefined && { model }) }))
  .openapi({
    type: "object",
    description: "What counts: all that is given must match. `{}` is the whole environment.",
    example: { flag: "support-chat" },
  });

const ladderStepSchema = z
  .strictObject({
    atPercent: z
      .int("must be a whole percentage")
      .min(MIN_STEP_PERCENT, `must be ${String(MIN_STEP_PERCENT)} or more`)
      .max(MAX_STEP_PERCENT, `must be at most ${String(MAX_STEP_PERCENT)}`),
    action: z.enum(["alert", "downgrade", "kill"], "must be alert, downgrade or kill"),
    level: optionalField(
      z
        .int("must be a whole number")
        .min(1, "must be 1 or more; level 0 is full quality")
        .max(MAX_LEVEL, `must be at most ${String(MAX_LEVEL)}`),
    ).openapi({ description: "Of a downgrade. Left out: one further than the flag's level at that moment." }),
  })
  .refine((step) => step.level === undefined || step.action === "downgrade", {
    path: ["level"],
    message: "only a downgrade has a level",
  });

const ladderSchema = z
  .array(ladderStepSchema, "must be a list of steps")
  .max(MAX_LADDER_STEPS, `must be at most ${String(MAX_LADDER_STEPS)} steps`)
  .superRefine((steps, check) => {
    const seen = new Set<string>();
    for (const [index, step] of steps.entries()) {
      const key = stepKey(step);
      if (seen.has(key)) {
        check.addIssue({ code: "custom", path: [index], message: "is the same as a step before it", input: step });
      }
      seen.add(key);
    }
  });

const nameSchema = requiredText(MAX_NAME_CHARS, "must not be empty").openapi({ example: "Support chat, daily" });
const limitSchema = z
  .number("must be an amount in USD")
  .min(MIN_LIMIT_USD, `must be ${String(MIN_LIMIT_USD)} USD or more; to spend nothing at all, kill the flag`)
  .max(MAX_LIMIT_USD, `must be at most ${String(MAX_LIMIT_USD)} USD`)
  .openapi({ example: 100, description: "USD per window." });
const timezoneSchema = z
  .string("must be a text")
  .max(MAX_ZONE_CHARS, `must be at most ${String(MAX_ZONE_CHARS)} characters`)
  .openapi({ example: "Europe/Berlin", description: "IANA time zone that the windows follow." });
const enforcementSchema = z
  .enum(["track", "trip", "reserve"], "must be track or trip")
  .refine((value) => value !== "reserve", 'is not supported yet; use "trip", which acts as soon as usage is reported')
  .transform((value) => (value === "track" ? ("track" as const) : ("trip" as const)))
  .openapi({ type: "string", enum: ["track", "trip"], description: "`track` only tells; `trip` acts." });
const onUnavailableSchema = z
  .literal("allow", 'must be "allow": denying calls while no server is reachable needs enforcement "reserve"')
  .openapi({ description: "What clients do that reach no server; `deny` comes with `reserve`." });
const onResetSchema = z
  .enum(["restore", "stay"], "must be restore or stay")
  .openapi({ description: "Whether trips end with their window or stay until somebody restores." });
const periodSchema = z.enum(PERIODS, `must be one of ${PERIODS.join(", ")}`);

/** What a budget does unless it says otherwise: one model down at 80 %, off at the limit. */
const DEFAULT_LADDER: z.infer<typeof ladderSchema> = [
  { atPercent: 80, action: "downgrade" },
  { atPercent: 100, action: "kill" },
];

export const createBudgetBody = z
  .strictObject({
    name: nameSchema,
    scope: scopeSchema,
    limitUsd: limitSchema,
    period: periodSchema.default("day"),
    timezone: timezoneSchema.default("UTC"),
    enforcement: enforcementSchema.default("trip"),
    onUnavailable: onUnavailableSchema.default("allow"),
    ladder: ladderSchema.default(DEFAULT_LADDER),
    onReset: onResetSchema.default("restore"),
  })
  .openapi("CreateBudget");
/** All that people define of a budget. */
export type BudgetDefinition = Omit<z.infer<typeof createBudgetBody>, "onUnavailable">;

export const updateBudgetBody = z
  .strictObject({
    name: optionalField(nameSchema),
    scope: optionalField(scopeSchema),
    limitUsd: optionalField(limitSchema),
    period: optionalField(periodSchema),
    timezone: optionalField(timezoneSchema),
    enforcement: optionalField(enforcementSchema),
    onUnavailable: optionalField(onUnavailableSchema),
    ladder: optionalField(ladderSchema),
    onReset: optionalField(onResetSchema),
  })
  .openapi("UpdateBudget");

export const raiseBudgetBody = z
  .strictObject({
    addUsd: z
      .number("must be an amount in USD")
      .min(MIN_LIMIT_USD, `must be ${String(MIN_LIMIT_USD)} USD or more; to lower a limit, edit the budget`)
      .max(MAX_LIMIT_USD, `must be at most ${String(MAX_LIMIT_USD)} USD`)
      .openapi({ example: 50 }),
    until: untilSchema.openapi({ description: "When the raise ends by itself, at most 31 days from now." }),
    reason: reasonSchema,
  })
  .openapi("RaiseBudget");

const storedStepSchema = z.object({
  atPercent: z.number(),
  action: z.enum(["alert", "downgrade", "kill"]),
  level: optionalField(z.number()),
});

export const budgetSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    scope: z.object({
      flag: optionalField(z.string()),
      model: optionalField(z.string()),
      user: optionalField(z.string()),
      session: optionalField(z.string()),
    }),
    limitUsd: z.number(),
    period: z.enum(PERIODS),
    timezone: z.string(),
    enforcement: z.enum(["track", "trip", "reserve"]),
    onUnavailable: z.enum(["allow", "deny"]),
    ladder: z.array(storedStepSchema),
    onReset: z.enum(["restore", "stay"]),
    version: z.number(),
    createdAt: time,
    updatedAt: time,
    raises: z.array(
      z.object({ id: z.string(), addUsd: z.number(), until: time, reason: z.string(), by: z.string(), at: time }),
    ),
    /** In its current window. */
    now: z.object({
      windowStartsAt: time,
      windowEndsAt: time,
      spentNanoUsd: totalSchema("Whole nano-USD (1e-9 USD)."),
      /** The part the provider's own usage proves; the rest is estimated. */
      exactNanoUsd: totalSchema("Whole nano-USD (1e-9 USD)."),
      /** With the raises in force. */
      limitNanoUsd: nanoUsd,
      /** Over the last `burnSpanSeconds`; of a flag that is off, what began since then. */
      burnNanoUsdPerHour: nanoUsd,
      burnSpanSeconds: z.number(),
      limitReachedAt: time.nullable().openapi({ description: "At this rate; null: not in this window." }),
      /** How far the limit can be overspent at this rate before a trip stops it. */
      overshootBoundNanoUsd: nanoUsd,
      standing: z.array(z.string()).openapi({ description: "Ladder steps crossed now." }),
      trips: z.array(
        z.object({
          flag: z.string(),
          action: z.enum(["downgrade", "kill"]),
          atPercent: z.number(),
          overriddenBy: z.string().nullable(),
        }),
      ),
    }),
  })
  .openapi("Budget");
export type BudgetResource = z.infer<typeof budgetSchema>;
export type BudgetNow = BudgetResource["now"];

export const changedBudgetSchema = budgetSchema.extend({ revision }).openapi("ChangedBudget");
