/** The API's own documentation: `/openapi.json`, and `/docs`, a page made of it that needs neither a CDN nor JavaScript. */
import { createHash } from "node:crypto";
import { Hono } from "hono";
import { html } from "hono/html";
import type { AppEnv } from "../app-env.ts";
import { documentOf } from "./document.ts";
import { docsPage } from "./page.tsx";
import { DOCS_CSS } from "./style.ts";
import type { Api } from "../openapi.ts";

export function docsRoutes(api: Api): Hono<AppEnv> {
  const document = documentOf(api);
  const body = JSON.stringify(document);
  const page = html`<!doctype html>${docsPage(document)}`;
  const styleHash = createHash("sha256").update(DOCS_CSS).digest("base64");
  const policy = `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
  return new Hono<AppEnv>()
    .get("/openapi.json", (c) => c.body(body, 200, { "Content-Type": "application/json" }))
    .get("/docs", (c) => c.html(page, 200, { "Content-Security-Policy": policy }));
}
