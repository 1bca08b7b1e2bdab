/** Who did what, when and why; and the undo of exactly one such change. */
import { pageOf } from "../../api/list.ts";
import {
  auditIdSchema,
  auditQuery,
  auditSchema,
  auditVerifiedSchema,
  lateReasonBody,
  revertAllBody,
  revertBody,
  revertedAllSchema,
  revertedSchema,
} from "../../api/audit.ts";
import { AppError } from "../../errors.ts";
import { listAudit } from "../../services/shared/audit.ts";
import { verifyAudit, verifyInstallation } from "../../services/shared/audit-verify.ts";
import { revert, revertAll, setReason } from "../../services/flags/undo.ts";
import { type Api, body, changeRoute, createApi, environmentParams, json, readRoute } from "../openapi.ts";

const tags = ["Audit"];

const list = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/audit",
  tags,
  operationId: "listAudit",
  summary: "All changes, newest first; of one target with kind and key",
  request: { params: environmentParams, query: auditQuery },
  responses: {
    200: json(pageOf(auditSchema), "One page; nextCursor leads to older ones."),
  },
});

const verify = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/audit/verify",
  tags,
  operationId: "verifyAudit",
  summary: "Whether the audit is as it was written, and the first row that is not",
  request: { params: environmentParams },
  responses: { 200: json(auditVerifiedSchema, "What was found.") },
});

const verifyGlobal = readRoute("admin", {
  method: "get",
  path: "/v1/audit/verify",
  tags,
  operationId: "verifyInstallationAudit",
  summary: "The same of what belongs to no environment; for admins of all environments",
  responses: { 200: json(auditVerifiedSchema, "What was found.") },
});

const undo = changeRoute("operator", {
  method: "post",
  path: "/v1/environments/{env}/audit/{id}/revert",
  tags,
  operationId: "revertChange",
  summary: "Undo exactly this change; 409 when something else changed it since. Definitions need role admin",
  request: { params: environmentParams.extend({ id: auditIdSchema }), ...body(revertBody) },
  responses: { 200: json(revertedSchema, "What was changed back.") },
});

const undoAll = changeRoute("operator", {
  method: "post",
  path: "/v1/environments/{env}/audit/revert",
  tags,
  operationId: "revertChanges",
  summary:
    "Undo exactly these changes in one, such as those of a kill by tag; 409, and none is, when one was changed since",
  request: { params: environmentParams, ...body(revertAllBody) },
  responses: { 200: json(revertedAllSchema, "What was changed back.") },
});

const reason = changeRoute("operator", {
  method: "post",
  path: "/v1/environments/{env}/audit/{id}/reason",
  tags,
  operationId: "giveReason",
  summary: "Say why, after a kill, a downgrade or a block; 409 when it is not in force any more",
  request: { params: environmentParams.extend({ id: auditIdSchema }), ...body(lateReasonBody) },
  responses: { 200: json(revertedSchema, "What the reason was noted for.") },
});

export function auditRoutes(): Api {
  return createApi()
    .openapi(list, async (c) => {
      const { kind, key, ...page } = c.req.valid("query");
      return c.json(await listAudit(c.get("ctx"), c.req.valid("param").env, { ...page, ...targetOf(kind, key) }), 200);
    })
    .openapi(verify, async (c) => c.json(await verifyAudit(c.get("ctx"), c.req.valid("param").env), 200))
    .openapi(verifyGlobal, async (c) => c.json(await verifyInstallation(c.get("ctx")), 200))
    .openapi(undo, async (c) => {
      const { env, id } = c.req.valid("param");
      const { value, revision } = await revert(c.get("ctx"), env, Number(id), c.req.valid("json").reason ?? null);
      return c.json({ target: value.target, revision }, 200);
    })
    .openapi(undoAll, async (c) => {
      const { ids, reason: why } = c.req.valid("json");
      const { value, revision } = await revertAll(c.get("ctx"), c.req.valid("param").env, ids, why ?? null);
      return c.json({ ...value, revision }, 200);
    })
    .openapi(reason, async (c) => {
      const { env, id } = c.req.valid("param");
      const { value, revision } = await setReason(c.get("ctx"), env, Number(id), c.req.valid("json").reason);
      return c.json({ target: value.target, revision }, 200);
    });
}

function targetOf(kind: string | undefined, key: string | undefined): { target?: { kind: string; key: string } } {
  if (kind === undefined && key === undefined) return {};
  if (kind !== undefined && key !== undefined) return { target: { kind, key } };
  const path = kind === undefined ? "kind" : "key";
  const message = "give kind and key together";
  throw new AppError("INVALID", `${path}: ${message}`, { faults: [{ path, message }] });
}
