/**
 * Fields that may be left out. Their type is exact, because JSON has no `undefined`; at run time they are plain optional
 * ones, because the documentation's generator takes exact ones for required (it asks whether they accept `undefined`).
 */
import type { z } from "@hono/zod-openapi";

export function optionalField<T extends z.ZodType>(schema: T): z.ZodExactOptional<T>;
export function optionalField(schema: z.ZodType): z.ZodType {
  return schema.optional();
}
