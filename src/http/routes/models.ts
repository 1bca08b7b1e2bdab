/** Model blocks. A model id that has a slash is written with %2F in the path. */
import { listModels, putModel } from "../../services/models.ts";
import { type Api, body, changeRoute, createApi, environmentParams, futureDate, json, readRoute } from "../openapi.ts";
import { changedModelSchema, listOf, modelResourceSchema } from "../resource-schemas.ts";
import { modelBody, modelSchema } from "../schemas.ts";

const tags = ["Models"];

const list = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/models",
  tags,
  operationId: "listModels",
  summary: "The models of all chains and all blocked ones",
  request: { params: environmentParams },
  responses: { 200: json(listOf(modelResourceSchema), "Models by id.") },
});

const put = changeRoute("operator", {
  method: "put",
  path: "/v1/environments/{env}/models/{id}",
  tags,
  operationId: "putModel",
  summary: "Block a model, or lift its block",
  request: { params: environmentParams.extend({ id: modelSchema }), ...body(modelBody) },
  responses: { 200: json(changedModelSchema, "The model as it is now.") },
});

export function modelRoutes(): Api {
  return createApi()
    .openapi(list, async (c) => c.json(await listModels(c.get("ctx"), c.req.valid("param").env), 200))
    .openapi(put, async (c) => {
      const { env, id } = c.req.valid("param");
      const { blocked, reason, until } = c.req.valid("json");
      const { value, revision, auditId } = await putModel(c.get("ctx"), env, id, {
        blocked,
        reason,
        until: futureDate(c, "until", until),
      });
      return c.json({ ...value, revision, auditId }, 200);
    });
}
