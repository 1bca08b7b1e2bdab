/** The master switch of an environment: all flags at once. */
import { getMaster, killMaster, restoreMaster } from "../../services/flags/master.ts";
import { type Api, body, changeRoute, createApi, environmentParams, futureDate, json, readRoute } from "../openapi.ts";
import { masterWithRevisionSchema, restoreMasterBody, switchedMasterSchema } from "../../api/master.ts";
import { killBody } from "../../api/switch.ts";

const tags = ["Master switch"];

const get = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/master",
  tags,
  operationId: "getMaster",
  summary: "The master switch",
  request: { params: environmentParams },
  responses: { 200: json(masterWithRevisionSchema, "The master switch.") },
});

const kill = changeRoute("tighten", {
  method: "post",
  path: "/v1/environments/{env}/kill",
  tags,
  operationId: "killMaster",
  summary: "Turn every flag of the environment off, now",
  request: { params: environmentParams, ...body(killBody) },
  responses: { 200: json(switchedMasterSchema, "The master switch as it is now.") },
});

const restore = changeRoute("operator", {
  method: "post",
  path: "/v1/environments/{env}/restore",
  tags,
  operationId: "restoreMaster",
  summary: "Lift the master switch; flags that are off stay off",
  request: { params: environmentParams, ...body(restoreMasterBody) },
  responses: { 200: json(switchedMasterSchema, "The master switch as it is now.") },
});

export function masterRoutes(): Api {
  return createApi()
    .openapi(get, async (c) => c.json(await getMaster(c.get("ctx"), c.req.valid("param").env), 200))
    .openapi(kill, async (c) => {
      const { reason, until } = c.req.valid("json");
      const { value, revision, auditId } = await killMaster(c.get("ctx"), c.req.valid("param").env, {
        reason,
        until: futureDate(c, "until", until),
      });
      return c.json({ ...value, revision, auditId }, 200);
    })
    .openapi(restore, async (c) => {
      const { value, revision, auditId } = await restoreMaster(
        c.get("ctx"),
        c.req.valid("param").env,
        c.req.valid("json"),
      );
      return c.json({ ...value, revision, auditId }, 200);
    });
}
