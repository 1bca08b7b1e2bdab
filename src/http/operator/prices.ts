/**
 * Prices, the same for all environments: the built-in list, and what operators add or correct without a release. A model
 * id that has a slash is written with %2F in the path.
 */
import { z } from "@hono/zod-openapi";
import {
  changedPriceAtSchema,
  changedPriceSchema,
  datedPriceBody,
  priceBody,
  priceSchema,
  removePriceQuery,
  validFromSchema,
} from "../../api/price.ts";
import { modelSchema } from "../../api/fields.ts";
import { listOf } from "../../api/list.ts";
import { deletePrice, listPrices, listPricesOf, putPrice, putPriceOf } from "../../services/models/prices.ts";
import {
  type Api,
  bareChangeRoute,
  body,
  changeRoute,
  createApi,
  environmentParams,
  json,
  readRoute,
} from "../openapi.ts";

const tags = ["Prices"];
const params = z.object({ model: modelSchema, validFrom: validFromSchema });

const list = readRoute("viewer", {
  method: "get",
  path: "/v1/prices",
  tags,
  operationId: "listPrices",
  summary: "The prices in force and those before them, built-in and added",
  responses: { 200: json(z.object({ items: z.array(priceSchema) }), "By model, newest first.") },
});

const put = changeRoute("admin", {
  method: "put",
  path: "/v1/prices/{model}/{validFrom}",
  tags,
  operationId: "putPrice",
  summary: "Add a price, or correct the one of this model and moment; calls counted before keep their cost",
  request: { params, ...body(priceBody) },
  responses: { 200: json(changedPriceSchema, "The price as it counts from now on.") },
});

const putFrom = changeRoute("admin", {
  method: "put",
  path: "/v1/prices/{model}",
  tags,
  operationId: "putPriceFrom",
  summary: "Add a price from a moment on, now unless told which, or correct the one of that moment",
  request: { params: z.object({ model: modelSchema }), ...body(datedPriceBody) },
  responses: { 200: json(changedPriceSchema, "The price as it counts from now on.") },
});

const listHere = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/prices",
  tags,
  operationId: "listEnvironmentPrices",
  summary: "The same list for whoever works in one environment: prices are the same in all",
  request: { params: environmentParams },
  responses: { 200: json(listOf(priceSchema), "By model, newest first.") },
});

const putHere = changeRoute("admin", {
  method: "put",
  path: "/v1/environments/{env}/prices/{model}",
  tags,
  operationId: "putEnvironmentPrice",
  summary: "Add or correct a price, in all environments, with the revision that it made of this one",
  request: { params: environmentParams.extend({ model: modelSchema }), ...body(datedPriceBody) },
  responses: { 200: json(changedPriceAtSchema, "The price as it counts from now on.") },
});

const remove = bareChangeRoute("admin", {
  method: "delete",
  path: "/v1/prices/{model}/{validFrom}",
  tags,
  operationId: "deletePrice",
  summary: "Remove an added price; a built-in one that it stood for counts again",
  request: { params, query: removePriceQuery },
  responses: { 204: { description: "Removed." } },
});

export function priceRoutes(): Api {
  return createApi()
    .openapi(list, async (c) => c.json(await listPrices(c.get("ctx")), 200))
    .openapi(put, async (c) => {
      const { model, validFrom } = c.req.valid("param");
      return c.json((await putPrice(c.get("ctx"), model, validFrom, c.req.valid("json"))).price, 200);
    })
    .openapi(putFrom, async (c) => {
      const { validFrom = null, ...given } = c.req.valid("json");
      return c.json((await putPrice(c.get("ctx"), c.req.valid("param").model, validFrom, given)).price, 200);
    })
    .openapi(listHere, async (c) => c.json(await listPricesOf(c.get("ctx"), c.req.valid("param").env), 200))
    .openapi(putHere, async (c) => {
      const { env, model } = c.req.valid("param");
      const { validFrom = null, ...given } = c.req.valid("json");
      return c.json(await putPriceOf(c.get("ctx"), env, model, validFrom, given), 200);
    })
    .openapi(remove, async (c) => {
      const { model, validFrom } = c.req.valid("param");
      await deletePrice(c.get("ctx"), model, validFrom, c.req.valid("query").reason);
      return c.body(null, 204);
    });
}
