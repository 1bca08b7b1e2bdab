/**
 * Reads what the guard needs of one request: for which flag and whom it is, and the body. Invariant: the `andon-*`
 * headers never leave the process.
 */
import type { Layer } from "./nesting.ts";
import type { GuardOptions, RequestLike } from "./types.ts";
import { isObject, parseObject } from "../wire/json.ts";
import type { EvaluationContext } from "../wire/protocol.ts";

const HEADER_FLAG = "andon-flag";
const HEADER_SESSION = "andon-session";
const HEADER_USER = "andon-user";

export type Body = Readonly<Record<string, unknown>>;

export interface Subject {
  flag: string;
  context: EvaluationContext;
  /** What is handed on to guards inside this one. */
  layer: Layer;
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
  return { flag, context, layer: { flag, user: named, session, isTaken: false, place: null, deposit: null } };
}

/**
 * The request's body as an object; null when it is not the text of one. The door's own copy, `given`, is read where
 * it still is what will be sent: parsing a second time costs as much as the rest of the guard.
 */
export function readBody(request: RequestLike, given: unknown): Body | null {
  const sent = request.body;
  if (typeof sent !== "string") return null;
  return isObject(given) && isModelOf(sent, given) ? given : parseObject(sent);
}

/** True for a text with more than one field `model`, wherever they stand. */
export function namesModelTwice(sent: unknown): boolean {
  if (typeof sent !== "string") return false;
  const at = sent.indexOf(MODEL_KEY);
  return at >= 0 && sent.includes(MODEL_KEY, at + 1);
}

/**
 * Other middleware may have named another model in the encoded body since. Where the model does not come first, a text with
 * a second `model` is parsed: the first that is found may be that of a tool. Searching all of a text costs 5 µs.
 */
function isModelOf(sent: string, given: Record<string, unknown>): boolean {
  const model = given["model"];
  if (typeof model !== "string") return false;
  if (sent.startsWith(MODEL_KEY, 1)) return isTextAt(sent, 1 + MODEL_KEY.length, model);
  const at = sent.indexOf(MODEL_KEY);
  return at >= 0 && !namesModelTwice(sent) && isTextAt(sent, at + MODEL_KEY.length, model);
}

const MODEL_KEY = '"model":';

/** True where JSON says this text in its plainest spelling; another spelling is parsed. */
function isTextAt(json: string, at: number, text: string): boolean {
  const end = at + 1 + text.length;
  return json.startsWith(text, at + 1) && json[at] === '"' && json[end] === '"' && !text.includes("\\");
}

/**
 * The text of a body with another model in it, and nothing else changed; null where that cannot be told without reading
 * all of it. A body of 4 KB is encoded anew in 10 µs.
 */
export function withModelNamed(sent: unknown, model: string, other: string): string | null {
  const at = 1 + MODEL_KEY.length;
  if (typeof sent !== "string" || !sent.startsWith(MODEL_KEY, 1) || !isTextAt(sent, at, model)) return null;
  // Where it is named twice the API may read the other one.
  if (sent.includes(MODEL_KEY, at)) return null;
  return `${sent.slice(0, at)}${JSON.stringify(other)}${sent.slice(at + model.length + 2)}`;
}

/** The request with a body that was given as bytes as the text it is: what cannot be read cannot be held. */
export async function withTextBody<R extends RequestLike>(request: R): Promise<R> {
  const { body } = request;
  const isBytes = body instanceof ArrayBuffer || body instanceof Uint8Array || body instanceof Blob;
  if (!isBytes && !(body instanceof ReadableStream)) return request;
  // It counts the bytes of what may be changed yet.
  request.headers.delete("content-length");
  if (!request.headers.has("content-type")) request.headers.set("content-type", "application/json");
  return { ...request, body: await new Response(body).text() };
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
