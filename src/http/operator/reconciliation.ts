/** Claude's bill held against the ledger. */
import { reconciliationQuery, reconciliationSchema } from "../../api/reconciliation.ts";
import { getReconciliation } from "../../services/reconciliation/view.ts";
import { type Api, createApi, environmentParams, json, readRoute } from "../openapi.ts";

const compared = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/reconciliation",
  tags: ["Usage"],
  operationId: "getReconciliation",
  summary: "Claude's bill beside what Andon counted, by day in UTC and model",
  request: { params: environmentParams, query: reconciliationQuery },
  responses: { 200: json(reconciliationSchema, "The newest day first; in each the largest difference first.") },
});

export function reconciliationRoutes(): Api {
  return createApi().openapi(compared, async (c) =>
    c.json(await getReconciliation(c.get("ctx"), c.req.valid("param").env, c.req.valid("query")), 200),
  );
}
