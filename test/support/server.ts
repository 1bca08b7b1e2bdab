/** Starts the whole server in this process on a real port. */
import { serve } from "@hono/node-server";
import type { Deps } from "../../src/deps.ts";
import { createApp } from "../../src/app.ts";
import type { Runtime } from "../../src/boot.ts";
import { ADMIN_TOKEN, type ServerOptions, startDeps } from "./server-deps.ts";

export interface TestServer {
  url: string;
  deps: Deps;
  runtime: Runtime;
  /** A request with the admin's token; `body` is sent as JSON. */
  api(method: string, path: string, body?: unknown, token?: string): Promise<Response>;
  close(): Promise<void>;
}

/** The server on a free port of 127.0.0.1. Close it. */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const runtime = await startDeps(options);
  const app = createApp(runtime.deps);
  const { server, port } = await new Promise<{ server: ReturnType<typeof serve>; port: number }>((resolve) => {
    const started = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, (info) =>
      resolve({ server: started, port: info.port }),
    );
  });
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    deps: runtime.deps,
    runtime,
    api: (method, path, body, token = ADMIN_TOKEN) =>
      fetch(`${url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body !== undefined && { "content-type": "application/json" }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }),
    close: async () => {
      runtime.drain();
      if ("closeAllConnections" in server) server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await runtime.close();
    },
  };
}
