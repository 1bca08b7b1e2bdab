/** A token: shown once, when it is made. */
import { z } from "@hono/zod-openapi";
import { OFFERED_TOKEN_KINDS, ROLES, TOKEN_KINDS } from "../domain/actor.ts";
import { MAX_NAME_CHARS } from "../domain/limits.ts";
import { environmentKeySchema } from "./environment.ts";
import { requiredText, time, untilSchema } from "./fields.ts";
import { optionalField } from "./optional-field.ts";

const MAX_ENVIRONMENTS_OF_TOKEN = 50;

export const tokenBody = z
  .strictObject({
    kind: z.enum(OFFERED_TOKEN_KINDS, {
      error: ({ input }) =>
        input === "web"
          ? "is not offered yet: nothing serves tokens for browsers"
          : `must be one of ${OFFERED_TOKEN_KINDS.join(", ")}`,
    }),
    name: requiredText(MAX_NAME_CHARS, "must say what or whom the token is for"),
    role: optionalField(z.enum(ROLES, `must be one of ${ROLES.join(", ")}`)),
    environments: optionalField(
      z
        .array(environmentKeySchema, "must be a list of environment keys, or null for all")
        .min(1, "must name at least one environment")
        .max(MAX_ENVIRONMENTS_OF_TOKEN, `must be at most ${String(MAX_ENVIRONMENTS_OF_TOKEN)}`)
        .nullable(),
    ).openapi({ description: "Keys of its environments; null or left out: all (op tokens only)." }),
    expiresAt: optionalField(untilSchema).openapi({ description: "Left out: until it is revoked." }),
  })
  .superRefine((body, check) => {
    const fault = (path: string, message: string) => {
      check.addIssue({ code: "custom", path: [path], message, input: body });
    };
    if (body.kind === "op" && body.role === undefined) fault("role", `an op token needs one of ${ROLES.join(", ")}`);
    if (body.kind !== "op" && body.role !== undefined) fault("role", "only op tokens have a role");
    if (body.kind !== "op" && body.environments?.length !== 1) {
      fault("environments", `a token of kind "${body.kind}" is for exactly one environment`);
    }
  })
  .openapi("CreateToken");

export const tokenSchema = z
  .object({
    id: z.string(),
    kind: z.enum(TOKEN_KINDS),
    name: z.string(),
    role: z.enum(ROLES).nullable(),
    /** Keys of the environments it is good for; null: all. */
    environments: z.array(z.string()).nullable(),
    createdBy: z.string(),
    createdAt: time,
    expiresAt: time.nullable(),
    revokedAt: time.nullable(),
    /** True for the token that asked. */
    current: z.boolean(),
  })
  .openapi("Token");
export type TokenResource = z.infer<typeof tokenSchema>;

/** Who asks, and what they may: `environments` null for all. */
export const callerSchema = tokenSchema
  .pick({ kind: true, name: true, role: true, environments: true })
  .openapi("Caller");
export type Caller = z.infer<typeof callerSchema>;

export const createdTokenSchema = tokenSchema
  .extend({ secret: z.string().openapi({ description: "The token itself, shown this once." }) })
  .openapi("CreatedToken");
