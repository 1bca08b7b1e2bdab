/** What caching and batches would save of what was used. Money is whole nano-USD; bounds under stated assumptions. */
import { z } from "@hono/zod-openapi";
import { time, totalSchema } from "./fields.ts";
import { optionalField } from "./optional-field.ts";
import { usageQuery } from "./usage.ts";

export const SAVINGS_GROUPS = ["flag", "model"] as const;
export type SavingsGroup = (typeof SAVINGS_GROUPS)[number];

export const savingsQuery = usageQuery.pick({ from: true, to: true, flag: true, model: true }).extend({
  groupBy: optionalField(
    z
      .string()
      .transform((text) => text.split(","))
      .pipe(z.array(z.enum(SAVINGS_GROUPS, "must be flag, model or flag,model")).min(1).max(SAVINGS_GROUPS.length))
      .openapi({ type: "string", example: "flag,model", description: "flag,model when left out." }),
  ),
});
export type SavingsQuery = z.infer<typeof savingsQuery>;

const figures = {
  /** What was spent. */
  costNanoUsd: totalSchema("Whole nano-USD (1e-9 USD)."),
  promptTokens: totalSchema("Input, cache writes and cache reads."),
  cachedTokens: totalSchema("What of them was read from a cache."),
  perTenthCachedNanoUsd: totalSchema("What each further tenth of the uncached input would save through a cache."),
  batchesNanoUsd: totalSchema("What would be saved at most, were all that is not in a batch in one."),
};

export const savingsSchema = z
  .object({
    from: time,
    to: time,
    groupBy: z.array(z.enum(SAVINGS_GROUPS)),
    assumptions: z.array(z.string()).openapi({ description: "What the figures assume, in words." }),
    items: z.array(z.object({ flag: optionalField(z.string()), model: optionalField(z.string()), ...figures })),
    total: z.object(figures),
  })
  .openapi("Savings");
export type SavingsAnswer = z.infer<typeof savingsSchema>;
