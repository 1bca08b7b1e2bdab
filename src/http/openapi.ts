/** How a route is declared: one schema validates, types and documents it, and every route says who may call it. */
import { createRoute, OpenAPIHono, type RouteConfig, z } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import type { Need } from "../domain/actor.ts";
import { AppError, CONFIRMS, ERROR_STATUS } from "../errors.ts";
import type { AppContext, AppEnv } from "./app-env.ts";
import { anyActor, needs } from "./middleware/auth.ts";
import { jsonBody } from "./middleware/json-body.ts";
import { fromIssues, PROBLEM_MEDIA_TYPE } from "./problem.ts";
import { environmentKeySchema } from "../api/environment.ts";

export type Api = OpenAPIHono<AppEnv>;

/** The last year that text, database and `Date` write alike. */
const MAX_YEAR = 9999;

const NEED_TEXT: Record<Need | "any", string> = {
  viewer: "Needs an `op` token with role viewer or more.",
  operator: "Needs an `op` token with role operator or more.",
  admin: "Needs an `op` token with role admin.",
  tighten: "Needs a `kill` token, or an `op` token with role operator or more.",
  any: "Any `op` or `kill` token; answers with what it may see.",
};

const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number(),
    detail: z.string(),
    code: z.enum(Object.keys(ERROR_STATUS)),
    requestId: z.string(),
    errors: z
      .array(z.object({ path: z.string(), message: z.string(), confirm: z.enum(CONFIRMS).optional() }))
      .optional(),
  })
  .openapi("Problem", { description: "RFC 9457 problem details." });

/** A refusal, as problem+json. */
export const problem = (description: string) => ({
  description,
  content: { [PROBLEM_MEDIA_TYPE]: { schema: problemSchema } },
});

const READ_PROBLEMS = {
  401: problem("No valid token."),
  403: problem("The kind or role of the token does not suffice."),
  404: problem("Not there, or not to be seen with this token."),
  422: problem("Invalid input, with the path of each fault."),
  503: problem("The database is away. `Retry-After` says when to try again."),
} as const;
const CHANGE_PROBLEMS = {
  ...READ_PROBLEMS,
  409: problem("In conflict with the present state."),
  412: problem("`If-Match` names a version that is no longer the current one."),
  413: problem("The body is too large."),
  415: problem("The body is not JSON."),
} as const;

/** An empty API whose input faults become INVALID; a path that cannot name anything becomes NOT_FOUND. */
export function createApi(): Api {
  return new OpenAPIHono<AppEnv>({
    defaultHook: (result, c) => {
      if (result.success) return;
      // The name of something to create is input like any other; everything else is looked up by its path.
      if (result.target === "param" && c.req.method !== "PUT")
        throw new AppError("NOT_FOUND", "There is nothing by this name.");
      throw fromIssues(result.error.issues);
    },
  });
}

/** Declares a read. */
export function readRoute<const R extends Declared>(need: Need | "any", route: R) {
  return createRoute({
    ...route,
    ...declared(need),
    middleware: [guard(need)],
    responses: { ...route.responses, ...READ_PROBLEMS },
  });
}

/** Declares a change without a body. */
export function bareChangeRoute<const R extends Declared>(need: Need, route: R) {
  return createRoute({
    ...route,
    ...declared(need),
    middleware: [guard(need)],
    responses: { ...route.responses, ...CHANGE_PROBLEMS },
  });
}

/** Declares a change with a JSON body: who may call it is settled before the body is read. */
export function changeRoute<const R extends Declared>(need: Need, route: R) {
  return createRoute({
    ...route,
    ...declared(need),
    middleware: [guard(need), jsonBody],
    responses: { ...route.responses, ...CHANGE_PROBLEMS },
  });
}

type Declared = Omit<RouteConfig, "security" | "description" | "middleware">;

function declared(need: Need | "any") {
  return { description: NEED_TEXT[need], security: [{ token: [] }], "x-andon-needs": need };
}

function guard(need: Need | "any"): MiddlewareHandler<AppEnv> {
  return need === "any" ? anyActor : needs(need);
}

/** A required JSON body. */
export const body = <T extends z.ZodType>(schema: T) =>
  ({ body: { required: true, content: { "application/json": { schema } } } }) as const;

/** A JSON answer. */
export const json = <T extends z.ZodType>(schema: T, description: string) =>
  ({ description, content: { "application/json": { schema } } }) as const;

export const environmentParams = z.object({ env: environmentKeySchema });

/** The `If-Match` of an edit as it was sent. */
export function ifMatchOf(c: AppContext): string | undefined {
  return c.req.header("if-match");
}

/** Sets the `ETag` of a resource that has versions. */
export function setEtag(c: AppContext, version: number): void {
  c.header("ETag", `"${String(version)}"`);
}

/** The moment of an `until` or `expiresAt`, null when none was given. INVALID unless it is in the future. */
export function futureDate(c: AppContext, path: string, text: string | undefined): Date | null {
  if (text === undefined) return null;
  const date = new Date(text);
  const isFuture = date.getTime() > c.get("ctx").deps.clock.nowMs();
  // An offset can push 9999-12-31 into a year that the database cannot read.
  if (isFuture && date.getUTCFullYear() <= MAX_YEAR) return date;
  const message = isFuture ? `must be before the end of the year ${MAX_YEAR}, UTC` : "must be in the future";
  throw new AppError("INVALID", `${path}: ${message}`, { faults: [{ path, message }] });
}
