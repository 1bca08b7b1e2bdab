/** Puts a page into its frame and sends it, with the security policy of all pages. */
import type { Child } from "hono/jsx";
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { Deps } from "../../deps.ts";
import { encode, type Encoded, encodingOf } from "./compress.ts";
import { type Actor, seesEnvironment } from "../../domain/actor.ts";
import { type Frame, Page, type Section } from "./layout.tsx";
import { takeFlash } from "./page-context.ts";

export const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join("; ");

export const NO_STORE = { "Cache-Control": "no-store" } as const;

const PAGE_HEADERS = {
  "Content-Security-Policy": PAGE_POLICY,
  ...NO_STORE,
  "Referrer-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Content-Type": "text/html; charset=UTF-8",
  Vary: "HX-Request, Cookie",
} as const;

export interface PageOptions {
  title: string;
  section?: Section;
  /** Null before sign-in. */
  actor: Actor | null;
  environment?: string;
  status?: ContentfulStatusCode;
  /** What was refused of the form that it shows: with any, the answer is 422. */
  errors?: ReadonlyMap<string, string>;
  /** What else belongs into the head. */
  head?: Child;
}

/** A whole page. Takes the message that an action before it left. */
export function sendPage(c: Context, deps: Deps, options: PageOptions, body: Child): Promise<Response> {
  const { actor, errors } = options;
  const status = errors !== undefined && errors.size > 0 ? 422 : options.status;
  const frame: Frame = {
    title: options.title,
    section: options.section ?? null,
    actor,
    environment: options.environment ?? null,
    environments: actor === null ? [] : visibleEnvironments(deps, actor),
    flash: takeFlash(c),
    head: options.head ?? null,
  };
  return sendHtml(c, `<!doctype html>${toHtml(<Page frame={frame}>{body}</Page>)}`, status);
}

/** HTML with the headers of every page, compressed. */
export async function sendHtml(c: Context, html: string, status: ContentfulStatusCode = 200): Promise<Response> {
  const { body, headers } = await encode(html, encodingOf(c.req.header("Accept-Encoding")));
  return c.body(body, status, htmlHeaders(headers));
}

/** The headers of all HTML, with those of its encoding. */
export function htmlHeaders(headers: Encoded["headers"]): Record<string, string> {
  return { ...PAGE_HEADERS, ...headers, Vary: `${PAGE_HEADERS.Vary}, ${headers.Vary}` };
}

/** Renders at once: no component of the board is asynchronous. */
export function toHtml(element: unknown): string {
  return String(element);
}

/** Keys of the environments an actor may see, from memory: the switcher works with the database away. */
export function visibleEnvironments(deps: Deps, actor: Actor): string[] {
  return deps.snapshots
    .all()
    .filter((one) => seesEnvironment(actor, one.environmentId))
    .map((one) => one.key)
    .toSorted();
}
