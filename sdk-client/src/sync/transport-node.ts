/**
 * HTTP by `node:http`: the default on Node, because its sockets can be told not to keep the process alive, which a
 * parked poll on the global `fetch` does. One connection, kept and reused.
 */
import type { ClientRequest, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { builtin } from "../builtin.ts";
import { decodeUtf8, MAX_BODY_BYTES, tooLarge } from "./transport.ts";
import type { Transport, TransportRequest, TransportResponse } from "./transport.ts";

/** Null where there is no `node:http`. */
export function nodeTransport(serverUrl: string): Transport | null {
  const http = builtin(serverUrl.startsWith("https:") ? "node:https" : "node:http");
  const zlib = builtin("node:zlib");
  if (http === undefined || zlib === undefined) return null;
  // Node 24 reads HTTPS_PROXY for its own agent when told to (NODE_USE_ENV_PROXY): then this one goes the same way.
  const agent = new http.Agent({ ...proxyOf(http.globalAgent), keepAlive: true });

  const sendOnce = (request: TransportRequest): Promise<TransportResponse> =>
    new Promise((resolve, reject) => {
      const headers = { ...request.headers, "Accept-Encoding": "gzip" };
      const outgoing = http.request(request.url, {
        agent,
        method: request.method,
        headers,
        signal: request.signal,
      });
      outgoing.on("socket", releaseProcess);
      outgoing.on("error", (error) => {
        reject(isStaleConnection(outgoing, error) ? new StaleConnection(error.message) : error);
      });
      outgoing.on("response", (incoming) => {
        readResponse(incoming, zlib).then(resolve, reject);
      });
      outgoing.end(request.body);
    });

  return {
    async send(request) {
      try {
        return await sendOnce(request);
      } catch (error) {
        // The server closed an idle connection just as it was reused: not a failure, and these requests are idempotent.
        if (error instanceof StaleConnection) return sendOnce(request);
        throw error;
      }
    },
    close() {
      agent.destroy();
    },
  };
}

function proxyOf(agent: object): object {
  const options: unknown = "options" in agent ? agent.options : undefined;
  return typeof options === "object" && options !== null && "proxyEnv" in options ? { proxyEnv: options.proxyEnv } : {};
}

class StaleConnection extends Error {}

function isStaleConnection(request: ClientRequest, error: Error): boolean {
  return request.reusedSocket && "code" in error && (error.code === "ECONNRESET" || error.code === "EPIPE");
}

/** A connection that is tried on several addresses gets a new handle for each, which is referenced again. */
function releaseProcess(socket: Socket): void {
  socket.unref();
  if (!socket.connecting) return;
  const again = (): void => {
    socket.unref();
  };
  socket.on("connectionAttempt", again);
  socket.once("connect", () => {
    socket.off("connectionAttempt", again);
    socket.unref();
  });
}

async function readResponse(incoming: IncomingMessage, zlib: typeof import("node:zlib")): Promise<TransportResponse> {
  const status = incoming.statusCode ?? 0;
  const header = (name: string): string | undefined => {
    const value = incoming.headers[name];
    return Array.isArray(value) ? value.join(", ") : value;
  };
  if (status !== 200) {
    // A body that nobody reads would hold the connection; 204 and 304 have none and keep it.
    if (status === 204 || status === 304) incoming.resume();
    else incoming.destroy();
    return { status, header, body: "" };
  }
  const bytes = await readBounded(incoming);
  const plain = header("content-encoding") === "gzip" ? await gunzip(bytes, zlib) : bytes;
  return { status, header, body: decodeUtf8(plain) };
}

function readBounded(incoming: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    incoming.on("data", (chunk: Buffer) => {
      sizeBytes += chunk.byteLength;
      if (sizeBytes > MAX_BODY_BYTES) incoming.destroy(tooLarge());
      else chunks.push(chunk);
    });
    incoming.on("end", () => {
      resolve(Buffer.concat(chunks));
    });
    incoming.on("error", reject);
    incoming.on("close", () => {
      reject(new Error("connection closed before the body ended"));
    });
  });
}

function gunzip(bytes: Buffer, zlib: typeof import("node:zlib")): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    zlib.gunzip(bytes, { maxOutputLength: MAX_BODY_BYTES }, (error, plain) => {
      if (error === null) resolve(plain);
      else reject("code" in error && error.code === "ERR_BUFFER_TOO_LARGE" ? tooLarge() : error);
    });
  });
}
