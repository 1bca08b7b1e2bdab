/** What every form does with what it was sent: the change, or the same form again with its errors beside the fields. */
import type { ZodType } from "zod";
import { fromIssues } from "../../http/problem.ts";
import { flashOf } from "../shell/act.tsx";
import { type PageContext, setFlash } from "../shell/page-context.ts";
import { fieldErrors } from "./parts.tsx";

/** Answers as `work` does; when that is refused for what was typed, as `again` does. All other errors travel on. */
export async function submitted(
  work: () => Promise<Response>,
  again: (errors: Map<string, string>) => Response | Promise<Response>,
): Promise<Response> {
  try {
    return await work();
  } catch (error) {
    const errors = fieldErrors(error);
    if (errors === null) throw error;
    return again(errors);
  }
}

/** For a button without fields: answers as `work` does, or with the page at `path` that says what was refused. */
export async function pressed(c: PageContext, path: string, work: () => Promise<Response>): Promise<Response> {
  try {
    return await work();
  } catch (error) {
    setFlash(c, flashOf(error));
    return c.redirect(path, 303);
  }
}

/** What was typed, as the schema of its body has it. Throws INVALID with a fault for each field. */
export function parseForm<T>(schema: ZodType<T>, typed: unknown): T {
  const result = schema.safeParse(typed);
  if (!result.success) throw fromIssues(result.error.issues);
  return result.data;
}
