/**
 * Which kind of call a request is, by its method and path. Invariant: whatever makes a model work is one of the guarded
 * kinds, however its path is spelled. Paths: the resources of `@anthropic-ai/sdk` 1.14.0.
 */
import type { RequestLike } from "./types.ts";

/**
 * - `message`: the whole guard
 * - `batch`: the decision, and the models of its items
 * - `count`: counts tokens and makes none; its model is held
 * - `work`: makes a model work in another shape (agents, dreams, text completions): refused while off
 * - `other`: passes, also while off, unless it names a model that may not be used
 * - `read`: carries no body
 */
export type CallKind = "message" | "batch" | "count" | "work" | "other" | "read";

const BY_PATH: readonly (readonly [RegExp, CallKind])[] = [
  [/\/v1\/messages$/, "message"],
  [/\/v1\/messages\/batches$/, "batch"],
  [/\/v1\/messages\/count_tokens$/, "count"],
  [/\/v1\/(?:complete|completions|chat\/completions|responses)$/, "work"],
  [/\/v1\/(?:sessions|dreams|deployments)$/, "work"],
  [/\/v1\/sessions\/[^/]+\/events$/, "work"],
  [/\/v1\/deployments\/[^/]+\/(?:run|unpause)$/, "work"],
  // Bedrock and Vertex, where their packages shape requests before middleware sees them (Bedrock before 0.30.2).
  [/\/model\/[^/]+\/(?:invoke|converse)/, "work"],
  [/\/models\/[^/]+:(?:stream)?rawpredict$/, "work"],
];

const CLOUD_MODEL = /\/models?\/(.+?)(?:\/(?:invoke|converse)[^/]*|:(?:stream)?rawpredict)$/;

/** The model that the address itself names, as those of Bedrock and Vertex do; null for others. */
export function modelOfPath(url: string): string | null {
  return CLOUD_MODEL.exec(plainPath(url))?.[1] ?? null;
}

const WITHOUT_BODY: ReadonlySet<string> = new Set(["GET", "HEAD", "DELETE", "OPTIONS"]);

/** Which kind of call a request is. Query strings (`?beta=true`) and path prefixes do not matter. */
export function callKind(request: RequestLike): CallKind {
  const { url } = request;
  // What nearly all requests are, told without taking the address apart.
  if (request.method === "POST" && url.endsWith("/v1/messages")) return "message";
  if (WITHOUT_BODY.has(request.method?.toUpperCase() ?? "GET")) return "read";
  const path = plainPath(url);
  return BY_PATH.find(([pattern]) => pattern.test(path))?.[1] ?? "other";
}

/** The path as a tolerant server may read it: no query, no escapes, no doubled or trailing slashes, in lower case. */
function plainPath(url: string): string {
  const end = url.search(/[?#]/);
  const path = end < 0 ? url : url.slice(0, end);
  return unescaped(path).replaceAll("\\", "/").replace(/\/+/g, "/").replace(/\/$/, "").toLowerCase();
}

function unescaped(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    // A stray percent sign: no server reads an escape there either.
    return path;
  }
}

/** True when the events for an agent session only stop it: they must pass while its flag is off. */
export function onlyStops(body: Readonly<Record<string, unknown>> | null): boolean {
  const events: unknown = body?.["events"];
  if (!Array.isArray(events) || events.length === 0) return false;
  return events.every((event: unknown) => typeof event === "object" && event !== null && isInterrupt(event));
}

function isInterrupt(event: object): boolean {
  return "type" in event && event.type === "user.interrupt";
}
