/**
 * What the routes of every noun of an environment share: a list, one by its name, made, edited with `If-Match`, deleted.
 * A resource is answered with its `ETag`, a change with the environment's new revision, something new with its `Location`.
 */
import type { z } from "@hono/zod-openapi";
import { listOf } from "../../api/list.ts";
import type { AppContext } from "../app-env.ts";
import { bareChangeRoute, body, changeRoute, environmentParams, json, readRoute, setEtag } from "../openapi.ts";

interface Words {
  operationId: string;
  summary: string;
}

/** The routes of a noun. `collection` is its list, `id` the parameter behind it that `params` describe. */
export function routesOf<const C extends string, const I extends string, P extends z.ZodObject>(
  tag: string,
  collection: C,
  id: I,
  params: P,
) {
  const tags = [tag];
  const all = `/v1/environments/{env}/${collection}` as const;
  const one = `${all}/{${id}}` as const;
  return {
    list: <R extends z.ZodType>(words: Words, resource: R, said: string) =>
      readRoute("viewer", {
        ...words,
        method: "get",
        path: all,
        tags,
        request: { params: environmentParams },
        responses: { 200: json(listOf(resource), said) },
      }),
    create: <B extends z.ZodType, R extends z.ZodType>(words: Words, input: B, resource: R, said: string) =>
      changeRoute("admin", {
        ...words,
        method: "post",
        path: all,
        tags,
        request: { params: environmentParams, ...body(input) },
        responses: { 201: json(resource, said) },
      }),
    get: <R extends z.ZodType>(words: Words, resource: R, said: string) =>
      readRoute("viewer", {
        ...words,
        method: "get",
        path: one,
        tags,
        request: { params },
        responses: { 200: json(resource, said) },
      }),
    update: <B extends z.ZodType, R extends z.ZodType>(words: Words, input: B, resource: R, said: string) =>
      changeRoute("admin", {
        ...words,
        method: "patch",
        path: one,
        tags,
        request: { params, ...body(input) },
        responses: { 200: json(resource, said) },
      }),
    remove: <R extends z.ZodType>(words: Words, said: string, answer: R) =>
      bareChangeRoute("admin", {
        ...words,
        method: "delete",
        path: one,
        tags,
        request: { params },
        responses: { 200: json(answer, said) },
      }),
  };
}

interface Versioned {
  version: number;
}

/** A resource with its `ETag`. */
export function tagged<R extends Versioned>(c: AppContext, resource: R): R {
  setEtag(c, resource.version);
  return resource;
}

/** A changed resource with its `ETag` and the environment's new revision. */
export function changed<R extends Versioned>(c: AppContext, { value, revision }: { value: R; revision: string }) {
  return { ...tagged(c, value), revision };
}

/** As `changed`, with the `Location` of what is new. `at`: its environment and its path below that. */
export function created<R extends Versioned>(c: AppContext, at: string, made: { value: R; revision: string }) {
  c.header("Location", `/v1/environments/${at}`);
  return changed(c, made);
}
