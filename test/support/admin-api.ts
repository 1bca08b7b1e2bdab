/**
 * Claude's Admin API on this machine, with the two reports as documented: buckets of a day in UTC that begin at or after
 * `starting_at` and end at or before `ending_at`, 7 a page unless `limit` says more (31 at most), opaque page tokens, rows
 * summed over what is not grouped by, amounts in cents as decimal text, no id for the default workspace.
 * @see https://platform.claude.com/docs/en/manage-claude/usage-cost-api
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { z } from "zod";

export const ADMIN_KEY = "sk-ant-admin01-for-tests-only-0123456789";

/** Tokens of one model on one day, with whatever they are grouped by. */
export interface UsedTokens {
  day: string;
  model: string;
  workspace?: string | null;
  apiKey?: string | null;
  tier?: string;
  contextWindow?: string;
  geo?: string;
  input?: number;
  output?: number;
  cacheWrite5m?: number;
  cacheWrite1h?: number;
  cacheRead?: number;
  webSearches?: number;
}

/** One line of the bill. */
export interface Billed {
  day: string;
  /** Cents as decimal text. */
  cents: string;
  workspace?: string | null;
  model?: string | null;
  kind?: string;
  description?: string;
}

export interface AdminApi {
  url: string;
  used: UsedTokens[];
  billed: Billed[];
  /** What was asked, with the parts of its query. */
  asked: { path: string; query: URLSearchParams; headers: IncomingMessage["headers"] }[];
  /** Days of a page at most, whatever is asked for. */
  pageDays: number;
  /** Answers in its place; null: as documented. */
  instead: ((path: string, response: ServerResponse) => boolean) | null;
  close(): Promise<void>;
}

const DAY_MS = 86_400_000;

export async function startAdminApi(): Promise<AdminApi> {
  const api: AdminApi = {
    url: "",
    used: [],
    billed: [],
    asked: [],
    pageDays: 31,
    instead: null,
    close: async () => {},
  };
  const server = createServer((request, response) => {
    const { pathname: path, searchParams: query } = new URL(request.url ?? "/", "http://localhost");
    api.asked.push({ path, query, headers: request.headers });
    if (api.instead?.(path, response) === true) return;
    if (request.headers["x-api-key"] !== ADMIN_KEY || request.headers["anthropic-version"] === undefined) {
      const error = { type: "authentication_error", message: "invalid x-api-key" };
      response.writeHead(401, { "content-type": "application/json" }).end(JSON.stringify({ type: "error", error }));
      return;
    }
    const groups = new Set(query.getAll("group_by[]"));
    const body =
      path === "/v1/organizations/usage_report/messages"
        ? page(query, api.pageDays, (day) => usageRows(api.used, day, groups))
        : path === "/v1/organizations/cost_report"
          ? page(query, api.pageDays, (day) => costRows(api.billed, day, groups))
          : null;
    response.writeHead(body === null ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(body ?? { type: "error", error: { type: "not_found_error", message: "Not found" } }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no TCP address");
  api.url = `http://127.0.0.1:${address.port}`;
  api.close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return api;
}

const asked = z.object({
  starting_at: z.iso.datetime(),
  ending_at: z.iso.datetime(),
  bucket_width: z.literal("1d"),
  limit: z.coerce.number().int().min(1).max(31).default(7),
  page: z.string().startsWith("page_").optional(),
});

function page(query: URLSearchParams, pageDays: number, rowsOf: (day: string) => unknown[]) {
  const { starting_at, ending_at, limit: wanted, page: token } = asked.parse(Object.fromEntries(query));
  const limit = Math.min(wanted, pageDays);
  const days: string[] = [];
  const firstMs = Math.ceil(Date.parse(starting_at) / DAY_MS) * DAY_MS;
  for (let ms = firstMs; ms + DAY_MS <= Date.parse(ending_at); ms += DAY_MS) days.push(new Date(ms).toISOString());
  const from = token === undefined ? 0 : Number(Buffer.from(token.slice(5), "base64url").toString());
  const shown = days.slice(from, from + limit);
  const hasMore = from + limit < days.length;
  return {
    data: shown.map((day) => ({
      starting_at: day.replace(".000", ""),
      ending_at: new Date(Date.parse(day) + DAY_MS).toISOString().replace(".000", ""),
      results: rowsOf(day.slice(0, 10)),
    })),
    has_more: hasMore,
    next_page: hasMore ? `page_${Buffer.from(String(from + limit)).toString("base64url")}` : null,
  };
}

function usageRows(used: readonly UsedTokens[], day: string, groups: ReadonlySet<string>): unknown[] {
  const key = (row: UsedTokens) => ({
    account_id: null,
    api_key_id: groups.has("api_key_id") ? (row.apiKey ?? null) : null,
    context_window: groups.has("context_window") ? (row.contextWindow ?? "0-200k") : null,
    inference_geo: groups.has("inference_geo") ? (row.geo ?? "global") : null,
    model: groups.has("model") ? row.model : null,
    service_account_id: null,
    service_tier: groups.has("service_tier") ? (row.tier ?? "standard") : null,
    workspace_id: groups.has("workspace_id") ? (row.workspace ?? null) : null,
  });
  return summed(
    used.filter((row) => row.day === day),
    key,
    (rows) => {
      const sum = (of: (row: UsedTokens) => number | undefined) =>
        rows.reduce((total, row) => total + (of(row) ?? 0), 0);
      return {
        uncached_input_tokens: sum(({ input }) => input),
        cache_creation: {
          ephemeral_1h_input_tokens: sum(({ cacheWrite1h }) => cacheWrite1h),
          ephemeral_5m_input_tokens: sum(({ cacheWrite5m }) => cacheWrite5m),
        },
        cache_read_input_tokens: sum(({ cacheRead }) => cacheRead),
        output_tokens: sum(({ output }) => output),
        server_tool_use: { web_search_requests: sum(({ webSearches }) => webSearches) },
      };
    },
  );
}

function costRows(billed: readonly Billed[], day: string, groups: ReadonlySet<string>): unknown[] {
  const isSaid = groups.has("description");
  const key = (row: Billed) => ({
    workspace_id: groups.has("workspace_id") ? (row.workspace ?? null) : null,
    description: isSaid ? (row.description ?? row.model ?? row.kind ?? "") : null,
    model: isSaid ? (row.model ?? null) : null,
    cost_type: isSaid ? (row.kind ?? "tokens") : null,
  });
  // Lines of one description are one; none of the tests has two.
  return billed
    .filter((row) => row.day === day)
    .map((row) => ({
      currency: "USD",
      amount: row.cents,
      ...key(row),
      context_window: null,
      inference_geo: null,
      service_tier: null,
      token_type: null,
    }));
}

function summed<R>(rows: readonly R[], keyOf: (row: R) => object, sumsOf: (rows: R[]) => object): unknown[] {
  const groups = new Map<string, { key: object; rows: R[] }>();
  for (const row of rows) {
    const key = keyOf(row);
    const group = groups.get(JSON.stringify(key)) ?? { key, rows: [] };
    group.rows.push(row);
    groups.set(JSON.stringify(key), group);
  }
  return [...groups.values()].map((group) => ({ ...sumsOf(group.rows), ...group.key }));
}
