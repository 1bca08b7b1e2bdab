/** Budgets: what may be spent, and what happens at which share of it. A raise is for on-call, the rest for admins. */
import { getBudget, listBudgets } from "../../services/budgets/view.ts";
import { createBudget, deleteBudget, updateBudget } from "../../services/budgets/budgets.ts";
import { returnIndeterminate } from "../../services/budgets/lease-return.ts";
import { listLeases } from "../../services/budgets/lease-view.ts";
import { raiseBudget } from "../../services/budgets/raise.ts";
import { liftSubject } from "../../services/verdicts/lift.ts";
import { idSchema } from "../../api/fields.ts";
import {
  budgetSchema,
  changedBudgetSchema,
  createBudgetBody,
  liftBody,
  raiseBudgetBody,
  updateBudgetBody,
} from "../../api/budget.ts";
import { changed, created, routesOf, tagged } from "./noun.ts";
import { leaseSchema, returnBody } from "../../api/lease.ts";
import { type Api, body, changeRoute, createApi, environmentParams, ifMatchOf, json, readRoute } from "../openapi.ts";
import { deletedSchema, listOf } from "../../api/list.ts";

const tags = ["Budgets"];
const params = environmentParams.extend({ id: idSchema });
const routes = routesOf("Budgets", "budgets", "id", params);

const list = routes.list(
  {
    operationId: "listBudgets",
    summary: "All budgets with what is spent, the burn, when the limit is reached and the bound of overspending",
  },
  budgetSchema,
  "Budgets by name.",
);

const create = routes.create(
  { operationId: "createBudget", summary: "Make a budget; what its current window has spent already counts" },
  createBudgetBody,
  changedBudgetSchema,
  "The budget.",
);

const get = routes.get({ operationId: "getBudget", summary: "One budget" }, budgetSchema, "The budget.");

const update = routes.update(
  {
    operationId: "updateBudget",
    summary: "Edit a budget; fields left out stay. Its ladder is looked at again at once",
  },
  updateBudgetBody,
  changedBudgetSchema,
  "The budget as it is now.",
);

const remove = routes.remove(
  { operationId: "deleteBudget", summary: "Delete a budget; its trips end" },
  "Deleted.",
  deletedSchema,
);

const raise = changeRoute("operator", {
  method: "post",
  path: "/v1/environments/{env}/budgets/{id}/raise",
  tags,
  operationId: "raiseBudget",
  summary: "Add to the limit until a moment; trips whose step is no longer crossed end at once",
  request: { params, ...body(raiseBudgetBody) },
  responses: { 200: json(changedBudgetSchema, "The budget with the raise in force.") },
});

const lift = changeRoute("operator", {
  method: "post",
  path: "/v1/environments/{env}/budgets/{id}/lift",
  tags,
  operationId: "liftSubject",
  summary: "Let one user or session go on until the window ends; a step that it crosses later acts",
  request: { params, ...body(liftBody) },
  responses: { 200: json(changedBudgetSchema, "The budget as it is now.") },
});

const leases = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/budgets/{id}/leases",
  tags,
  operationId: "listLeases",
  summary: "Under `reserve`: which clients hold money of the current window, those that hold most first",
  request: { params },
  responses: { 200: json(listOf(leaseSchema), "Leases that are not settled.") },
});

const giveBack = changeRoute("operator", {
  method: "post",
  path: "/v1/environments/{env}/budgets/{id}/return",
  tags,
  operationId: "returnIndeterminate",
  summary: "Return what clients held that went silent: it counts against the limit no more",
  request: { params, ...body(returnBody) },
  responses: { 200: json(changedBudgetSchema, "The budget with the money back.") },
});

export function budgetRoutes(): Api {
  return createApi()
    .openapi(list, async (c) => c.json(await listBudgets(c.get("ctx"), c.req.valid("param").env), 200))
    .openapi(create, async (c) => {
      const { env } = c.req.valid("param");
      const made = await createBudget(c.get("ctx"), env, c.req.valid("json"));
      return c.json(created(c, `${env}/budgets/${made.value.id}`, made), 201);
    })
    .openapi(get, async (c) => {
      const { env, id } = c.req.valid("param");
      return c.json(tagged(c, await getBudget(c.get("ctx"), env, id)), 200);
    })
    .openapi(update, async (c) => {
      const { env, id } = c.req.valid("param");
      return c.json(changed(c, await updateBudget(c.get("ctx"), env, id, c.req.valid("json"), ifMatchOf(c))), 200);
    })
    .openapi(remove, async (c) => {
      const { env, id } = c.req.valid("param");
      const { revision } = await deleteBudget(c.get("ctx"), env, id, ifMatchOf(c));
      return c.json({ revision }, 200);
    })
    .openapi(leases, async (c) => {
      const { env, id } = c.req.valid("param");
      return c.json(await listLeases(c.get("ctx"), env, id), 200);
    })
    .openapi(giveBack, async (c) => {
      const { env, id } = c.req.valid("param");
      return c.json(changed(c, await returnIndeterminate(c.get("ctx"), env, id, c.req.valid("json"))), 200);
    })
    .openapi(raise, async (c) => {
      const { env, id } = c.req.valid("param");
      const { addUsd, until, reason } = c.req.valid("json");
      const input = { addUsd, until: new Date(until), reason };
      return c.json(changed(c, await raiseBudget(c.get("ctx"), env, id, input)), 200);
    })
    .openapi(lift, async (c) => {
      const { env, id } = c.req.valid("param");
      return c.json(changed(c, await liftSubject(c.get("ctx"), env, id, c.req.valid("json"))), 200);
    });
}
