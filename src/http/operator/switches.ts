/** The cord: kill, restore and downgrade one flag. Kill and downgrade never ask for a version. */
import { changed } from "./noun.ts";
import { downgradeFlag } from "../../services/flags/downgrade.ts";
import { killFlag, restoreFlag } from "../../services/flags/switches.ts";
import { type Api, body, changeRoute, createApi, environmentParams, futureDate, ifMatchOf, json } from "../openapi.ts";
import { switchedFlagSchema } from "../../api/flag.ts";
import { downgradeBody, killBody, restoreBody } from "../../api/switch.ts";
import { flagKeySchema } from "../../api/fields.ts";

const tags = ["Switches"];
const params = environmentParams.extend({ key: flagKeySchema });

const kill = changeRoute("tighten", {
  method: "post",
  path: "/v1/environments/{env}/flags/{key}/kill",
  tags,
  operationId: "killFlag",
  summary: "Turn a flag off everywhere, now",
  request: { params, ...body(killBody) },
  responses: { 200: json(switchedFlagSchema, "The flag as it is now.") },
});

const restore = changeRoute("operator", {
  method: "post",
  path: "/v1/environments/{env}/flags/{key}/restore",
  tags,
  operationId: "restoreFlag",
  summary: "Turn a flag on again; one that is on goes back to full quality",
  request: { params, ...body(restoreBody) },
  responses: { 200: json(switchedFlagSchema, "The flag as it is now.") },
});

const downgrade = changeRoute("tighten", {
  method: "post",
  path: "/v1/environments/{env}/flags/{key}/downgrade",
  tags,
  operationId: "downgradeFlag",
  summary: "Step a flag down its chain",
  request: { params, ...body(downgradeBody) },
  responses: { 200: json(switchedFlagSchema, "The flag as it is now.") },
});

export function switchRoutes(): Api {
  return createApi()
    .openapi(kill, async (c) => {
      const { env, key } = c.req.valid("param");
      const { reason, until } = c.req.valid("json");
      const made = await killFlag(c.get("ctx"), env, key, {
        reason,
        until: futureDate(c, "until", until),
      });
      return c.json({ ...changed(c, made), auditId: made.auditId }, 200);
    })
    .openapi(restore, async (c) => {
      const { env, key } = c.req.valid("param");
      const made = await restoreFlag(c.get("ctx"), env, key, c.req.valid("json"), ifMatchOf(c));
      return c.json({ ...changed(c, made), auditId: made.auditId }, 200);
    })
    .openapi(downgrade, async (c) => {
      const { env, key } = c.req.valid("param");
      const { until, ...wanted } = c.req.valid("json");
      const made = await downgradeFlag(c.get("ctx"), env, key, {
        ...wanted,
        until: futureDate(c, "until", until),
      });
      return c.json({ ...changed(c, made), auditId: made.auditId }, 200);
    });
}
