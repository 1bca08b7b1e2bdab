/** Running clients, and the proof that they applied a revision. Both speak for all servers. */
import { listInstances } from "../../services/instances/instances.ts";
import { getReceipts } from "../../services/instances/receipts.ts";
import { type Api, createApi, environmentParams, json, readRoute } from "../openapi.ts";
import { instancesSchema, receiptsSchema } from "../resource-schemas.ts";
import { receiptsQuery } from "../schemas.ts";

const tags = ["Instances"];

const list = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/instances",
  tags,
  operationId: "listInstances",
  summary: "Running clients, those whose connection is lost, those not heard of for a while, and those that stopped",
  request: { params: environmentParams },
  responses: { 200: json(instancesSchema, "Counts of all; at most 1,000 of each state are listed.") },
});

const receipts = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/receipts",
  tags,
  operationId: "getReceipts",
  summary: "How many instances applied a revision, and who has not",
  request: { params: environmentParams, query: receiptsQuery },
  responses: { 200: json(receiptsSchema, "Receipts of the revision; of the newest one when none is named.") },
});

export function instanceRoutes(): Api {
  return createApi()
    .openapi(list, async (c) => c.json(await listInstances(c.get("ctx"), c.req.valid("param").env), 200))
    .openapi(receipts, async (c) => {
      const { revision } = c.req.valid("query");
      return c.json(await getReceipts(c.get("ctx"), c.req.valid("param").env, revision), 200);
    });
}
