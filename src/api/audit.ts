/** An entry of the audit, and what takes it back or adds to it. */
import { z } from "@hono/zod-openapi";
import { TOKEN_KINDS } from "../domain/actor.ts";
import { EVERY_TARGET_KIND } from "../domain/audit.ts";
import { MAX_FLAGS_PER_ENVIRONMENT } from "../domain/limits.ts";
import { reasonSchema, revision, time } from "./fields.ts";
import { pageQuery } from "./list.ts";
import { optionalField } from "./optional-field.ts";

const MAX_TARGET_CHARS = 200;

export const auditIdSchema = z.string().regex(/^[1-9]\d{0,14}$/);

export const auditQuery = pageQuery.extend({
  kind: optionalField(z.enum(EVERY_TARGET_KIND)),
  key: optionalField(
    z
      .string()
      .max(MAX_TARGET_CHARS, "is too long")
      .regex(/^\P{Cc}*$/u, "has a control character"),
  ),
});
export const lateReasonBody = z.strictObject({ reason: reasonSchema }).openapi("LateReason");
export const revertBody = z.strictObject({ reason: optionalField(reasonSchema) }).openapi("Revert");

export const revertAllBody = z
  .strictObject({
    ids: z
      .array(z.int("must be a whole number").min(1, "must be an audit id"), "must be a list of audit ids")
      .min(1, "must name a change")
      .max(MAX_FLAGS_PER_ENVIRONMENT, `must be at most ${String(MAX_FLAGS_PER_ENVIRONMENT)} changes`),
    reason: optionalField(reasonSchema),
  })
  .openapi("RevertAll");

const target = z.object({ kind: z.string(), key: z.string() });

export const auditSchema = z
  .object({
    id: z.number(),
    environment: z.string().nullable(),
    revision: z.number().nullable(),
    at: time,
    actor: z.object({ kind: z.enum([...TOKEN_KINDS, "system"]), id: z.string(), name: z.string() }),
    action: z.string(),
    target,
    reason: z.string().nullable(),
    before: z.unknown(),
    after: z.unknown(),
    revertible: z.boolean(),
    reverts: z.number().nullable().openapi({ description: "The entry whose change this one took back; null: none." }),
  })
  .openapi("AuditEntry");
export type AuditResource = z.infer<typeof auditSchema>;

export const revertedSchema = z.object({ target, revision }).openapi("Reverted");
export const revertedAllSchema = z.object({ targets: z.array(target), revision }).openapi("RevertedAll");

const faultSchema = z.object({
  id: z.number().nullable().openapi({ description: "The first row that is not as it was; null: at the end." }),
  seq: z.number().nullable().openapi({ description: "The place in the chain; of `missing`, of the row that is gone." }),
  kind: z.enum(["altered", "missing", "moved", "unsealed", "end"]),
  at: time.nullable(),
  action: z.string().nullable(),
  target: target.nullable(),
});
export type AuditFault = z.infer<typeof faultSchema>;

const segmentSchema = z.object({
  key: z.string().nullable().openapi({ description: "Tells keys apart; null: from before rows were sealed." }),
  state: z.enum(["sealed", "unsealed", "other-key"]).openapi({
    description: "`unsealed` and `other-key` cannot be checked: this server has no key of theirs.",
  }),
  fromId: z.number(),
  toId: z.number(),
  rows: z.number(),
});
export type AuditSegment = z.infer<typeof segmentSchema>;

export const auditVerifiedSchema = z
  .object({
    result: z.enum(["intact", "partly", "broken"]).openapi({
      description: "`partly`: no fault was found, but some rows were sealed with a key that this server has not got.",
    }),
    rows: z.number().openapi({ description: "How many are good, up to the fault." }),
    fault: faultSchema.nullable(),
    segments: z.array(segmentSchema),
    end: z.object({ seq: z.number(), seal: z.string() }).openapi({
      description: "Keep it elsewhere to see later that nothing before it was rewritten.",
    }),
  })
  .openapi("AuditVerified");
export type AuditVerified = z.infer<typeof auditVerifiedSchema>;
