/** Drills of a flag: start one, and what each has proven. */
import { drillBody, drillSchema, drillsSchema } from "../../api/drill.ts";
import { flagKeySchema, idSchema, revision } from "../../api/fields.ts";
import { readinessSchema } from "../../api/readiness.ts";
import { flagReadiness } from "../../services/drills/readiness.ts";
import { getDrill, listDrills, startDrill } from "../../services/drills/drills.ts";
import { type Api, body, changeRoute, createApi, environmentParams, json, readRoute } from "../openapi.ts";

const tags = ["Drills"];
const ofFlag = environmentParams.extend({ key: flagKeySchema });

const start = changeRoute("operator", {
  method: "post",
  path: "/v1/environments/{env}/flags/{key}/drill",
  tags,
  operationId: "startDrill",
  summary: "Turn a flag off for seconds to see that its switch works everywhere; it comes back by itself",
  request: { params: ofFlag, ...body(drillBody) },
  responses: { 201: json(drillSchema.extend({ revision }).openapi("StartedDrill"), "The drill that runs.") },
});

const list = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/flags/{key}/drills",
  tags,
  operationId: "listDrills",
  summary: "The drills of a flag, and what each has proven",
  request: { params: ofFlag },
  responses: { 200: json(drillsSchema, "Newest first, at most 50.") },
});

const get = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/drills/{id}",
  tags,
  operationId: "getDrill",
  summary: "One drill",
  request: { params: environmentParams.extend({ id: idSchema }) },
  responses: { 200: json(drillSchema, "The drill as it is now.") },
});

const ready = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/flags/{key}/readiness",
  tags,
  operationId: "getReadiness",
  summary: "What is proven and what is missing before the flag is needed",
  request: { params: ofFlag },
  responses: { 200: json(readinessSchema, "The checklist, computed now.") },
});

export function drillRoutes(): Api {
  return createApi()
    .openapi(start, async (c) => {
      const { env, key } = c.req.valid("param");
      const made = await startDrill(c.get("ctx"), env, key, c.req.valid("json"));
      c.header("Location", `/v1/environments/${env}/drills/${made.value.id}`);
      return c.json({ ...made.value, revision: made.revision }, 201);
    })
    .openapi(list, async (c) => {
      const { env, key } = c.req.valid("param");
      return c.json({ items: await listDrills(c.get("ctx"), env, key) }, 200);
    })
    .openapi(ready, async (c) => {
      const { env, key } = c.req.valid("param");
      return c.json(await flagReadiness(c.get("ctx"), env, key), 200);
    })
    .openapi(get, async (c) => {
      const { env, id } = c.req.valid("param");
      return c.json(await getDrill(c.get("ctx"), env, id), 200);
    });
}
