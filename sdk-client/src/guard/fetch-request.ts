/**
 * The arguments of `fetch` as a request of the engine, in all their forms, and back. Invariant: the caller's own `init`,
 * headers and request are never changed.
 */
import type { RequestLike } from "./types.ts";

export type Fetch = typeof globalThis.fetch;
type Input = Parameters<Fetch>[0];
type Init = NonNullable<Parameters<Fetch>[1]>;

/** A request as the engine takes it, and what `fetch` was given. */
export interface FetchRequest extends RequestLike {
  method: string;
  body: Init["body"];
  signal: AbortSignal | null;
  input: Input;
  init: Init;
}

/** What `fetch(input, init)` would send; the body stays unread. */
export function fetchRequest(input: Input, init: Init = {}): FetchRequest {
  const given = input instanceof Request ? input : null;
  return {
    url: input instanceof Request ? input.url : input instanceof URL ? input.href : input,
    method: init.method ?? given?.method ?? "GET",
    headers: new Headers(init.headers ?? given?.headers),
    body: init.body ?? given?.body,
    signal: init.signal ?? given?.signal ?? null,
    input,
    init,
  };
}

/** Sends the request by `fetch`. */
export function sendBy(fetch: Fetch, request: FetchRequest): Promise<Response> {
  const { url, method, headers, body, signal, input, init } = request;
  const changed: Init = { ...init, method, headers, signal };
  if (body !== undefined && body !== null) Object.assign(changed, { body, duplex: "half" });
  // A request carries settings of its own, such as its cache mode.
  return input instanceof Request ? fetch(new Request(input, changed)) : fetch(url, changed);
}
