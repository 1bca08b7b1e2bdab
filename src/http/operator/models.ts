/** Model blocks, and names that do not say their model. A model id that has a slash is written with %2F in the path. */
import { getAliases, putAliases } from "../../services/models/aliases.ts";
import { listModels, putModel, restoreModel } from "../../services/models/blocks.ts";
import { type Api, body, changeRoute, createApi, environmentParams, futureDate, json, readRoute } from "../openapi.ts";
import {
  aliasesBody,
  aliasesSchema,
  changedModelSchema,
  modelBody,
  modelResourceSchema,
  restoredModelSchema,
  restoreModelBody,
} from "../../api/model.ts";
import { listOf } from "../../api/list.ts";
import { modelSchema } from "../../api/fields.ts";

const tags = ["Models"];

const list = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/models",
  tags,
  operationId: "listModels",
  summary: "The models of all chains, and all that are blocked or taken out by a breaker",
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

const restore = changeRoute("operator", {
  method: "post",
  path: "/v1/environments/{env}/models/{id}/restore",
  tags,
  operationId: "restoreModel",
  summary: "Let a model run that a breaker has taken out; it is not taken out again before it has recovered",
  request: { params: environmentParams.extend({ id: modelSchema }), ...body(restoreModelBody) },
  responses: { 200: json(restoredModelSchema, "The model as it is now.") },
});

const aliases = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/aliases",
  tags,
  operationId: "getAliases",
  summary: "The model behind each name that does not say it",
  request: { params: environmentParams },
  responses: { 200: json(aliasesSchema, "Models by name.") },
});

const putAll = changeRoute("admin", {
  method: "put",
  path: "/v1/environments/{env}/aliases",
  tags,
  operationId: "putAliases",
  summary: "Map names that do not say their model: inference profiles, deployments",
  request: { params: environmentParams, ...body(aliasesBody) },
  responses: { 200: json(aliasesSchema, "The mappings as they are now.") },
});

export function modelRoutes(): Api {
  return createApi()
    .openapi(list, async (c) => c.json(await listModels(c.get("ctx"), c.req.valid("param").env), 200))
    .openapi(put, async (c) => {
      const { env, id } = c.req.valid("param");
      const { blocked, reason, until, newModel } = c.req.valid("json");
      const { value, revision, auditId, warnings } = await putModel(c.get("ctx"), env, id, {
        blocked,
        reason,
        until: futureDate(c, "until", until),
        newModel,
      });
      return c.json({ ...value, revision, auditId, warnings }, 200);
    })
    .openapi(restore, async (c) => {
      const { env, id } = c.req.valid("param");
      const { value, revision } = await restoreModel(c.get("ctx"), env, id, c.req.valid("json"));
      return c.json({ ...value, revision }, 200);
    })
    .openapi(aliases, async (c) => c.json(await getAliases(c.get("ctx"), c.req.valid("param").env), 200))
    .openapi(putAll, async (c) => {
      const { aliases: wanted, newModel = false } = c.req.valid("json");
      const input = { aliases: wanted, newModel };
      const { value, revision } = await putAliases(c.get("ctx"), c.req.valid("param").env, input);
      return c.json({ aliases: value, revision }, 200);
    });
}
