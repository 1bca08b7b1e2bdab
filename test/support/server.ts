/** The one way in which tests start a server in their own process: everything that `andon` runs, on a real port. */
import { serve } from "@hono/node-server";
import type { Hono } from "hono";
import { type Logger, pino } from "pino";
import { createApp } from "../../src/app.ts";
import { boot, type Runtime } from "../../src/boot.ts";
import { type DatabaseConfig, DEFAULT_KEPT, type Settings } from "../../src/config.ts";
import type { Clock } from "../../src/clock.ts";
import type { Ctx, Deps } from "../../src/deps.ts";
import { systemActor } from "../../src/domain/actor.ts";
import type { AppEnv } from "../../src/http/app-env.ts";
import { createToken, type NewToken } from "../../src/services/access/tokens.ts";
import { type DatabaseKind, freshDatabase } from "./database.ts";

/** Good for everything on every test server. */
export const ADMIN_TOKEN = "andon_op_for_tests_only_0123456789";

export interface ServerOptions {
  /**
   * A kind for a fresh database, or an existing one to share. Default: a copy on PostgreSQL, which costs milliseconds;
   * PGlite ("memory") costs seconds and is for where it is what is tested.
   */
  database?: DatabaseKind | DatabaseConfig;
  clock?: Clock;
  settings?: Partial<Settings>;
  jobs?: boolean;
  log?: Logger;
}

export interface TestServer extends Runtime {
  url: string;
  /** What answers at `url`, for requests without a socket. */
  app: Hono<AppEnv>;
  /** A request with the admin's token; `body` is sent as JSON. */
  api(method: string, path: string, body?: unknown, token?: string): Promise<Response>;
}

/** The server on a free port of 127.0.0.1. Close it. */
export async function startTestServer(options: ServerOptions = {}): Promise<TestServer> {
  const database =
    typeof options.database === "object" ? options.database : await freshDatabase(options.database ?? "postgres");
  const settings: Settings = {
    host: "127.0.0.1",
    port: 0,
    publicUrl: "http://127.0.0.1:4280",
    database,
    secret: "a secret for tests only, not for anything else",
    adminToken: ADMIN_TOKEN,
    logLevel: "silent",
    recentCallsHours: 24,
    recentCallsMax: 10_000,
    kept: DEFAULT_KEPT,
    breakersOff: [],
    smtp: null,
    reconciliation: { adminKey: null, baseUrl: "http://127.0.0.1:9", workspaces: null, percent: 5, minUsd: 5 },
    warnings: [],
    ...options.settings,
  };
  const runtime = await boot(settings, {
    log: options.log ?? pino({ level: process.env["TEST_LOG_LEVEL"] ?? "silent" }),
    jobs: options.jobs ?? false,
    ...(options.clock && { clock: options.clock }),
  });
  // Made for the first who asks: tests that drive services alone need none.
  let made: Hono<AppEnv> | null = null;
  const app = () => (made ??= createApp(runtime.deps));
  const { server, port } = await new Promise<{ server: ReturnType<typeof serve>; port: number }>((resolve) => {
    const started = serve(
      { fetch: (request, env) => app().fetch(request, env), port: 0, hostname: "127.0.0.1" },
      (info) => resolve({ server: started, port: info.port }),
    );
  });
  const url = `http://127.0.0.1:${port}`;
  return {
    ...runtime,
    url,
    get app() {
      return app();
    },
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

/** A context with all rights, for driving services directly. */
export function adminCtx(deps: Deps): Ctx {
  return { actor: systemActor("test", "test"), requestId: deps.newId(), deps };
}

/** Makes a token and returns its secret. */
export async function makeToken(deps: Deps, input: Partial<NewToken> & Pick<NewToken, "kind">): Promise<string> {
  const made = await createToken(adminCtx(deps), {
    name: `test ${input.kind}`,
    environments: input.kind === "op" ? null : ["production"],
    expiresAt: null,
    ...input,
  });
  return made.secret;
}
