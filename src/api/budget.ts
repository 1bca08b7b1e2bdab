/**
 * A budget. Money that people write is in USD; what the server counted is integer nano-USD. What people send is strict, and
 * what a later release will accept is refused with its path.
 */
import { z } from "@hono/zod-openapi";
import {
  DEFAULT_MIN_TOKENS,
  DEFAULT_RESERVE_WAIT_MS,
  MAX_LADDER_STEPS,
  MAX_LIMIT_NANO_USD,
  MAX_MIN_TOKENS,
  MAX_RESERVE_WAIT_MS,
  MAX_STEP_PERCENT,
  MIN_LIMIT_NANO_USD,
  MIN_STEP_PERCENT,
  NANO_PER_USD,
  WHEN_HELD,
} from "../domain/budget.ts";
import { stepKey } from "../domain/ladder.ts";
import { MAX_CHAIN_STEPS, MAX_NAME_CHARS } from "../domain/limits.ts";
import { PERIODS } from "../domain/window.ts";
import {
  flagKeySchema,
  modelSchema,
  tagSchema,
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

const ONE_KIND = "must be left out beside a flag: a budget counts one flag or those with a tag";
const MAX_SUBJECT_CHARS = 256;
/** `each`, or one id. */
const subjectSchema = requiredText(MAX_SUBJECT_CHARS, 'must be "each", or the id of one');

const scopeSchema = z
  .strictObject(
    {
      flag: optionalField(flagKeySchema),
      tag: optionalField(tagSchema),
      model: optionalField(modelSchema),
      user: optionalField(subjectSchema),
      session: optionalField(subjectSchema),
    },
    'must be an object such as {} (the whole environment) or {"flag": "support-chat"}',
  )
  .refine(({ flag, tag }) => flag === undefined || tag === undefined, { path: ["tag"], message: ONE_KIND })
  .openapi({
    type: "object",
    description:
      'What counts: all that is given must match. `{}` is the whole environment, `tag` the flags that have it. `user` and `session` are one id or "each": that user or session has a window of its own, and what the ladder does holds for it alone.',
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
const enforcementSchema = z.enum(["track", "trip", "reserve"], "must be track, trip or reserve").openapi({
  description:
    "`track` only tells; `trip` acts on what was spent; under `reserve` no call is sent without money set aside for its worst case.",
});
const onUnavailableSchema = z
  .enum(["allow", "deny"], "must be allow or deny")
  .openapi({ description: "What clients do with a call that they have no money for and no server to ask." });
const reserveWaitSchema = z
  .int("must be whole milliseconds")
  .min(0, "must be 0 or more")
  .max(MAX_RESERVE_WAIT_MS, `must be at most ${String(MAX_RESERVE_WAIT_MS)}`)
  .openapi({
    example: DEFAULT_RESERVE_WAIT_MS,
    description: "Under `reserve`: how long a call waits for money that others hold. Agents need 10,000 to 30,000.",
  });
const minTokensSchema = z
  .int("must be a whole number of tokens")
  .min(1, "must be 1 or more")
  .max(MAX_MIN_TOKENS, `must be at most ${String(MAX_MIN_TOKENS)}`)
  .openapi({
    example: DEFAULT_MIN_TOKENS,
    description: "Under `reserve`: a call is refused sooner than clamped to fewer tokens of output.",
  });
const whenHeldSchema = z.enum(WHEN_HELD, "must be wait or stepDown").openapi({
  description:
    "Under `reserve`, for a call that would fit if others held less: `wait` for its turn, or first `stepDown` to what fits at once.",
});
const onResetSchema = z
  .enum(["restore", "stay"], "must be restore or stay")
  .openapi({ description: "Whether trips end with their window or stay until somebody restores." });
const pausedSchema = z
  .boolean("must be true or false")
  .openapi({ description: "True: it counts, and neither alerts nor acts." });
const periodSchema = z.enum(PERIODS, `must be one of ${PERIODS.join(", ")}`);

export const createBudgetBody = z
  .strictObject({
    name: nameSchema,
    scope: scopeSchema,
    limitUsd: limitSchema,
    period: periodSchema.default("day"),
    timezone: timezoneSchema.default("UTC"),
    enforcement: enforcementSchema.default("trip"),
    onUnavailable: onUnavailableSchema.default("allow"),
    reserveWaitMs: reserveWaitSchema.default(DEFAULT_RESERVE_WAIT_MS),
    minTokens: minTokensSchema.default(DEFAULT_MIN_TOKENS),
    whenHeld: whenHeldSchema.default("wait"),
    ladder: optionalField(ladderSchema).openapi({
      description:
        "Left out: one model down at 80 %, off at the limit; about users or sessions a warning to the application at 80 %, stopped at the limit.",
    }),
    onReset: onResetSchema.default("restore"),
    paused: pausedSchema.default(false),
  })
  .openapi("CreateBudget");
export type NewBudget = z.infer<typeof createBudgetBody>;
/** All that people define of a budget. */
export type BudgetDefinition = NewBudget & { ladder: z.infer<typeof ladderSchema> };

export const updateBudgetBody = z
  .strictObject({
    name: optionalField(nameSchema),
    scope: optionalField(scopeSchema),
    limitUsd: optionalField(limitSchema),
    period: optionalField(periodSchema),
    timezone: optionalField(timezoneSchema),
    enforcement: optionalField(enforcementSchema),
    onUnavailable: optionalField(onUnavailableSchema),
    reserveWaitMs: optionalField(reserveWaitSchema),
    minTokens: optionalField(minTokensSchema),
    whenHeld: optionalField(whenHeldSchema),
    ladder: optionalField(ladderSchema),
    onReset: optionalField(onResetSchema),
    paused: optionalField(pausedSchema),
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

/** Whom to let go on. */
export const liftBody = z
  .strictObject({
    user: optionalField(subjectSchema),
    session: optionalField(subjectSchema),
    reason: reasonSchema,
  })
  .openapi("LiftSubject");
export type LiftBody = z.infer<typeof liftBody>;

/** Users or sessions with a window of their own. */
const subjectsSchema = z.object({
  counted: z.number(),
  stopped: z.number(),
  downgraded: z.number(),
  warned: z.number(),
  isFull: z
    .boolean()
    .openapi({ description: "True: there are more than can be counted apart; the others hold nothing." }),
  top: z.array(
    z.object({
      user: optionalField(z.string()),
      session: optionalField(z.string()),
      spentNanoUsd: nanoUsd,
      exactNanoUsd: nanoUsd,
      action: z.enum(["warn", "downgrade", "stop"]).nullable(),
      level: z.number().nullable(),
      liftedBy: z.string().nullable(),
    }),
  ),
});
export type SubjectsNow = z.infer<typeof subjectsSchema>;

const storedStepSchema = z.object({
  atPercent: z.number(),
  action: z.enum(["alert", "downgrade", "kill"]),
  level: optionalField(z.number()),
});

/** The most that is spent in the end. */
const boundSchema = z
  .object({
    kind: z.enum(["atTrip", "forecast", "none"]).openapi({
      description:
        "`atTrip`: what clients had told when the trip was committed; `forecast`: at the load of now; `none`: nothing stops it.",
    }),
    because: z
      .enum(["track", "paused", "noKill", "overridden", "subjects"])
      .nullable()
      .openapi({ description: "Of `none`: why." }),
    nanoUsd: nanoUsd.nullable(),
    runningNanoUsd: nanoUsd.openapi({ description: "Of that, the worst cases of the calls that run now." }),
    startCreditsNanoUsd: nanoUsd.openapi({
      description: "Of that, what may begin before it is told of; 0 where nothing stops it, which bounds no start.",
    }),
    notReporting: z.number().openapi({
      description:
        "Instances that do not tell what runs: while there are any, more may be spent. Under `reserve` with `onUnavailable` `allow`, those that hold money and are not heard of.",
    }),
  })
  .openapi("Bound");

export const budgetSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    scope: z.object({
      flag: optionalField(z.string()),
      tag: optionalField(z.string()),
      model: optionalField(z.string()),
      user: optionalField(z.string()),
      session: optionalField(z.string()),
    }),
    limitUsd: z.number(),
    period: z.enum(PERIODS),
    timezone: z.string(),
    enforcement: z.enum(["track", "trip", "reserve"]),
    onUnavailable: z.enum(["allow", "deny"]),
    reserveWaitMs: z.number(),
    minTokens: z.number(),
    whenHeld: z.enum(WHEN_HELD),
    ladder: z.array(storedStepSchema),
    onReset: z.enum(["restore", "stay"]),
    paused: z.boolean(),
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
      limitReachedAt: time.nullable().openapi({
        description:
          "At this rate; null: not in this window, or the budget is paused, or each user or session has its own.",
      }),
      subjects: subjectsSchema.nullable().openapi({
        description:
          "Of a budget about users or sessions; null for others. Then what is spent above is that of the one who spent most.",
      }),
      /** Under `reserve`; null otherwise. */
      leases: z
        .object({
          grantedNanoUsd: nanoUsd.openapi({ description: "What clients were given and have not given back." }),
          heldNanoUsd: nanoUsd.openapi({ description: "Of that, what is set aside and not spent." }),
          settledNanoUsd: nanoUsd.openapi({ description: "Of that, what usage records have settled." }),
          indeterminateNanoUsd: nanoUsd.openapi({
            description:
              "Held by clients that went silent: it counts against the limit until a report or a person returns it.",
          }),
          holders: z.number().openapi({ description: "Clients that hold money." }),
          waiting: z.number().openapi({ description: "Calls that wait for money that others hold." }),
        })
        .nullable(),
      overshootBoundNanoUsd: nanoUsd.nullable().openapi({
        description: "How far the limit can be overspent: `bound.nanoUsd` less the limit; null when nothing bounds it.",
      }),
      bound: boundSchema,
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
