/** The master switch of an environment. */
import { z } from "@hono/zod-openapi";
import { auditId, reasonSchema, revision, switchState, time } from "./fields.ts";

export const masterSchema = z
  .object({
    state: switchState,
    reason: z.string().nullable(),
    by: z.string().nullable(),
    since: time,
    until: time.nullable(),
  })
  .openapi("Master");
export type MasterResource = z.infer<typeof masterSchema>;

export const masterWithRevisionSchema = masterSchema.extend({ revision }).openapi("MasterWithRevision");
export const switchedMasterSchema = masterSchema.extend({ revision, auditId }).openapi("SwitchedMaster");

export const restoreMasterBody = z.strictObject({ reason: reasonSchema }).openapi("RestoreMaster");
