/** Watches: what is unusual enough to tell on-call of, and what each would have told of the last days. */
import { flagKeySchema } from "../../api/fields.ts";
import { deletedSchema, listOf } from "../../api/list.ts";
import {
  changedWatchSchema,
  previewQuery,
  previewSchema,
  watchBody,
  watchKindSchema,
  watchSchema,
} from "../../api/watch.ts";
import { previewWatch } from "../../services/watches/preview.ts";
import { listWatches, putWatch, resetWatch } from "../../services/watches/watches.ts";
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

const tags = ["Watches"];
const params = environmentParams.extend({ kind: watchKindSchema });
const ofFlag = params.extend({ key: flagKeySchema });

const list = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/watches",
  tags,
  operationId: "listWatches",
  summary: "What each watch of the environment is set to, and what single flags have of their own",
  request: { params: environmentParams },
  responses: { 200: json(listOf(watchSchema), "By kind, the environment's first.") },
});

const put = changeRoute("admin", {
  method: "put",
  path: "/v1/environments/{env}/watches/{kind}",
  tags,
  operationId: "putWatch",
  summary: "Set a watch of all flags that have no setting of their own; what is left out stays",
  request: { params, ...body(watchBody) },
  responses: { 200: json(changedWatchSchema, "As it is set now.") },
});

const putOfFlag = changeRoute("admin", {
  method: "put",
  path: "/v1/environments/{env}/watches/{kind}/flags/{key}",
  tags,
  operationId: "putWatchOfFlag",
  summary: "Set a watch of one flag; what is left out stays as it is in force",
  request: { params: ofFlag, ...body(watchBody) },
  responses: { 200: json(changedWatchSchema, "As it is set now.") },
});

const reset = bareChangeRoute("admin", {
  method: "delete",
  path: "/v1/environments/{env}/watches/{kind}",
  tags,
  operationId: "resetWatch",
  summary: "Put a watch of the environment back to the default",
  request: { params },
  responses: { 200: json(deletedSchema, "The default counts again.") },
});

const resetOfFlag = bareChangeRoute("admin", {
  method: "delete",
  path: "/v1/environments/{env}/watches/{kind}/flags/{key}",
  tags,
  operationId: "resetWatchOfFlag",
  summary: "Take a flag's own setting back",
  request: { params: ofFlag },
  responses: { 200: json(deletedSchema, "The environment's counts again.") },
});

const preview = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/watches/{kind}/preview",
  tags,
  operationId: "previewWatch",
  summary: "How often a watch would have fired in the last days, and when",
  request: { params, query: previewQuery },
  responses: { 200: json(previewSchema, "Computed from the ledger as the watch itself decides.") },
});

export function watchRoutes(): Api {
  return createApi()
    .openapi(list, async (c) => c.json(await listWatches(c.get("ctx"), c.req.valid("param").env), 200))
    .openapi(put, async (c) => {
      const { env, kind } = c.req.valid("param");
      const { value, revision } = await putWatch(c.get("ctx"), env, { kind, flag: null, input: c.req.valid("json") });
      return c.json({ ...value, revision }, 200);
    })
    .openapi(putOfFlag, async (c) => {
      const { env, kind, key } = c.req.valid("param");
      const { value, revision } = await putWatch(c.get("ctx"), env, { kind, flag: key, input: c.req.valid("json") });
      return c.json({ ...value, revision }, 200);
    })
    .openapi(reset, async (c) => {
      const { env, kind } = c.req.valid("param");
      const { revision } = await resetWatch(c.get("ctx"), env, { kind, flag: null });
      return c.json({ revision }, 200);
    })
    .openapi(resetOfFlag, async (c) => {
      const { env, kind, key } = c.req.valid("param");
      const { revision } = await resetWatch(c.get("ctx"), env, { kind, flag: key });
      return c.json({ revision }, 200);
    })
    .openapi(preview, async (c) => {
      const { env, kind } = c.req.valid("param");
      return c.json(await previewWatch(c.get("ctx"), env, kind, c.req.valid("query")), 200);
    });
}
