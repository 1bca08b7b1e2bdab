/** Alerts: what was sent to whom, what waits and why; and to retry what failed. */
import { listAlerts, retryAlert } from "../../services/alerts/alerts.ts";
import { alertIdSchema, alertSchema, alertsQuery } from "../../api/alert.ts";
import { pageOf } from "../../api/list.ts";
import { type Api, bareChangeRoute, createApi, environmentParams, json, readRoute } from "../openapi.ts";

const tags = ["Alerts"];

const list = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/alerts",
  tags,
  operationId: "listAlerts",
  summary: "Alerts of all channels, newest first",
  request: { params: environmentParams, query: alertsQuery },
  responses: { 200: json(pageOf(alertSchema), "One page; nextCursor leads to older ones.") },
});

const retry = bareChangeRoute("operator", {
  method: "post",
  path: "/v1/environments/{env}/alerts/{id}/retry",
  tags,
  operationId: "retryAlert",
  summary: "Send a failed alert again; 409 unless it has failed",
  request: { params: environmentParams.extend({ id: alertIdSchema }) },
  responses: { 200: json(alertSchema, "The alert as it is now.") },
});

export function alertRoutes(): Api {
  return createApi()
    .openapi(list, async (c) =>
      c.json(await listAlerts(c.get("ctx"), c.req.valid("param").env, c.req.valid("query")), 200),
    )
    .openapi(retry, async (c) => {
      const { env, id } = c.req.valid("param");
      return c.json(await retryAlert(c.get("ctx"), env, Number(id)), 200);
    });
}
