/** An environment: everything else belongs to exactly one. */
import { z } from "@hono/zod-openapi";
import { ENVIRONMENT_KEY_PATTERN, MAX_NAME_CHARS } from "../domain/limits.ts";
import { requiredText, revision, time } from "./fields.ts";
import { masterSchema } from "./master.ts";

export const environmentKeySchema = z
  .string("must be a text")
  .regex(ENVIRONMENT_KEY_PATTERN, "must be 1 to 32 lower-case letters, digits or -, and start with a letter or digit")
  .openapi({ example: "production" });

export const environmentBody = z
  .strictObject({ key: environmentKeySchema, name: requiredText(MAX_NAME_CHARS, "must not be empty") })
  .openapi("CreateEnvironment");
export type NewEnvironment = z.infer<typeof environmentBody>;

export const environmentSchema = z
  .object({ key: z.string(), name: z.string(), revision, master: masterSchema, createdAt: time })
  .openapi("Environment");
export type EnvironmentResource = z.infer<typeof environmentSchema>;
