/**
 * Reads what the guard needs of one request: what kind of call it is, for which flag and whom, and the body. Invariant:
 * the `andon-*` headers never leave the process.
 */
import type { Layer } from "./nesting.ts";
import type { GuardOptions, RequestLike } from "./types.ts";
import { isObject, parseObject } from "../wire/json.ts";
import type { EvaluationContext } from "../wire/protocol.ts";

const HEADER_FLAG = "andon-flag";
const HEADER_SESSION = "andon-session";
const HEADER_USER = "andon-user";

/** `message` gets the whole guard, `batch` the decision and its models, `other` passes untouched. */
export type CallKind = "message" | "batch" | "other";

export type Body = Readonly<Record<string, unknown>>;

export interface Subject {
  flag: string;
  context: EvaluationContext;
  /** What is handed on to guards inside this one. */
  layer: Layer;
}

/** Which of the guarded calls a request is. Query strings (`?beta=true`) and path prefixes do not matter. */
export function callKind(request: RequestLike): CallKind {
  if (request.method?.toUpperCase() !== "POST") return "other";
  const query = request.url.indexOf("?");
  const path = query < 0 ? request.url : request.url.slice(0, query);
  if (path.endsWith("/v1/messages")) return "message";
  return path.endsWith("/v1/messages/batches") ? "batch" : "other";
}

/**
 * Takes the flag and the context of a call, and strips the `andon-*` headers from the request. A guard `around` this one
 * has stripped them before: its user and session are this one's too, its flag is its own.
 */
export function takeSubject(
  headers: Headers,
  body: Body | null,
  options: GuardOptions,
  around: Layer | undefined,
): Subject {
  const flag = takeHeader(headers, HEADER_FLAG) ?? options.flag;
  const session = takeHeader(headers, HEADER_SESSION) ?? around?.session ?? null;
  const named = takeHeader(headers, HEADER_USER) ?? around?.user ?? null;
  const user = named ?? userOf(body);
  const context: EvaluationContext = { ...options.context };
  if (user !== null) context.targetingKey = user;
  if (session !== null) context.session = session;
  return { flag, context, layer: { user: named, session, isTaken: false } };
}

/**
 * The request's body as an object; null when it is not a JSON object. The door's own copy, `given`, is read where it still is what
 * will be sent: parsing a second time costs as much as the rest of the guard.
 */
export function readBody(request: RequestLike, given: unknown): Body | null {
  const sent = request.body;
  if (isObject(given) && (typeof sent !== "string" || sent.includes(modelField(given)))) return given;
  return parseObject(sent);
}

/** Another middleware may have named another model in the encoded body since. */
function modelField(body: Record<string, unknown>): string {
  return `"model":${JSON.stringify(body["model"] ?? null)}`;
}

function takeHeader(headers: Headers, name: string): string | null {
  const value = headers.get(name);
  if (value === null) return null;
  headers.delete(name);
  return value === "" ? null : value;
}

function userOf(body: Body | null): string | null {
  const metadata = body?.["metadata"];
  if (!isObject(metadata)) return null;
  const user = metadata["user_id"];
  return typeof user === "string" && user !== "" ? user : null;
}
