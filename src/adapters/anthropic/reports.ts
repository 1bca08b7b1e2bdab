/**
 * Asks Claude's Admin API for what an organisation used and is billed, by day. Never throws: what came of it is the answer,
 * in words that hold neither the key nor anything that was answered. Both SDKs' releases up to 1.14 have no method for these
 * two reports (`beta.organization.analytics` asks for others, with a key of its own scope), so this is the whole client.
 *
 * Expected and documented differ: amounts are cents, not dollars; lists are asked for as `group_by[]=`; a page has 7 days
 * unless `limit` says more (31 at most); the default workspace has no id; code execution is in the costs alone; the Priority
 * Tier is in the usage alone; fast mode is told apart only under a beta header, which is not asked for.
 * @see https://platform.claude.com/docs/en/manage-claude/usage-cost-api
 */
import type { z } from "zod";
import type { Clock } from "../../clock.ts";
import type { ProviderReports } from "../../deps.ts";
import { type Asked, MAX_REPORT_DAYS } from "../../domain/provider-report.ts";
import type { Span } from "../../domain/rollups.ts";
import { get, type Got } from "./get.ts";
import { costPage, costsOf, usageOf, usagePage } from "./wire.ts";

/** One page holds all days that are asked for: more of them than this is a cursor that does not move on. */
const MAX_PAGES = 20;
/** Of one report: an organisation with hundreds of workspaces and all models stays below. */
const MAX_ROWS = 200_000;
const USAGE_GROUPS = ["model", "workspace_id", "service_tier", "context_window", "inference_geo"];
const COST_GROUPS = ["workspace_id", "description"];

export interface ReportOptions {
  baseUrl: string;
  adminKey: string;
}

export function createReports(clock: Clock, options: ReportOptions): ProviderReports {
  return {
    usage: (days, { byKey }, signal) =>
      pages(
        (page) => {
          const groups = byKey ? [...USAGE_GROUPS, "api_key_id"] : USAGE_GROUPS;
          return get(clock, options, addressOf("usage_report/messages", days, groups, page), signal);
        },
        usagePage,
        usageOf,
      ),
    costs: (days, signal) =>
      pages(
        (page) => get(clock, options, addressOf("cost_report", days, COST_GROUPS, page), signal),
        costPage,
        costsOf,
      ),
  };
}

function addressOf(report: string, { fromMs, untilMs }: Span, groups: readonly string[], page: string | null): string {
  const query = new URLSearchParams({
    starting_at: new Date(fromMs).toISOString(),
    ending_at: new Date(untilMs).toISOString(),
    bucket_width: "1d",
    limit: String(MAX_REPORT_DAYS),
  });
  for (const group of groups) query.append("group_by[]", group);
  if (page !== null) query.set("page", page);
  return `/v1/organizations/${report}?${query.toString()}`;
}

interface Page<B> {
  data: B[];
  has_more: boolean;
  next_page?: string | null | undefined;
}

async function pages<B, R>(
  ask: (page: string | null) => Promise<Got>,
  schema: z.ZodType<Page<B>>,
  rowsOf: (bucket: B) => R[],
): Promise<Asked<R>> {
  const rows: R[] = [];
  let next: string | null = null;
  for (let n = 0; n < MAX_PAGES; n += 1) {
    const got = await ask(next);
    if (got.type !== "body") return got;
    const parsed = schema.safeParse(got.body);
    if (!parsed.success) return { type: "retry", error: unreadable(parsed.error), retryAfterMs: null };
    for (const bucket of parsed.data.data) rows.push(...rowsOf(bucket));
    if (rows.length > MAX_ROWS)
      return { type: "retry", error: `It has more than ${MAX_ROWS} rows.`, retryAfterMs: null };
    if (!parsed.data.has_more) return { type: "rows", rows };
    next = parsed.data.next_page ?? null;
    if (next === null) break;
  }
  return { type: "retry", error: "Its pages do not come to an end.", retryAfterMs: null };
}

/** Where it could not be read, without what was there. */
function unreadable(error: z.ZodError): string {
  const [issue] = error.issues;
  const where = issue?.path.filter((part) => typeof part === "string").join(".") ?? "";
  return `The answer cannot be read${where === "" ? "" : `: ${where} ${issue?.code === "custom" || issue?.code === "invalid_value" ? issue.message : "is not as documented"}`}. A newer release of Andon may know its shape.`;
}
