/** Incidents: one per cause and window, growing by step; and that on-call has seen it. */
import { acknowledgeIncident, resolveIncident } from "../../services/incidents/incidents.ts";
import { listIncidents } from "../../services/incidents/view.ts";
import { acknowledgedSchema, incidentSchema, incidentsQuery, resolvedSchema } from "../../api/incident.ts";
import { idSchema } from "../../api/fields.ts";
import { pageOf } from "../../api/list.ts";
import { type Api, bareChangeRoute, createApi, environmentParams, json, readRoute } from "../openapi.ts";

const tags = ["Incidents"];

const list = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/incidents",
  tags,
  operationId: "listIncidents",
  summary: "Incidents, newest first; only open ones with open=true",
  request: { params: environmentParams, query: incidentsQuery },
  responses: { 200: json(pageOf(incidentSchema), "One page; nextCursor leads to older ones.") },
});

const acknowledge = bareChangeRoute("operator", {
  method: "post",
  path: "/v1/environments/{env}/incidents/{id}/acknowledge",
  tags,
  operationId: "acknowledgeIncident",
  summary: "Say that on-call has seen it; the first one counts",
  request: { params: environmentParams.extend({ id: idSchema }) },
  responses: { 200: json(acknowledgedSchema, "Who acknowledged it, and when.") },
});

const resolve = bareChangeRoute("operator", {
  method: "post",
  path: "/v1/environments/{env}/incidents/{id}/resolve",
  tags,
  operationId: "resolveIncident",
  summary: "Close an incident whose cause has ended; 409 while it stands, saying what ends it",
  request: { params: environmentParams.extend({ id: idSchema }) },
  responses: { 200: json(resolvedSchema, "When it was closed.") },
});

export function incidentRoutes(): Api {
  return createApi()
    .openapi(list, async (c) => {
      const { open, ...page } = c.req.valid("query");
      const query = { ...page, ...(open !== undefined && { open: open === "true" }) };
      return c.json(await listIncidents(c.get("ctx"), c.req.valid("param").env, query), 200);
    })
    .openapi(acknowledge, async (c) => {
      const { env, id } = c.req.valid("param");
      const { value, revision } = await acknowledgeIncident(c.get("ctx"), env, id);
      return c.json({ ...value, revision }, 200);
    })
    .openapi(resolve, async (c) => {
      const { env, id } = c.req.valid("param");
      const { value, revision } = await resolveIncident(c.get("ctx"), env, id);
      return c.json({ ...value, revision }, 200);
    });
}
