/** Defining flags: `/v1/environments/{env}/flags`. What turns them off and on is in `switches.ts`. */
import { createFlag, deleteFlag, getFlag, listFlags, updateFlag } from "../../services/flags/flags.ts";
import { listUnknownFlags } from "../../services/flags/unknown-flags.ts";
import { changed, created, routesOf, tagged } from "./noun.ts";
import { type Api, createApi, environmentParams, ifMatchOf, json, readRoute } from "../openapi.ts";
import {
  changedFlagSchema,
  createFlagBody,
  deletedFlagSchema,
  flagSchema,
  unknownFlagsSchema,
  updateFlagBody,
} from "../../api/flag.ts";
import { flagKeySchema } from "../../api/fields.ts";

const tags = ["Flags"];
const params = environmentParams.extend({ key: flagKeySchema });
const routes = routesOf("Flags", "flags", "key", params);

const list = routes.list({ operationId: "listFlags", summary: "All flags" }, flagSchema, "All flags by key.");

const create = routes.create(
  { operationId: "createFlag", summary: "Create a flag" },
  createFlagBody,
  changedFlagSchema,
  "The flag, switched on.",
);

const get = routes.get({ operationId: "getFlag", summary: "One flag" }, flagSchema, "The flag.");

const update = routes.update(
  { operationId: "updateFlag", summary: "Edit a flag; fields left out stay" },
  updateFlagBody,
  changedFlagSchema,
  "The flag as it is now.",
);

const remove = routes.remove(
  { operationId: "deleteFlag", summary: "Delete a flag that is on" },
  "Deleted. `budgets` of the flag alone stay: they go on counting calls under its key, and have nothing to turn off.",
  deletedFlagSchema,
);

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
      const made = await createFlag(c.get("ctx"), env, c.req.valid("json"));
      return c.json(created(c, `${env}/flags/${made.value.key}`, made), 201);
    })
    .openapi(get, async (c) => {
      const { env, key } = c.req.valid("param");
      return c.json(tagged(c, await getFlag(c.get("ctx"), env, key)), 200);
    })
    .openapi(update, async (c) => {
      const { env, key } = c.req.valid("param");
      return c.json(changed(c, await updateFlag(c.get("ctx"), env, key, c.req.valid("json"), ifMatchOf(c))), 200);
    })
    .openapi(remove, async (c) => {
      const { env, key } = c.req.valid("param");
      const { value, revision } = await deleteFlag(c.get("ctx"), env, key, ifMatchOf(c));
      return c.json({ budgets: value, revision }, 200);
    });
}
