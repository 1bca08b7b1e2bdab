/** Lists, whole or in pages, and what is answered when something is gone. */
import { z } from "@hono/zod-openapi";
import { MAX_PAGE_SIZE } from "../domain/limits.ts";
import { revision } from "./fields.ts";
import { optionalField } from "./optional-field.ts";

const MAX_CURSOR_CHARS = 200;

/** A list of one environment's resources at a revision. */
export const listOf = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), revision });

/** One page of a list; `nextCursor` leads to older ones. */
export const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({ items: z.array(item), nextCursor: z.string().nullable() });

/** Which page is asked for. */
export const pageQuery = z.strictObject({
  cursor: optionalField(z.string().max(MAX_CURSOR_CHARS, "is not a cursor of this list")),
  limit: optionalField(
    z.coerce
      .number()
      .int("must be a whole number")
      .min(1, "must be 1 or more")
      .max(MAX_PAGE_SIZE, `must be at most ${String(MAX_PAGE_SIZE)}`),
  ),
});

export type PageQuery = z.infer<typeof pageQuery>;

export const deletedSchema = z.object({ revision }).openapi("Deleted");
