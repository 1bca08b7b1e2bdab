/**
 * The shapes of the two reports as documented, read at the edge: unknown fields are accepted, a field that figures are made
 * of is not done without. A report whose cache writes came under another name would otherwise read as zero.
 * @see https://platform.claude.com/docs/en/api/admin/usage_report/retrieve_messages
 * @see https://platform.claude.com/docs/en/api/admin/cost_report
 */
import { z } from "zod";
import {
  DEFAULT_WORKSPACE,
  nanoUsdOfCents,
  type ProviderCost,
  type ProviderUsage,
} from "../../domain/provider-report.ts";
import { dayOf } from "../../domain/rollups.ts";

const tokens = z.int().nonnegative().transform(BigInt);
/** Null for what was not grouped by, or has no such thing. */
const name = z.string().nullish();

const day = z.iso
  .datetime({ offset: true })
  .transform((text) => Date.parse(text))
  .refine((ms) => dayOf(ms) === ms, "is not a midnight in UTC");

function pageOf<R extends z.ZodType>(result: R) {
  return z.object({
    data: z.array(z.object({ starting_at: day, results: z.array(result) })),
    has_more: z.boolean(),
    next_page: z.string().nullish(),
  });
}

export const usagePage = pageOf(
  z.object({
    uncached_input_tokens: tokens,
    output_tokens: tokens,
    cache_read_input_tokens: tokens,
    cache_creation: z.object({ ephemeral_5m_input_tokens: tokens, ephemeral_1h_input_tokens: tokens }),
    server_tool_use: z.object({ web_search_requests: z.int().nonnegative().nullish() }).nullish(),
    model: name,
    workspace_id: name,
    api_key_id: name,
    service_tier: name,
    context_window: name,
    inference_geo: name,
  }),
);

export const costPage = pageOf(
  z.object({
    amount: z.string().transform((text, ctx) => {
      const nanoUsd = nanoUsdOfCents(text);
      if (nanoUsd === null) ctx.addIssue({ code: "custom", message: "is no decimal number" });
      return nanoUsd ?? 0n;
    }),
    currency: z.literal("USD", "is not USD"),
    workspace_id: name,
    cost_type: name,
    model: name,
  }),
);

type Bucket<P> = P extends { data: (infer B)[] } ? B : never;

export function usageOf({ starting_at: dayMs, results }: Bucket<z.infer<typeof usagePage>>): ProviderUsage[] {
  return results.map((row) => ({
    dayMs,
    workspace: row.workspace_id ?? DEFAULT_WORKSPACE,
    apiKey: row.api_key_id ?? "",
    model: row.model ?? "",
    tier: row.service_tier ?? "standard",
    contextWindow: row.context_window ?? "",
    geo: row.inference_geo ?? "",
    tokens: {
      input: row.uncached_input_tokens,
      output: row.output_tokens,
      cacheWrite5m: row.cache_creation.ephemeral_5m_input_tokens,
      cacheWrite1h: row.cache_creation.ephemeral_1h_input_tokens,
      cacheRead: row.cache_read_input_tokens,
    },
    webSearches: row.server_tool_use?.web_search_requests ?? 0,
  }));
}

export function costsOf({ starting_at: dayMs, results }: Bucket<z.infer<typeof costPage>>): ProviderCost[] {
  return results.map((row) => ({
    dayMs,
    workspace: row.workspace_id ?? DEFAULT_WORKSPACE,
    kind: row.cost_type ?? (row.model ? "tokens" : "other"),
    model: row.model ?? "",
    nanoUsd: row.amount,
  }));
}
