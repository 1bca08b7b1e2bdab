/** Budgets: what may be spent, and what happens at which share of it. A raise is for on-call, the rest for admins. */
import { getBudget, listBudgets } from "../../services/budgets/view.ts";
import { createBudget, deleteBudget, updateBudget } from "../../services/budgets/budgets.ts";
import { raiseBudget } from "../../services/budgets/raise.ts";
import { idSchema } from "../../api/fields.ts";
import {
  budgetSchema,
  changedBudgetSchema,
  createBudgetBody,
  raiseBudgetBody,
  updateBudgetBody,
} from "../../api/budget.ts";
import {
  type Api,
  bareChangeRoute,
  body,
  changeRoute,
  createApi,
  environmentParams,
  ifMatchOf,
  json,
  readRoute,
  setEtag,
} from "../openapi.ts";
import { deletedSchema, listOf } from "../../api/list.ts";

const tags = ["Budgets"];
const params = environmentParams.extend({ id: idSchema });

const list = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/budgets",
  tags,
  operationId: "listBudgets",
  summary: "All budgets with what is spent, the burn, when the limit is reached and the bound of overspending",
  request: { params: environmentParams },
  responses: { 200: json(listOf(budgetSchema), "Budgets by name.") },
});

const create = changeRoute("admin", {
  method: "post",
  path: "/v1/environments/{env}/budgets",
  tags,
  operationId: "createBudget",
  summary: "Make a budget; what its current window has spent already counts",
  request: { params: environmentParams, ...body(createBudgetBody) },
  responses: { 201: json(changedBudgetSchema, "The budget.") },
});

const get = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/budgets/{id}",
  tags,
  operationId: "getBudget",
  summary: "One budget",
  request: { params },
  responses: { 200: json(budgetSchema, "The budget.") },
});

const update = changeRoute("admin", {
  method: "patch",
  path: "/v1/environments/{env}/budgets/{id}",
  tags,
  operationId: "updateBudget",
  summary: "Edit a budget; fields left out stay. Its ladder is looked at again at once",
  request: { params, ...body(updateBudgetBody) },
  responses: { 200: json(changedBudgetSchema, "The budget as it is now.") },
});

const remove = bareChangeRoute("admin", {
  method: "delete",
  path: "/v1/environments/{env}/budgets/{id}",
  tags,
  operationId: "deleteBudget",
  summary: "Delete a budget; its trips end",
  request: { params },
  responses: { 200: json(deletedSchema, "Deleted.") },
});

const raise = changeRoute("operator", {
  method: "post",
  path: "/v1/environments/{env}/budgets/{id}/raise",
  tags,
  operationId: "raiseBudget",
  summary: "Add to the limit until a moment; trips whose step is no longer crossed end at once",
  request: { params, ...body(raiseBudgetBody) },
  responses: { 200: json(changedBudgetSchema, "The budget with the raise in force.") },
});

export function budgetRoutes(): Api {
  return createApi()
    .openapi(list, async (c) => c.json(await listBudgets(c.get("ctx"), c.req.valid("param").env), 200))
    .openapi(create, async (c) => {
      const { env } = c.req.valid("param");
      const { value, revision } = await createBudget(c.get("ctx"), env, c.req.valid("json"));
      setEtag(c, value.version);
      c.header("Location", `/v1/environments/${env}/budgets/${value.id}`);
      return c.json({ ...value, revision }, 201);
    })
    .openapi(get, async (c) => {
      const { env, id } = c.req.valid("param");
      const budget = await getBudget(c.get("ctx"), env, id);
      setEtag(c, budget.version);
      return c.json(budget, 200);
    })
    .openapi(update, async (c) => {
      const { env, id } = c.req.valid("param");
      const { value, revision } = await updateBudget(c.get("ctx"), env, id, c.req.valid("json"), ifMatchOf(c));
      setEtag(c, value.version);
      return c.json({ ...value, revision }, 200);
    })
    .openapi(remove, async (c) => {
      const { env, id } = c.req.valid("param");
      const { revision } = await deleteBudget(c.get("ctx"), env, id, ifMatchOf(c));
      return c.json({ revision }, 200);
    })
    .openapi(raise, async (c) => {
      const { env, id } = c.req.valid("param");
      const { addUsd, until, reason } = c.req.valid("json");
      const input = { addUsd, until: new Date(until), reason };
      const { value, revision } = await raiseBudget(c.get("ctx"), env, id, input);
      setEtag(c, value.version);
      return c.json({ ...value, revision }, 200);
    });
}
