/** Environments: everything else belongs to exactly one. */
import { z } from "@hono/zod-openapi";
import { createEnvironment, getEnvironment, listEnvironments } from "../../services/access/environments.ts";
import { type Api, body, changeRoute, createApi, environmentParams, json, readRoute } from "../openapi.ts";
import { environmentBody, environmentSchema } from "../../api/environment.ts";

const tags = ["Environments"];

const list = readRoute("any", {
  method: "get",
  path: "/v1/environments",
  tags,
  operationId: "listEnvironments",
  summary: "The environments this token may see",
  responses: { 200: json(z.object({ items: z.array(environmentSchema) }), "Environments, oldest first.") },
});

const get = readRoute("any", {
  method: "get",
  path: "/v1/environments/{env}",
  tags,
  operationId: "getEnvironment",
  summary: "One environment",
  request: { params: environmentParams },
  responses: { 200: json(environmentSchema, "The environment.") },
});

const create = changeRoute("admin", {
  method: "post",
  path: "/v1/environments",
  tags,
  operationId: "createEnvironment",
  summary: "Create an environment",
  request: body(environmentBody),
  responses: { 201: json(environmentSchema, "The environment, its master switch on.") },
});

export function environmentRoutes(): Api {
  return createApi()
    .openapi(list, async (c) => c.json(await listEnvironments(c.get("ctx")), 200))
    .openapi(get, async (c) => c.json(await getEnvironment(c.get("ctx"), c.req.valid("param").env), 200))
    .openapi(create, async (c) => {
      const environment = await createEnvironment(c.get("ctx"), c.req.valid("json"));
      c.header("Location", `/v1/environments/${environment.key}`);
      return c.json(environment, 201);
    });
}
