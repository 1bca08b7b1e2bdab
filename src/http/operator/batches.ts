/** Message batches: which run, and canceling those of a flag. Clients carry it out: the server has no key of the provider's. */
import {
  cancelBatchesAnswer,
  cancelBatchesBody,
  messageBatchesAnswer,
  messageBatchesQuery,
} from "../../api/message-batch.ts";
import { flagKeySchema } from "../../api/fields.ts";
import { cancelBatches } from "../../services/batches/cancel.ts";
import { listMessageBatches } from "../../services/batches/view.ts";
import { type Api, body, changeRoute, createApi, environmentParams, json, readRoute } from "../openapi.ts";

const tags = ["Message batches"];

const list = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/batches",
  tags,
  operationId: "listMessageBatches",
  summary: "Message batches that clients told of, newest first, 200 at most",
  request: { params: environmentParams, query: messageBatchesQuery },
  responses: { 200: json(messageBatchesAnswer, "The newest batches.") },
});

const cancel = changeRoute("operator", {
  method: "post",
  path: "/v1/environments/{env}/flags/{key}/batches/cancel",
  tags,
  operationId: "cancelBatches",
  summary: "Cancel the running message batches of a flag",
  request: { params: environmentParams.extend({ key: flagKeySchema }), ...body(cancelBatchesBody) },
  responses: {
    200: json(cancelBatchesAnswer, "How many clients are told to cancel; GET the batches for what came of it."),
  },
});

export function batchRoutes(): Api {
  return createApi()
    .openapi(list, async (c) => {
      const { flag, running } = c.req.valid("query");
      const items = await listMessageBatches(c.get("ctx"), c.req.valid("param").env, {
        flag,
        running: running === "true",
      });
      return c.json({ items }, 200);
    })
    .openapi(cancel, async (c) => {
      const { env, key } = c.req.valid("param");
      const { reason } = c.req.valid("json");
      const { value, revision } = await cancelBatches(c.get("ctx"), env, key, reason ?? null);
      return c.json({ ...value, revision }, 200);
    });
}
