/**
 * `POST /v1/triggers/{id}`: an alert of another system. By a `kill` token, or signed as its source signs. Whoever it is, it
 * only ever tightens. Answered with 200 whatever came of it: senders give up on a trigger that refuses (PagerDuty for a day
 * after three refusals), and try again after a 503.
 */
import type { MiddlewareHandler } from "hono";
import { z } from "@hono/zod-openapi";
import { requireScope } from "../../authorize.ts";
import type { Deps } from "../../deps.ts";
import { idSchema } from "../../api/fields.ts";
import { deliveredSchema } from "../../api/trigger.ts";
import { FLAG_LABEL, readDelivery } from "../../api/trigger-payload.ts";
import { seesEnvironment } from "../../domain/actor.ts";
import { triggerActorName } from "../../domain/trigger.ts";
import { AppError } from "../../errors.ts";
import { receive } from "../../services/triggers/receive.ts";
import { findTrigger, type TriggerRow } from "../../services/triggers/rows.ts";
import type { AppContext, AppEnv } from "../app-env.ts";
import { bearerActor, refuseToken } from "../middleware/auth.ts";
import { bodyLimit } from "../middleware/body-limit.ts";
import { jsonBody } from "../middleware/json-body.ts";
import { type Api, createApi, json, problem } from "../openapi.ts";
import { fromIssues } from "../problem.ts";
import { isSigned } from "./trigger-signature.ts";

const PATH = "/v1/triggers/:id";
/** Alertmanager sends a group as one body, and tries a body that is too large never again. */
export const MAX_DELIVERY_BYTES = 4 * 1024 * 1024;
const TOO_LARGE = `A delivery may have at most ${String(MAX_DELIVERY_BYTES / 1024 / 1024)} MiB.`;

export function deliveryRoutes(deps: Deps): Api {
  const api = createApi();
  document(api);
  const limit: MiddlewareHandler<AppEnv> = bodyLimit(MAX_DELIVERY_BYTES, TOO_LARGE);
  api.post(PATH, limit, async (c) => {
    const trigger = await authenticated(c, deps);
    const parsed = readDelivery(trigger.source, await c.req.json());
    if (!parsed.success) throw fromIssues(parsed.error.issues);
    const actor = {
      kind: "kill" as const,
      id: trigger.id,
      name: triggerActorName(trigger.name),
      role: null,
      environmentIds: [trigger.environmentId],
    };
    const results = await receive({ actor, requestId: c.get("requestId"), deps }, trigger, parsed.data);
    return c.json({ results }, 200, { "Cache-Control": "no-store" });
  });
  return api;
}

const NOTHING = () => Promise.resolve();

/**
 * The trigger, when whoever sends may pull it, and its body is JSON. UNAUTHENTICATED, FORBIDDEN, INVALID or NOT_FOUND as
 * everywhere.
 */
async function authenticated(c: AppContext, deps: Deps): Promise<TriggerRow> {
  const id = idSchema.safeParse(c.req.param("id")).data ?? "";
  if (c.req.header("authorization") === undefined) {
    const trigger = await findTrigger(deps, id);
    if (trigger === null || !isSigned(trigger, (name) => c.req.header(name), await c.req.text()))
      throw refuseToken(c, deps, "Send a kill token as Authorization: Bearer <token>, or sign the body.");
    await jsonBody(c, NOTHING);
    return trigger;
  }
  const actor = bearerActor(c, deps);
  requireScope(actor, "tighten");
  await jsonBody(c, NOTHING);
  const trigger = await findTrigger(deps, id);
  if (trigger === null || !seesEnvironment(actor, trigger.environmentId))
    throw new AppError("NOT_FOUND", "There is no such trigger.");
  return trigger;
}

function document(api: Api): void {
  api.openAPIRegistry.registerPath({
    method: "post",
    path: "/v1/triggers/{id}",
    tags: ["Triggers"],
    security: [{ token: [] }],
    operationId: "pullTrigger",
    summary: "An alert of another system: firing pulls the cord once, resolved is noted and lifts nothing",
    description: `Needs a \`kill\` token of the environment, an \`op\` token with role operator or more, or the source's signature. The body is that of Alertmanager (webhook version 4), Grafana, PagerDuty (webhooks version 3), Datadog (by the template of \`docs/triggers.md\`), or \`{id, status: "firing" | "resolved", title?, startedAt?, url?, flag?}\`. An alert with the label \`${FLAG_LABEL}\` is about that flag alone.`,
    "x-andon-needs": "tighten",
    request: {
      params: z.object({ id: idSchema }),
      body: { content: { "application/json": { schema: z.looseObject({}) } } },
    },
    responses: {
      200: json(deliveredSchema, "What came of each alert."),
      401: problem("No valid token, and not signed."),
      403: problem("The kind or role of the token does not suffice."),
      404: problem("No such trigger, or not to be seen with this token."),
      413: problem("The body is too large."),
      415: problem("The body is not JSON."),
      422: problem("Not what the source sends, with the path of each fault."),
      503: problem("The database is away: send it again."),
    },
  });
}
