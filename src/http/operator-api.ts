/** The operator API: every route of it, behind authentication and a bound on the body. */
import type { Deps } from "../deps.ts";
import { MAX_BODY_BYTES } from "../domain/limits.ts";
import { authenticate } from "./middleware/auth.ts";
import { bodyLimit } from "./middleware/body-limit.ts";
import { type Api, createApi } from "./openapi.ts";
import { documentSdk } from "./docs/sdk-document.ts";
import { alertRoutes } from "./operator/alerts.ts";
import { auditRoutes } from "./operator/audit.ts";
import { batchRoutes } from "./operator/batches.ts";
import { budgetRoutes } from "./operator/budgets.ts";
import { chainRoutes } from "./operator/chains.ts";
import { channelRoutes } from "./operator/channels.ts";
import { drillRoutes } from "./operator/drills.ts";
import { environmentRoutes } from "./operator/environments.ts";
import { flagRoutes } from "./operator/flags.ts";
import { incidentRoutes } from "./operator/incidents.ts";
import { instanceRoutes } from "./operator/instances.ts";
import { masterRoutes } from "./operator/master.ts";
import { modelRoutes } from "./operator/models.ts";
import { priceRoutes } from "./operator/prices.ts";
import { reconciliationRoutes } from "./operator/reconciliation.ts";
import { switchRoutes } from "./operator/switches.ts";
import { tagRoutes } from "./operator/tags.ts";
import { tokenRoutes } from "./operator/tokens.ts";
import { deliveryRoutes } from "./operator/trigger-deliveries.ts";
import { triggerRoutes } from "./operator/triggers.ts";
import { usageRoutes } from "./operator/usage.ts";
import { watchRoutes } from "./operator/watches.ts";

const NOUNS = [
  flagRoutes,
  switchRoutes,
  drillRoutes,
  tagRoutes,
  masterRoutes,
  chainRoutes,
  modelRoutes,
  budgetRoutes,
  usageRoutes,
  reconciliationRoutes,
  priceRoutes,
  instanceRoutes,
  incidentRoutes,
  batchRoutes,
  watchRoutes,
  alertRoutes,
  channelRoutes,
  triggerRoutes,
  auditRoutes,
  environmentRoutes,
  tokenRoutes,
] as const;

export function operatorApi(deps: Deps): Api {
  const api = createApi();
  api.route("/", deliveryRoutes(deps));
  api.use("/v1/*", boundedBody);
  api.use("/v1/*", authenticate(deps));
  api.use("/v1/*", async (c, next) => {
    await next();
    // State of a control plane must never come out of a cache.
    c.res.headers.set("Cache-Control", "no-store");
  });
  api.openAPIRegistry.registerComponent("securitySchemes", "token", {
    type: "http",
    scheme: "bearer",
    description: "A token: `andon_op_…`, or `andon_kill_…` or `andon_sdk_…` where it says so.",
  });
  for (const routes of NOUNS) api.route("/", routes());
  documentSdk(api);
  return api;
}

/** Refuses bodies over MAX_BODY_BYTES. Use on every route that reads one. */
export const boundedBody = bodyLimit(MAX_BODY_BYTES, `The body may have at most ${String(MAX_BODY_BYTES / 1024)} KiB.`);
