/** Defining flags: `/v1/environments/{env}/flags`. What turns them off and on is in `switches.ts`. */
import { createFlag, deleteFlag, getFlag, listFlags, updateFlag } from "../../services/flags/flags.ts";
import { listUnknownFlags } from "../../services/flags/unknown-flags.ts";
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
import { changedFlagSchema, deletedFlagSchema, flagSchema, unknownFlagsSchema } from "../../api/flag.ts";
import { listOf } from "../../api/list.ts";
import { createFlagBody, updateFlagBody } from "../../api/flag.ts";
import { flagKeySchema } from "../../api/fields.ts";

const tags = ["Flags"];
const params = environmentParams.extend({ key: flagKeySchema });

const list = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/flags",
  tags,
  operationId: "listFlags",
  summary: "All flags",
  request: { params: environmentParams },
  responses: { 200: json(listOf(flagSchema), "All flags by key.") },
});

const create = changeRoute("admin", {
  method: "post",
  path: "/v1/environments/{env}/flags",
  tags,
  operationId: "createFlag",
  summary: "Create a flag",
  request: { params: environmentParams, ...body(createFlagBody) },
  responses: { 201: json(changedFlagSchema, "The flag, switched on.") },
});

const get = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/flags/{key}",
  tags,
  operationId: "getFlag",
  summary: "One flag",
  request: { params },
  responses: { 200: json(flagSchema, "The flag.") },
});

const update = changeRoute("admin", {
  method: "patch",
  path: "/v1/environments/{env}/flags/{key}",
  tags,
  operationId: "updateFlag",
  summary: "Edit a flag; fields left out stay",
  request: { params, ...body(updateFlagBody) },
  responses: { 200: json(changedFlagSchema, "The flag as it is now.") },
});

const remove = bareChangeRoute("admin", {
  method: "delete",
  path: "/v1/environments/{env}/flags/{key}",
  tags,
  operationId: "deleteFlag",
  summary: "Delete a flag that is on",
  request: { params },
  responses: {
    200: json(
      deletedFlagSchema,
      "Deleted. `budgets` of the flag alone stay: they go on counting calls under its key, and have nothing to turn off.",
    ),
  },
});

const unknown = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/unknown-flags",
  tags,
  operationId: "listUnknownFlags",
  summary: "Keys that applications ask for and no flag has",
  request: { params: environmentParams },
  responses: { 200: json(unknownFlagsSchema, "Keys of the last day, asked for last first.") },
});

export function flagRoutes(): Api {
  return createApi()
    .openapi(unknown, async (c) => c.json(await listUnknownFlags(c.get("ctx"), c.req.valid("param").env), 200))
    .openapi(list, async (c) => c.json(await listFlags(c.get("ctx"), c.req.valid("param").env), 200))
    .openapi(create, async (c) => {
      const { env } = c.req.valid("param");
      const { value, revision } = await createFlag(c.get("ctx"), env, c.req.valid("json"));
      setEtag(c, value.version);
      c.header("Location", `/v1/environments/${env}/flags/${value.key}`);
      return c.json({ ...value, revision }, 201);
    })
    .openapi(get, async (c) => {
      const { env, key } = c.req.valid("param");
      const flag = await getFlag(c.get("ctx"), env, key);
      setEtag(c, flag.version);
      return c.json(flag, 200);
    })
    .openapi(update, async (c) => {
      const { env, key } = c.req.valid("param");
      const { value, revision } = await updateFlag(c.get("ctx"), env, key, c.req.valid("json"), ifMatchOf(c));
      setEtag(c, value.version);
      return c.json({ ...value, revision }, 200);
    })
    .openapi(remove, async (c) => {
      const { env, key } = c.req.valid("param");
      const { value, revision } = await deleteFlag(c.get("ctx"), env, key, ifMatchOf(c));
      return c.json({ budgets: value, revision }, 200);
    });
}
