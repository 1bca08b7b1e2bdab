/**
 * Prices, the same for all environments: the built-in list, and what operators add or correct without a release. A model
 * id that has a slash is written with %2F in the path.
 */
import { z } from "@hono/zod-openapi";
import { priceBody, priceSchema, validFromSchema } from "../../api/price.ts";
import { modelSchema } from "../../api/fields.ts";
import { deletePrice, listPrices, putPrice } from "../../services/models/prices.ts";
import { type Api, bareChangeRoute, body, changeRoute, createApi, json, readRoute } from "../openapi.ts";

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
  responses: { 200: json(priceSchema, "The price as it counts from now on.") },
});

const remove = bareChangeRoute("admin", {
  method: "delete",
  path: "/v1/prices/{model}/{validFrom}",
  tags,
  operationId: "deletePrice",
  summary: "Remove an added price; a built-in one that it stood for counts again",
  request: { params },
  responses: { 204: { description: "Removed." } },
});

export function priceRoutes(): Api {
  return createApi()
    .openapi(list, async (c) => c.json(await listPrices(c.get("ctx")), 200))
    .openapi(put, async (c) => {
      const { model, validFrom } = c.req.valid("param");
      return c.json(await putPrice(c.get("ctx"), model, validFrom, c.req.valid("json")), 200);
    })
    .openapi(remove, async (c) => {
      const { model, validFrom } = c.req.valid("param");
      await deletePrice(c.get("ctx"), model, validFrom);
      return c.body(null, 204);
    });
}
