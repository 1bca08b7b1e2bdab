/** Fields that several nouns share. Messages are written to follow the path of the fault: "rollout: must be 0 to 100". */
import { z } from "@hono/zod-openapi";
import { FLAG_KEY_PATTERN, MAX_REASON_CHARS, MODEL_PATTERN } from "../domain/limits.ts";
import { optionalField } from "./optional-field.ts";

const MAX_ID_CHARS = 64;

export const text = (maxChars: number) =>
  z
    .string("must be a text")
    .trim()
    .max(maxChars, `must be at most ${String(maxChars)} characters`);

export const requiredText = (maxChars: number, what: string) => text(maxChars).min(1, what);

export const idSchema = z
  .string()
  .max(MAX_ID_CHARS)
  .regex(/^[\w-]+$/);

export const flagKeySchema = z
  .string("must be a text")
  .regex(FLAG_KEY_PATTERN, "must be 1 to 64 lower-case letters, digits, - or _, and start with a letter or digit")
  .openapi({ example: "support-chat" });
export const tagSchema = z
  .string("must be a text")
  .regex(FLAG_KEY_PATTERN, "must be 1 to 64 lower-case letters, digits, - or _, and start with a letter or digit")
  .openapi({ example: "team-support" });
export const modelSchema = z
  .string("must be a text")
  .regex(MODEL_PATTERN, "must be a model id such as claude-sonnet-5-5")
  .openapi({ example: "claude-opus-5-5" });
export const newModelSchema = optionalField(z.boolean("must be true or false")).openapi({
  description:
    "True: take a model name that is one slip from a known one as it is. Left out, it is refused with the name that may have been meant.",
});

/** Why: the audit and the next on-call read it. */
export const reasonSchema = requiredText(MAX_REASON_CHARS, "must say why, in 1 to 500 characters").openapi({
  example: "Answers leak internal prices",
});
/** A moment with its offset; whether it is in the future is asked of the clock later. */
export const untilSchema = z.iso
  .datetime({ offset: true, error: "must be a time with its zone, such as 2030-01-31T06:00:00Z" })
  .openapi({
    example: "2030-01-31T06:00:00Z",
    description: "When it ends by itself. Left out: until someone restores it.",
  });

/** Answered: ISO 8601 in UTC. */
export const time = z.string().openapi({ format: "date-time" });
export const revision = z.string().openapi({ example: "k3f9.42", description: "The environment's revision." });
export const switchState = z.enum(["on", "off"]);
export const budgetName = z.object({ id: z.string(), name: z.string() });
export const warnings = z.array(z.string()).openapi({ description: "What is taken, and may not be meant." });
export const auditId = z
  .number()
  .nullable()
  .openapi({ description: "Names this change for a revert; null when nothing changed." });
export const nanoUsd = z.number().openapi({ description: "Whole nano-USD (1e-9 USD)." });

/** A sum that may be larger than the integers of JSON readers. */
export const totalSchema = (description: string) =>
  z
    .union([z.number(), z.string()])
    .openapi({ description: `${description} As text where it is above 2^53, so that no digit is lost.` });
