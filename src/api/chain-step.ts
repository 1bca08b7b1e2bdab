/**
 * One step of a chain: a model and the patch of the request body that it needs. A patch may not touch what makes the
 * request the caller's own (`messages`) or what the guard decides (`model`, `stream`).
 */
import { z } from "@hono/zod-openapi";
import type { ChainStep } from "../../sdk-client/src/wire/protocol.ts";
import { modelNames } from "../../sdk-client/src/evaluate/model-names.ts";
import { MODEL_PATTERN } from "../domain/limits.ts";
import { optionalField } from "./optional-field.ts";

const MAX_PATCH_FIELDS = 32;
const MAX_PATCH_CHARS = 8_192;
const MAX_TOKENS_LIMIT = 10_000_000;
const FIELD_PATTERN = /^[a-z][a-z0-9_]{0,63}$/;
const MAY_NOT_SET = new Set(["model", "messages", "stream"]);
/** Names that every object has already. */
const INHERITED = new Set(["constructor", "prototype"]);
const MAY_NOT_UNSET = new Set(["model", "messages", "max_tokens"]);

const patchFields = z.record(z.string(), z.json(), "must be an object of body fields").superRefine((patch, check) => {
  const fields = Object.keys(patch);
  const fault = (path: string[], message: string) => {
    check.addIssue({ code: "custom", path, message, input: patch });
  };
  if (fields.length > MAX_PATCH_FIELDS) fault([], `must be at most ${String(MAX_PATCH_FIELDS)} fields`);
  for (const field of fields) {
    if (!FIELD_PATTERN.test(field) || INHERITED.has(field)) fault([field], "is not a field name of the Messages API");
    else if (MAY_NOT_SET.has(field)) fault([field], "may not be set by a step: it belongs to the request itself");
  }
  if (JSON.stringify(patch).length > MAX_PATCH_CHARS)
    fault([], `must be at most ${String(MAX_PATCH_CHARS)} characters of JSON`);
  const maxTokens = patch["max_tokens"];
  if (maxTokens !== undefined && !isTokenCount(maxTokens)) fault(["max_tokens"], "must be a whole number of 1 or more");
});

/** Looked at before the fields are read, because reading leaves `__proto__` out without a word. */
const patchSchema = z
  .unknown()
  .superRefine((patch, check) => {
    for (const path of prototypesIn(patch)) {
      check.addIssue({ code: "custom", path, message: "is not a name that a request can have", input: patch });
    }
  })
  .pipe(patchFields);

/** The paths of all fields called `__proto__`, at any depth. */
function prototypesIn(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    key === "__proto__" ? [[...path, key]] : prototypesIn(inner, [...path, key]),
  );
}

const unsetSchema = z
  .array(
    z.string("must be a field name").regex(FIELD_PATTERN, "is not a field name of the Messages API"),
    "must be a list of field names",
  )
  .max(MAX_PATCH_FIELDS, `must be at most ${String(MAX_PATCH_FIELDS)} fields`)
  .superRefine((fields, check) => {
    fields.forEach((field, index) => {
      if (MAY_NOT_UNSET.has(field)) {
        check.addIssue({
          code: "custom",
          path: [index],
          message: `"${field}" may not be removed: no request works without it`,
          input: fields,
        });
      }
    });
  });

/** As the wire has it, which is read-only. */
export const chainStepSchema: z.ZodType<ChainStep> = z
  .strictObject({
    model: z
      .string("must be a model id")
      .regex(MODEL_PATTERN, "must be a model id such as claude-sonnet-5-5")
      .openapi({ example: "claude-opus-5-5" }),
    set: optionalField(patchSchema).openapi({
      type: "object",
      additionalProperties: true,
      description: "Body fields to set for this model, replaced whole.",
    }),
    unset: optionalField(unsetSchema).openapi({ description: "Body fields to remove for this model." }),
    maxTokens: optionalField(
      z
        .int("must be a whole number")
        .min(1, "must be 1 or more")
        .max(MAX_TOKENS_LIMIT, `must be at most ${String(MAX_TOKENS_LIMIT)}`),
    ).openapi({ description: "Upper bound for the body's max_tokens." }),
  })
  .superRefine((step, check) => {
    for (const [index, field] of (step.unset ?? []).entries()) {
      if (step.set !== undefined && Object.hasOwn(step.set, field)) {
        check.addIssue({
          code: "custom",
          path: ["unset", index],
          message: `"${field}" is set and removed by the same step`,
          input: step,
        });
      }
    }
  })
  .openapi("ChainStep");

/** A level means one model: a chain may name each only once. */
export function requireDistinctModels(steps: readonly { model: string }[], check: z.RefinementCtx): void {
  const nameOf = modelNames();
  const seen = new Set<string>();
  steps.forEach(({ model }, index) => {
    // Another spelling of a model is the same model.
    const name = nameOf(model);
    if (seen.has(name)) {
      check.addIssue({
        code: "custom",
        path: [index, "model"],
        message: `"${model}" stands in the chain already`,
        input: steps,
      });
    }
    seen.add(name);
  });
}

function isTokenCount(value: unknown): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= MAX_TOKENS_LIMIT;
}
