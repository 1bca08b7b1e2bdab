/** What Node's server hands over beside hono's request: for the two kinds of request that come all day and wait. */
import { IncomingMessage, ServerResponse } from "node:http";
import type { Context } from "hono";
import { type PollConnection, connectionOfSignal, connectionOfSocket } from "../services/snapshots/poll-connection.ts";
import { type HeaderReader, nodeHeaders } from "./sdk/poll-request.ts";

export function connectionOf(c: Context): PollConnection {
  const incoming = bindingOf(c, "incoming");
  return incoming instanceof IncomingMessage
    ? connectionOfSocket(incoming.socket)
    : connectionOfSignal(c.req.raw.signal);
}

/** Where to write the answer past hono; null for HEAD, whose answer hono makes of the one to GET. */
export function outgoingOfGet(c: Context): ServerResponse | null {
  const outgoing = bindingOf(c, "outgoing");
  return outgoing instanceof ServerResponse && outgoing.req.method === "GET" ? outgoing : null;
}

export function headerReader(c: Context): HeaderReader {
  const incoming = bindingOf(c, "incoming");
  // Without a socket, as `app.request()` calls it, there is only the Request.
  return incoming instanceof IncomingMessage ? nodeHeaders(incoming.headers) : (name) => c.req.header(name);
}

/** What Node's server gave with the request, see `serve` of @hono/node-server; undefined without a socket. */
function bindingOf(c: Context, name: "incoming" | "outgoing"): unknown {
  const bindings: unknown = c.env;
  if (typeof bindings !== "object" || bindings === null) return undefined;
  return Reflect.get(bindings, name);
}
