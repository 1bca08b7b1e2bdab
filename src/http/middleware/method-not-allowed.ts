/** Tells a path that is not there (404) from a method that is not (405, with `Allow`), by the app's own route table. */
import type { Hono } from "hono";
import { METHOD_NAME_ALL } from "hono/router";
import { TrieRouter } from "hono/router/trie-router";
import type { AppEnv } from "../app-env.ts";

/** Answers which methods a path has. Built once, when all routes are mounted. */
export function methodsByPath(app: Hono<AppEnv>): (path: string) => string[] {
  const routes = app.routes.filter(({ method }) => method !== METHOD_NAME_ALL);
  const methods = [...new Set(routes.map(({ method }) => method))];
  const router = new TrieRouter<string>();
  for (const { method, path } of routes) router.add(method, path, method);
  return (path) => {
    const found = methods.filter((method) => router.match(method, path)[0].length > 0);
    return found.includes("GET") && !found.includes("HEAD") ? [...found, "HEAD"] : found;
  };
}
