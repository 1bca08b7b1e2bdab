/**
 * What every page knows about its visitor, and the two cookies of the board: the environment chosen last and the
 * message that follows a redirect. Messages travel in a cookie so that no link can make the board say something.
 */
import type { Context } from "hono";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import type { Deps, Ctx } from "../../deps.ts";
import { type Actor, hasRole, type Role } from "../../domain/actor.ts";
import { AppError } from "../../errors.ts";

export const FLASH_COOKIE = "andon_flash";
export const ENVIRONMENT_COOKIE = "andon_environment";
const FLASH_SECONDS = 60;
const YEAR_SECONDS = 31_536_000;
/** A cookie must stay under 4 KB once encoded. */
const MAX_FLASH_CHARS = 1_000;

export interface Flash {
  tone: "done" | "problem";
  text: string;
}

/** What Hono keeps per request for the pages behind sign-in. */
export interface PageVariables {
  actor: Actor;
  requestId: string;
}
export type PageEnv = { Variables: PageVariables };
export type PageContext = Context<PageEnv>;

export function serviceContext(c: PageContext, deps: Deps): Ctx {
  return { actor: c.get("actor"), requestId: c.get("requestId"), deps };
}

export function mayOperate(actor: Actor): boolean {
  return hasRole(actor.role, "operator");
}

export function mayAdminister(actor: Actor): boolean {
  return hasRole(actor.role, "admin");
}

/** What the board is rendered for. A session without a role does not exist; it would see least. */
export function boardRoleOf(actor: Actor): Role {
  return actor.role ?? "viewer";
}

/** Leaves a message for the next page. */
export function setFlash(c: Context, flash: Flash): void {
  const text = flash.text.slice(0, MAX_FLASH_CHARS);
  const value = Buffer.from(JSON.stringify({ tone: flash.tone, text })).toString("base64url");
  setCookie(c, FLASH_COOKIE, value, { path: "/", httpOnly: true, sameSite: "Strict", maxAge: FLASH_SECONDS });
}

/** Takes the message left by the action before; null when there is none. */
export function takeFlash(c: Context): Flash | null {
  const value = getCookie(c, FLASH_COOKIE);
  if (value === undefined) return null;
  deleteCookie(c, FLASH_COOKIE, { path: "/" });
  try {
    const flash: unknown = JSON.parse(Buffer.from(value, "base64url").toString("utf8"));
    if (typeof flash !== "object" || flash === null) return null;
    const { tone, text } = flash as Partial<Record<keyof Flash, unknown>>;
    if (typeof text !== "string") return null;
    return { tone: tone === "done" ? "done" : "problem", text: text.slice(0, MAX_FLASH_CHARS) };
  } catch {
    // A cookie that is not ours says nothing worth showing.
    return null;
  }
}

export function rememberEnvironment(c: Context, key: string): void {
  if (getCookie(c, ENVIRONMENT_COOKIE) === key) return;
  setCookie(c, ENVIRONMENT_COOKIE, key, { path: "/", httpOnly: true, sameSite: "Lax", maxAge: YEAR_SECONDS });
}

/** The fields of a posted form. A name may come more than once. */
export class Form {
  readonly #fields: ReadonlyMap<string, readonly string[]>;

  constructor(fields: ReadonlyMap<string, readonly string[]>) {
    this.#fields = fields;
  }

  /** The value as typed, `""` when the field was not sent. */
  text(name: string): string {
    return this.#fields.get(name)?.[0] ?? "";
  }

  trimmed(name: string): string {
    return this.text(name).trim();
  }

  has(name: string): boolean {
    return this.#fields.has(name);
  }

  all(name: string): readonly string[] {
    return this.#fields.get(name) ?? [];
  }
}

const MAX_FORM_FIELDS = 5_000;

/** Reads a form post. INVALID when it is not a form or has more fields than any page sends. */
export async function readForm(c: Context): Promise<Form> {
  const type = c.req.header("Content-Type") ?? "";
  if (type !== "" && !type.startsWith("application/x-www-form-urlencoded") && !type.startsWith("multipart/form-data")) {
    throw new AppError("UNSUPPORTED_MEDIA_TYPE", "The board takes forms only; programs use the API under /v1.");
  }
  const data = type === "" ? new FormData() : await c.req.formData();
  const fields = new Map<string, string[]>();
  let total = 0;
  for (const [name, value] of data) {
    total += 1;
    if (total > MAX_FORM_FIELDS) throw new AppError("INVALID", "The form has too many fields.");
    if (typeof value !== "string") continue;
    fields.set(name, [...(fields.get(name) ?? []), value.replaceAll("\r\n", "\n")]);
  }
  return new Form(fields);
}

/** True when the page's script asked: it wants the parts that changed, not the page. */
export function wantsParts(c: Context): boolean {
  return c.req.header("HX-Request") === "true";
}
