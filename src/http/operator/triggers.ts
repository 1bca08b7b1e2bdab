/** Triggers: which alerts of other systems pull the cord here. Deliveries have a route of their own. */
import { idSchema } from "../../api/fields.ts";
import { deletedSchema } from "../../api/list.ts";
import { changedTriggerSchema, createTriggerBody, triggerSchema, updateTriggerBody } from "../../api/trigger.ts";
import {
  createTrigger,
  deleteTrigger,
  getTrigger,
  listTriggers,
  updateTrigger,
} from "../../services/triggers/triggers.ts";
import { changed, created, routesOf, tagged } from "./noun.ts";
import { type Api, createApi, environmentParams, ifMatchOf } from "../openapi.ts";

const params = environmentParams.extend({ id: idSchema });
const routes = routesOf("Triggers", "triggers", "id", params);

const list = routes.list(
  { operationId: "listTriggers", summary: "The triggers, and what came of the last delivery of each" },
  triggerSchema,
  "Triggers by name.",
);
const get = routes.get({ operationId: "getTrigger", summary: "One trigger" }, triggerSchema, "The trigger.");
const create = routes.create(
  { operationId: "createTrigger", summary: "Let alerts of another system turn flags off or step them down" },
  createTriggerBody,
  changedTriggerSchema,
  "The new trigger, with the address that its sender posts to.",
);
const update = routes.update(
  { operationId: "updateTrigger", summary: "Change a trigger, or pause it" },
  updateTriggerBody,
  changedTriggerSchema,
  "The trigger as it is now.",
);
const remove = routes.remove(
  { operationId: "deleteTrigger", summary: "Delete a trigger; what it has switched stays" },
  "Deleted.",
  deletedSchema,
);

export function triggerRoutes(): Api {
  return createApi()
    .openapi(list, async (c) => c.json(await listTriggers(c.get("ctx"), c.req.valid("param").env), 200))
    .openapi(create, async (c) => {
      const { env } = c.req.valid("param");
      const made = await createTrigger(c.get("ctx"), env, c.req.valid("json"));
      return c.json(created(c, `${env}/triggers/${made.value.id}`, made), 201);
    })
    .openapi(get, async (c) => {
      const { env, id } = c.req.valid("param");
      return c.json(tagged(c, await getTrigger(c.get("ctx"), env, id)), 200);
    })
    .openapi(update, async (c) => {
      const { env, id } = c.req.valid("param");
      return c.json(changed(c, await updateTrigger(c.get("ctx"), env, id, c.req.valid("json"), ifMatchOf(c))), 200);
    })
    .openapi(remove, async (c) => {
      const { env, id } = c.req.valid("param");
      const { revision } = await deleteTrigger(c.get("ctx"), env, id, ifMatchOf(c));
      return c.json({ revision }, 200);
    });
}
