/** The API's own documentation: `/openapi.json`, and `/docs`, a page made of it that needs neither a CDN nor JavaScript. */
import { createHash } from "node:crypto";
import { Hono } from "hono";
import { html } from "hono/html";
import type { AppEnv } from "../app-env.ts";
import { documentOf } from "./document.ts";
import { docsPage } from "./page.tsx";
import { DOCS_CSS } from "./style.ts";
import type { Api } from "../openapi.ts";

interface Docs {
  body: string;
  page: ReturnType<typeof html>;
}

export function docsRoutes(api: Api): Hono<AppEnv> {
  let made: Docs | null = null;
  // For the first who asks: it is most of the work of making the app, and many servers are never asked.
  const docs = () => (made ??= make(api));
  const styleHash = createHash("sha256").update(DOCS_CSS).digest("base64");
  const policy = `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
  return new Hono<AppEnv>()
    .get("/openapi.json", (c) => c.body(docs().body, 200, { "Content-Type": "application/json" }))
    .get("/docs", (c) => c.html(docs().page, 200, { "Content-Security-Policy": policy }));
}

function make(api: Api): Docs {
  const document = documentOf(api);
  return { body: JSON.stringify(document), page: html`<!doctype html>${docsPage(document)}` };
}
