/** The cord of a tag: all flags that carry it, in one change. */
import { flagsOfTag, killTag, restoreTag } from "../../services/flags/tags.ts";
import { type Api, body, changeRoute, createApi, environmentParams, futureDate, json, readRoute } from "../openapi.ts";
import { switchedTagSchema, taggedFlagsSchema } from "../../api/flag.ts";
import { killBody, restoreBody } from "../../api/switch.ts";
import { tagSchema } from "../../api/fields.ts";

const tags = ["Switches"];
const params = environmentParams.extend({ tag: tagSchema });

const get = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/tags/{tag}",
  tags,
  operationId: "getTag",
  summary: "The flags that carry a tag: what a kill of it would turn off",
  request: { params },
  responses: { 200: json(taggedFlagsSchema, "The flags, by key.") },
});

const kill = changeRoute("tighten", {
  method: "post",
  path: "/v1/environments/{env}/tags/{tag}/kill",
  tags,
  operationId: "killTag",
  summary: "Turn every flag of a tag off, now",
  request: { params, ...body(killBody) },
  responses: { 200: json(switchedTagSchema, "The flags as they are now.") },
});

const restore = changeRoute("operator", {
  method: "post",
  path: "/v1/environments/{env}/tags/{tag}/restore",
  tags,
  operationId: "restoreTag",
  summary: "Turn those flags of a tag on again that are off by themselves; the others are not touched",
  request: { params, ...body(restoreBody) },
  responses: { 200: json(switchedTagSchema, "The flags as they are now.") },
});

export function tagRoutes(): Api {
  return createApi()
    .openapi(get, async (c) => {
      const { env, tag } = c.req.valid("param");
      return c.json(await flagsOfTag(c.get("ctx"), env, tag), 200);
    })
    .openapi(kill, async (c) => {
      const { env, tag } = c.req.valid("param");
      const { reason, until } = c.req.valid("json");
      const input = { reason, until: futureDate(c, "until", until) };
      const { value, revision } = await killTag(c.get("ctx"), env, tag, input);
      return c.json({ ...value, revision }, 200);
    })
    .openapi(restore, async (c) => {
      const { env, tag } = c.req.valid("param");
      const { value, revision } = await restoreTag(c.get("ctx"), env, tag, c.req.valid("json"));
      return c.json({ ...value, revision }, 200);
    });
}
