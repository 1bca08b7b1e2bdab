/** The operator API: every route of it, behind authentication and a bound on the body. */
import type { Deps } from "../deps.ts";
import { MAX_BODY_BYTES } from "../domain/limits.ts";
import { authenticate } from "./auth.ts";
import { bodyLimit } from "./body-limit.ts";
import { type Api, createApi } from "./openapi.ts";
import { documentSdk } from "./sdk-document.ts";
import { alertRoutes } from "./routes/alerts.ts";
import { auditRoutes } from "./routes/audit.ts";
import { budgetRoutes } from "./routes/budgets.ts";
import { chainRoutes } from "./routes/chains.ts";
import { channelRoutes } from "./routes/channels.ts";
import { environmentRoutes } from "./routes/environments.ts";
import { flagRoutes } from "./routes/flags.ts";
import { incidentRoutes } from "./routes/incidents.ts";
import { instanceRoutes } from "./routes/instances.ts";
import { masterRoutes } from "./routes/master.ts";
import { modelRoutes } from "./routes/models.ts";
import { priceRoutes } from "./routes/prices.ts";
import { switchRoutes } from "./routes/switches.ts";
import { tokenRoutes } from "./routes/tokens.ts";
import { usageRoutes } from "./routes/usage.ts";

const NOUNS = [
  flagRoutes,
  switchRoutes,
  masterRoutes,
  chainRoutes,
  modelRoutes,
  budgetRoutes,
  usageRoutes,
  priceRoutes,
  instanceRoutes,
  incidentRoutes,
  alertRoutes,
  channelRoutes,
  auditRoutes,
  environmentRoutes,
  tokenRoutes,
] as const;

export function operatorApi(deps: Deps): Api {
  const api = createApi();
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
