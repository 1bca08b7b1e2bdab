/** Running clients, and the proof that they applied a revision. Both speak for all servers. */
import { declareAllDead, declareDead } from "../../services/instances/declare-dead.ts";
import { listInstances } from "../../services/instances/instances.ts";
import { getReceipts } from "../../services/instances/receipts.ts";
import { idSchema } from "../../api/fields.ts";
import { type Api, body, changeRoute, createApi, environmentParams, json, readRoute } from "../openapi.ts";
import {
  allDeadBody,
  deadBody,
  declaredSchema,
  instancesSchema,
  receiptsQuery,
  receiptsSchema,
} from "../../api/instance.ts";

const tags = ["Instances"];

const list = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/instances",
  tags,
  operationId: "listInstances",
  summary: "Running clients, those whose connection is lost, those not heard of for a while, and those that stopped",
  request: { params: environmentParams },
  responses: {
    200: json(
      instancesSchema,
      "Counts of all; at most 1,000 of each state are listed, and who refuses by `ANDON_KILL`.",
    ),
  },
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

const dead = changeRoute("operator", {
  method: "post",
  path: "/v1/environments/{env}/instances/{id}/dead",
  tags,
  operationId: "declareInstanceDead",
  summary: "Say that a lost or silent process is dead; if it is heard of again, it counts again at once",
  request: { params: environmentParams.extend({ id: idSchema }), ...body(deadBody) },
  responses: { 200: json(declaredSchema, "What was declared dead. 409 for one that is connected.") },
});

const allDead = changeRoute("operator", {
  method: "post",
  path: "/v1/environments/{env}/instances/dead",
  tags,
  operationId: "declareLostInstancesDead",
  summary: "Say that all processes whose connection is lost are dead",
  request: { params: environmentParams, ...body(allDeadBody) },
  responses: { 200: json(declaredSchema, "Those that were declared dead.") },
});

export function instanceRoutes(): Api {
  return createApi()
    .openapi(list, async (c) => c.json(await listInstances(c.get("ctx"), c.req.valid("param").env), 200))
    .openapi(receipts, async (c) => {
      const { revision } = c.req.valid("query");
      return c.json(await getReceipts(c.get("ctx"), c.req.valid("param").env, revision), 200);
    })
    .openapi(dead, async (c) => {
      const { env, id } = c.req.valid("param");
      return c.json(await declareDead(c.get("ctx"), env, { id, ...c.req.valid("json") }), 200);
    })
    .openapi(allDead, async (c) => {
      const { lostBefore, reason } = c.req.valid("json");
      const before = lostBefore === undefined ? undefined : new Date(lostBefore);
      return c.json(await declareAllDead(c.get("ctx"), c.req.valid("param").env, { lostBefore: before, reason }), 200);
    });
}
