/** Channels: where alerts go, and the test of each. The answer to a new webhook is the only place its secret ever is. */
import { testChannel } from "../../services/alerts/channel-test.ts";
import { createChannel, deleteChannel, listChannels, updateChannel } from "../../services/alerts/channels.ts";
import {
  changedChannelSchema,
  channelSchema,
  channelTestSchema,
  createChannelBody,
  updateChannelBody,
} from "../../api/channel.ts";
import { idSchema } from "../../api/fields.ts";
import { changed, created, routesOf } from "./noun.ts";
import { type Api, bareChangeRoute, createApi, environmentParams, ifMatchOf, json } from "../openapi.ts";
import { deletedSchema } from "../../api/list.ts";

const tags = ["Channels"];
const params = environmentParams.extend({ id: idSchema });
const routes = routesOf("Channels", "channels", "id", params);

const list = routes.list(
  { operationId: "listChannels", summary: "The channels that get alerts, with masked URLs" },
  channelSchema,
  "Channels by name.",
);

const create = routes.create(
  { operationId: "createChannel", summary: "Add a Slack incoming webhook, PagerDuty or a signed webhook" },
  createChannelBody,
  changedChannelSchema,
  "The new channel; a webhook's signing secret is shown this once.",
);

const update = routes.update(
  {
    operationId: "updateChannel",
    summary: "Change a channel's name, URL or routing key, or make a new signing secret",
  },
  updateChannelBody,
  changedChannelSchema,
  "The channel as it is now.",
);

const remove = routes.remove(
  { operationId: "deleteChannel", summary: "Delete a channel, and with it the alerts that wait for it" },
  "Deleted.",
  deletedSchema,
);

const test = bareChangeRoute("operator", {
  method: "post",
  path: "/v1/environments/{env}/channels/{id}/test",
  tags,
  operationId: "testChannel",
  summary: "Send a test alert now and say what came of it",
  request: { params },
  responses: { 200: json(channelTestSchema, "Whether it was delivered; if not, why.") },
});

export function channelRoutes(): Api {
  return createApi()
    .openapi(list, async (c) => c.json(await listChannels(c.get("ctx"), c.req.valid("param").env), 200))
    .openapi(create, async (c) => {
      const { env } = c.req.valid("param");
      const made = await createChannel(c.get("ctx"), env, c.req.valid("json"));
      return c.json(created(c, `${env}/channels/${made.value.id}`, made), 201);
    })
    .openapi(update, async (c) => {
      const { env, id } = c.req.valid("param");
      return c.json(changed(c, await updateChannel(c.get("ctx"), env, id, c.req.valid("json"), ifMatchOf(c))), 200);
    })
    .openapi(remove, async (c) => {
      const { env, id } = c.req.valid("param");
      const { revision } = await deleteChannel(c.get("ctx"), env, id, ifMatchOf(c));
      return c.json({ revision }, 200);
    })
    .openapi(test, async (c) => {
      const { env, id } = c.req.valid("param");
      return c.json(await testChannel(c.get("ctx"), env, id), 200);
    });
}
