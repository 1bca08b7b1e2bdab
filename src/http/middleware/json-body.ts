/**
 * Reads a JSON body once, before any schema: right content type, real UTF-8 JSON, bounded depth, and only text that the
 * database can hold. What passes here can be stored or echoed without a surprise further in.
 */
import type { MiddlewareHandler } from "hono";
import { AppError, type Fault } from "../../errors.ts";
import type { AppEnv } from "../app-env.ts";

const MAX_JSON_DEPTH = 32;
const JSON_MEDIA_TYPE = /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i;
/** PostgreSQL holds neither NUL nor half of a surrogate pair. */
const UNSTORABLE = /[\0\p{Surrogate}]/u;

/** Refuses a body that is not usable JSON: 415 for another content type, 422 that says what is wrong and where. */
export const jsonBody: MiddlewareHandler<AppEnv> = async (c, next) => {
  const bytes = await c.req.arrayBuffer();
  if (bytes.byteLength === 0) throw invalidBody('The body is empty; send a JSON object such as {"reason": "…"}.');
  const contentType = c.req.header("content-type") ?? "";
  if (!JSON_MEDIA_TYPE.test(contentType)) {
    throw new AppError(
      "UNSUPPORTED_MEDIA_TYPE",
      "Send the body as JSON with the header Content-Type: application/json.",
    );
  }
  const value = parse(decode(bytes));
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalidBody('The body must be a JSON object such as {"reason": "…"}.');
  }
  const fault = findFault(value);
  if (fault !== null) throw new AppError("INVALID", `${fault.path}: ${fault.message}`, { faults: [fault] });
  await next();
};

function decode(bytes: ArrayBuffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw invalidBody("The body is not valid UTF-8.", error);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalidBody(`The body is not valid JSON: ${faultOf(error)}.`, error);
  }
}

/** V8 quotes a part of the body in its message, which may be a secret: only one character or the position is passed on. */
function faultOf(error: unknown): string {
  const words = error instanceof Error ? error.message : "";
  const position = /position (\d+)/.exec(words)?.[1];
  if (position !== undefined) return `it breaks at character ${position}`;
  const character = /^Unexpected token '(.)'/u.exec(words)?.[1];
  return character === undefined ? "it ends too early" : `it breaks at an unexpected ${character}`;
}

/** The first part of `root` that is too deep or that cannot be stored. Iterative: depth is what it guards against. */
function findFault(root: object): Fault | null {
  const open: { value: unknown; path: string; depth: number }[] = [{ value: root, path: "", depth: 0 }];
  for (let part = open.pop(); part !== undefined; part = open.pop()) {
    const { value, path, depth } = part;
    if (typeof value === "string" && UNSTORABLE.test(value)) {
      return { path, message: "has a character that cannot be stored (NUL or half of a surrogate pair)" };
    }
    if (typeof value !== "object" || value === null) continue;
    if (depth >= MAX_JSON_DEPTH)
      return { path: topOf(path), message: `is nested deeper than ${String(MAX_JSON_DEPTH)} levels` };
    for (const [key, child] of Object.entries(value)) {
      if (UNSTORABLE.test(key)) return { path, message: "has a field name with a character that cannot be stored" };
      open.push({ value: child, path: path === "" ? key : `${path}.${key}`, depth: depth + 1 });
    }
  }
  return null;
}

function topOf(path: string): string {
  const dot = path.indexOf(".");
  return dot === -1 ? path : path.slice(0, dot);
}

function invalidBody(message: string, cause?: unknown): AppError {
  return new AppError("INVALID", message, { faults: [{ path: "", message }], cause });
}
