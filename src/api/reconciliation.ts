/** Claude's bill held against the ledger, by day in UTC and model. Money is whole nano-USD; differences are Claude's less the ledger's. */
import { z } from "@hono/zod-openapi";
import { MAX_REPORT_DAYS } from "../domain/provider-report.ts";
import { time, totalSchema } from "./fields.ts";
import { optionalField } from "./optional-field.ts";

export const DEFAULT_COMPARED_DAYS = 14;

const days = `must be 1 to ${String(MAX_REPORT_DAYS)}`;
export const reconciliationQuery = z.strictObject({
  days: optionalField(z.coerce.number(days).int(days).min(1, days).max(MAX_REPORT_DAYS, days)).openapi({
    description: `How many days back from yesterday; ${String(DEFAULT_COMPARED_DAYS)} when left out.`,
  }),
});
export type ReconciliationQuery = z.infer<typeof reconciliationQuery>;

const money = totalSchema("Whole nano-USD (1e-9 USD).");
const tokens = z.object({
  input: totalSchema("Tokens."),
  output: totalSchema("Tokens."),
  cacheWrite5m: totalSchema("Tokens."),
  cacheWrite1h: totalSchema("Tokens."),
  cacheRead: totalSchema("Tokens."),
});

const sums = {
  /** What Claude bills. */
  providerNanoUsd: money,
  /** What Andon counted, and what of it is estimated. */
  ledgerNanoUsd: money,
  estimatedNanoUsd: money,
  differenceNanoUsd: money,
};

const line = z
  .object({
    kind: z.enum(["model", "other"]).openapi({
      description: "`model`: tokens of one model. `other`: what is billed beside tokens, such as `web_search`.",
    }),
    name: z
      .string()
      .openapi({ description: 'The model, by the name of all its spellings; "" where the bill names none.' }),
    ...sums,
    /** Of `providerNanoUsd`: Priority Tier by list price, which the cost report leaves out. */
    priorityNanoUsd: money,
    listNanoUsd: money.nullable().openapi({ description: "Claude's tokens by Andon's prices; null beside tokens." }),
    providerTokens: tokens,
    ledgerTokens: tokens,
    isOver: z.boolean().openapi({ description: "More than the threshold, on a day that can be compared." }),
    cause: z.enum(["unseen", "price", "estimated", "elsewhere"]).nullable(),
    text: z.string().nullable().openapi({ description: "What is over, in words." }),
  })
  .openapi("ReconciledLine");
export type LineResource = z.infer<typeof line>;

export const reconciliationSchema = z
  .object({
    configured: z.boolean().openapi({ description: "False: there is no admin key, and nothing is compared." }),
    scope: z.enum(["organisation", "workspaces", "unmapped", "hidden"]).openapi({
      description:
        "`organisation`: all of it with all environments. `workspaces`: those of this environment. `unmapped`: other environments are known by workspaces, this one is not. `hidden`: it is compared with all environments, and this token does not see them.",
    }),
    workspaces: z.array(z.string()),
    percent: z.number(),
    minUsd: z.number(),
    poll: z
      .object({
        readAt: time.nullable(),
        error: z.string().nullable(),
        errorAt: time.nullable(),
        nextAt: time,
      })
      .nullable()
      .openapi({ description: "How the last poll of Claude's reports went; null before the first." }),
    days: z.array(
      z.object({
        day: z.string().openapi({ format: "date", description: "In UTC." }),
        state: z.enum(["unread", "fresh", "partial", "compared"]).openapi({
          description:
            "`unread`: not read yet. `fresh`: read too soon after its end to be compared. `partial`: Andon had not counted all of it, as it began later. Only `compared` days are told of.",
        }),
        ...sums,
        elsewhereNanoUsd: totalSchema(
          "Counted, and not on this bill: calls through a cloud or a gateway, of other vendors, or under names that are not kept apart.",
        ),
        lines: z.array(line),
      }),
    ),
    unmappedNanoUsd: totalSchema(
      "What workspaces and keys that no environment is known by used in these days: calls that Andon did not see.",
    ).nullable(),
  })
  .openapi("Reconciliation");
export type ReconciliationAnswer = z.infer<typeof reconciliationSchema>;
