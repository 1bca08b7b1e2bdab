/**
 * What each route of the server demands. The matrix compares this with the app's own route table, so a new route
 * without an entry fails. A path is an instance of the route's pattern that exists after `seed`.
 */
import { MAX_DELIVERY_BYTES } from "../../src/http/operator/trigger-deliveries.ts";

/** `public` needs no token; `sdk`, `metrics` and `pages` have their own kind of caller. */
export type Demand = "viewer" | "operator" | "admin" | "tighten" | "any" | "sdk" | "metrics" | "public" | "pages";

export interface RouteEntry {
  demand: Demand;
  path: string;
  /** A valid body; undefined for routes that take none. */
  body?: Readonly<Record<string, unknown>>;
  /** Not below one environment, so that another environment's token is not "wrong" here. */
  global?: boolean;
  /** What other systems send: their bodies gain fields, and have a bound of their own. */
  foreign?: { maxBytes: number };
}

const ENV = "/v1/environments/production";
const FLAG = `${ENV}/flags/support-chat`;
const REASON = { reason: "matrix" };
const PRICE = {
  ...REASON,
  usdPerMillion: { input: 1, output: 5, cacheWrite5m: 1.25, cacheWrite1h: 2, cacheRead: 0.1 },
};

/** By method and pattern, as in the app's route table. */
export const ROUTES: Readonly<Record<string, RouteEntry>> = {
  "GET /v1/token": { demand: "any", path: "/v1/token", global: true },
  "GET /v1/environments": { demand: "any", path: "/v1/environments", global: true },
  "POST /v1/environments": {
    demand: "admin",
    path: "/v1/environments",
    body: { key: "matrix", name: "Matrix" },
    global: true,
  },
  "GET /v1/environments/:env": { demand: "any", path: ENV },
  "GET /v1/environments/:env/flags": { demand: "viewer", path: `${ENV}/flags` },
  "POST /v1/environments/:env/flags": {
    demand: "admin",
    path: `${ENV}/flags`,
    body: { key: "matrix", name: "Matrix" },
  },
  "GET /v1/environments/:env/flags/:key": { demand: "viewer", path: FLAG },
  "PATCH /v1/environments/:env/flags/:key": { demand: "admin", path: FLAG, body: { owner: "matrix" } },
  "DELETE /v1/environments/:env/flags/:key": { demand: "admin", path: `${ENV}/flags/matrix` },
  "POST /v1/environments/:env/flags/:key/kill": { demand: "tighten", path: `${FLAG}/kill`, body: REASON },
  "POST /v1/environments/:env/flags/:key/restore": { demand: "operator", path: `${FLAG}/restore`, body: REASON },
  "POST /v1/environments/:env/flags/:key/downgrade": {
    demand: "tighten",
    path: `${FLAG}/downgrade`,
    body: { ...REASON, level: 2 },
  },
  "GET /v1/environments/:env/tags/:tag": { demand: "viewer", path: `${ENV}/tags/team-support` },
  "POST /v1/environments/:env/tags/:tag/kill": {
    demand: "tighten",
    path: `${ENV}/tags/team-support/kill`,
    body: REASON,
  },
  "POST /v1/environments/:env/tags/:tag/restore": {
    demand: "operator",
    path: `${ENV}/tags/team-support/restore`,
    body: REASON,
  },
  "GET /v1/environments/:env/batches": { demand: "viewer", path: `${ENV}/batches` },
  "POST /v1/environments/:env/flags/:key/batches/cancel": {
    demand: "operator",
    path: `${FLAG}/batches/cancel`,
    body: REASON,
  },
  "GET /v1/environments/:env/master": { demand: "viewer", path: `${ENV}/master` },
  "POST /v1/environments/:env/kill": { demand: "tighten", path: `${ENV}/kill`, body: REASON },
  "POST /v1/environments/:env/restore": { demand: "operator", path: `${ENV}/restore`, body: REASON },
  "GET /v1/environments/:env/chains": { demand: "viewer", path: `${ENV}/chains` },
  "GET /v1/environments/:env/chains/:name": { demand: "viewer", path: `${ENV}/chains/opus-first` },
  "PUT /v1/environments/:env/chains/:name": {
    demand: "admin",
    path: `${ENV}/chains/matrix`,
    body: { steps: [{ model: "claude-haiku-4-5" }] },
  },
  "DELETE /v1/environments/:env/chains/:name": { demand: "admin", path: `${ENV}/chains/matrix` },
  "GET /v1/environments/:env/models": { demand: "viewer", path: `${ENV}/models` },
  "PUT /v1/environments/:env/models/:id": {
    demand: "operator",
    path: `${ENV}/models/claude-opus-5-5`,
    body: { ...REASON, blocked: true },
  },
  "POST /v1/environments/:env/models/:id/restore": {
    demand: "operator",
    path: `${ENV}/models/claude-opus-5-5/restore`,
    body: REASON,
  },
  "GET /v1/environments/:env/unknown-flags": { demand: "viewer", path: `${ENV}/unknown-flags` },
  "GET /v1/environments/:env/aliases": { demand: "viewer", path: `${ENV}/aliases` },
  "PUT /v1/environments/:env/aliases": { demand: "admin", path: `${ENV}/aliases`, body: { aliases: {} } },
  "POST /v1/environments/:env/flags/:key/drill": {
    demand: "operator",
    path: `${ENV}/flags/support-chat/drill`,
    body: {},
  },
  "GET /v1/environments/:env/flags/:key/drills": { demand: "viewer", path: `${ENV}/flags/support-chat/drills` },
  "GET /v1/environments/:env/flags/:key/readiness": {
    demand: "viewer",
    path: `${ENV}/flags/support-chat/readiness`,
  },
  "GET /v1/environments/:env/drills/:id": { demand: "viewer", path: `${ENV}/drills/unknown` },
  "GET /v1/environments/:env/instances": { demand: "viewer", path: `${ENV}/instances` },
  "POST /v1/environments/:env/instances/:id/dead": {
    demand: "operator",
    path: `${ENV}/instances/unknown/dead`,
    body: {},
  },
  "POST /v1/environments/:env/instances/dead": { demand: "operator", path: `${ENV}/instances/dead`, body: {} },
  "GET /v1/environments/:env/receipts": { demand: "viewer", path: `${ENV}/receipts` },
  "GET /v1/environments/:env/incidents": { demand: "viewer", path: `${ENV}/incidents` },
  "POST /v1/environments/:env/incidents/:id/acknowledge": {
    demand: "operator",
    path: `${ENV}/incidents/unknown/acknowledge`,
  },
  "GET /v1/environments/:env/watches": { demand: "viewer", path: `${ENV}/watches` },
  "PUT /v1/environments/:env/watches/:kind": { demand: "admin", path: `${ENV}/watches/burn`, body: { limit: 5 } },
  "DELETE /v1/environments/:env/watches/:kind": { demand: "admin", path: `${ENV}/watches/cut` },
  "PUT /v1/environments/:env/watches/:kind/flags/:key": {
    demand: "admin",
    path: `${ENV}/watches/burn/flags/support-chat`,
    body: { enabled: false },
  },
  "DELETE /v1/environments/:env/watches/:kind/flags/:key": {
    demand: "admin",
    path: `${ENV}/watches/cut/flags/support-chat`,
  },
  "GET /v1/environments/:env/watches/:kind/preview": { demand: "viewer", path: `${ENV}/watches/burn/preview` },
  "POST /v1/environments/:env/incidents/:id/resolve": {
    demand: "operator",
    path: `${ENV}/incidents/unknown/resolve`,
  },
  "GET /v1/environments/:env/alerts": { demand: "viewer", path: `${ENV}/alerts` },
  "POST /v1/environments/:env/alerts/:id/retry": { demand: "operator", path: `${ENV}/alerts/1/retry` },
  "GET /v1/environments/:env/budgets": { demand: "viewer", path: `${ENV}/budgets` },
  "POST /v1/environments/:env/budgets": {
    demand: "admin",
    path: `${ENV}/budgets`,
    body: { name: "Matrix", scope: {}, limitUsd: 100 },
  },
  "GET /v1/environments/:env/budgets/:id": { demand: "viewer", path: `${ENV}/budgets/unknown` },
  "PATCH /v1/environments/:env/budgets/:id": {
    demand: "admin",
    path: `${ENV}/budgets/unknown`,
    body: { limitUsd: 200 },
  },
  "DELETE /v1/environments/:env/budgets/:id": { demand: "admin", path: `${ENV}/budgets/unknown` },
  "GET /v1/environments/:env/budgets/:id/leases": { demand: "viewer", path: `${ENV}/budgets/unknown/leases` },
  "POST /v1/environments/:env/budgets/:id/return": {
    demand: "operator",
    path: `${ENV}/budgets/unknown/return`,
    body: REASON,
  },
  "POST /v1/environments/:env/budgets/:id/raise": {
    demand: "operator",
    path: `${ENV}/budgets/unknown/raise`,
    body: { ...REASON, addUsd: 50, until: "2030-01-01T00:00:00Z" },
  },
  "POST /v1/environments/:env/budgets/:id/lift": {
    demand: "operator",
    path: `${ENV}/budgets/unknown/lift`,
    body: { ...REASON, user: "u1" },
  },
  "GET /v1/environments/:env/usage": { demand: "viewer", path: `${ENV}/usage` },
  "GET /v1/environments/:env/reconciliation": { demand: "viewer", path: `${ENV}/reconciliation` },
  "GET /v1/environments/:env/usage/savings": { demand: "viewer", path: `${ENV}/usage/savings` },
  "GET /v1/environments/:env/usage/calls": { demand: "viewer", path: `${ENV}/usage/calls` },
  "GET /v1/environments/:env/triggers": { demand: "viewer", path: `${ENV}/triggers` },
  "POST /v1/environments/:env/triggers": {
    demand: "admin",
    path: `${ENV}/triggers`,
    body: { name: "Matrix", source: "generic", action: "kill", flags: ["support-chat"] },
  },
  "GET /v1/environments/:env/triggers/:id": { demand: "viewer", path: `${ENV}/triggers/unknown` },
  "PATCH /v1/environments/:env/triggers/:id": {
    demand: "admin",
    path: `${ENV}/triggers/unknown`,
    body: { name: "Matrix" },
  },
  "DELETE /v1/environments/:env/triggers/:id": { demand: "admin", path: `${ENV}/triggers/unknown` },
  "POST /v1/triggers/:id": {
    demand: "tighten",
    path: "/v1/triggers/unknown",
    body: { id: "a", status: "firing" },
    foreign: { maxBytes: MAX_DELIVERY_BYTES },
  },
  "GET /v1/environments/:env/channels": { demand: "viewer", path: `${ENV}/channels` },
  "POST /v1/environments/:env/channels": {
    demand: "admin",
    path: `${ENV}/channels`,
    body: { kind: "webhook", name: "matrix", url: "http://127.0.0.1:9/matrix" },
  },
  "PATCH /v1/environments/:env/channels/:id": {
    demand: "admin",
    path: `${ENV}/channels/unknown`,
    body: { name: "renamed" },
  },
  "DELETE /v1/environments/:env/channels/:id": { demand: "admin", path: `${ENV}/channels/unknown` },
  "POST /v1/environments/:env/channels/:id/test": { demand: "operator", path: `${ENV}/channels/unknown/test` },
  "GET /v1/environments/:env/audit": { demand: "viewer", path: `${ENV}/audit` },
  "POST /v1/environments/:env/audit/revert": {
    demand: "operator",
    path: `${ENV}/audit/revert`,
    body: { ids: [999_999] },
  },
  "GET /v1/environments/:env/audit/verify": { demand: "viewer", path: `${ENV}/audit/verify` },
  "GET /v1/audit/verify": { demand: "admin", path: "/v1/audit/verify", global: true },
  "POST /v1/environments/:env/audit/:id/revert": { demand: "operator", path: `${ENV}/audit/1/revert`, body: REASON },
  "POST /v1/environments/:env/audit/:id/reason": { demand: "operator", path: `${ENV}/audit/1/reason`, body: REASON },
  "GET /v1/prices": { demand: "viewer", path: "/v1/prices", global: true },
  "GET /v1/environments/:env/prices": { demand: "viewer", path: `${ENV}/prices` },
  "PUT /v1/environments/:env/prices/:model": {
    demand: "admin",
    path: `${ENV}/prices/claude-next-9`,
    body: PRICE,
  },
  "PUT /v1/prices/:model": { demand: "admin", path: "/v1/prices/claude-next-9", body: PRICE, global: true },
  "PUT /v1/prices/:model/:validFrom": {
    demand: "admin",
    path: "/v1/prices/claude-next-9/2026-01-01",
    body: PRICE,
    global: true,
  },
  "DELETE /v1/prices/:model/:validFrom": {
    demand: "admin",
    path: "/v1/prices/claude-next-9/2026-01-01",
    global: true,
  },
  "GET /v1/tokens": { demand: "admin", path: "/v1/tokens", global: true },
  "POST /v1/tokens": {
    demand: "admin",
    path: "/v1/tokens",
    body: { kind: "sdk", name: "matrix", environments: ["production"] },
    global: true,
  },
  "DELETE /v1/tokens/:id": { demand: "admin", path: "/v1/tokens/unknown", global: true },
  "GET /sdk/v1/snapshot": { demand: "sdk", path: "/sdk/v1/snapshot" },
  "DELETE /sdk/v1/instance": { demand: "sdk", path: "/sdk/v1/instance" },
  // Its bodies are the ledger's concern: test/ledger/usage-report.test.ts.
  "GET /sdk/v1/verdicts": { demand: "sdk", path: "/sdk/v1/verdicts" },
  "POST /sdk/v1/usage": { demand: "sdk", path: "/sdk/v1/usage" },
  "POST /sdk/v1/leases": { demand: "sdk", path: "/sdk/v1/leases" },
  "GET /metrics": { demand: "metrics", path: "/metrics" },
  "GET /healthz": { demand: "public", path: "/healthz" },
  "GET /readyz": { demand: "public", path: "/readyz" },
  "GET /openapi.json": { demand: "public", path: "/openapi.json" },
  "GET /docs": { demand: "public", path: "/docs" },
};

/** Entries of routes that a test wants, with their method. */
export function routesWhere(
  wanted: (entry: RouteEntry) => boolean,
): { name: string; method: string; entry: RouteEntry }[] {
  return Object.entries(ROUTES)
    .filter(([, entry]) => wanted(entry))
    .map(([name, entry]) => ({ name, method: name.slice(0, name.indexOf(" ")), entry }));
}

export const isOperatorApi = ({ demand }: RouteEntry): boolean =>
  demand !== "sdk" && demand !== "metrics" && demand !== "public" && demand !== "pages";
