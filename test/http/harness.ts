/** The whole app without a port, on a database of its own, with a token of every kind and every log line kept. */
import type { Hono } from "hono";
import { pino } from "pino";
import { z } from "zod";
import type { Clock } from "../../src/clock.ts";
import type { Deps } from "../../src/deps.ts";
import { createApp } from "../../src/app.ts";
import { boot } from "../../src/boot.ts";
import type { DatabaseConfig } from "../../src/config.ts";
import type { AppEnv } from "../../src/http/app-env.ts";
import { type DatabaseKind, freshDatabase } from "../support/database.ts";
import { ADMIN_TOKEN, makeToken } from "../support/server-deps.ts";

/** Every kind of bearer; `otherAdmin` and `otherKill` are good for staging only. */
export interface Tokens {
  admin: string;
  operator: string;
  viewer: string;
  kill: string;
  sdk: string;
  web: string;
  otherAdmin: string;
  otherKill: string;
}

export interface CallOptions {
  /** A token, or null for none. Default: the admin's. */
  token?: string | null;
  body?: unknown;
  headers?: Record<string, string>;
  /** Where the request seems to come from: failed attempts are counted per address. */
  address?: string;
}

export interface Harness {
  app: Hono<AppEnv>;
  deps: Deps;
  tokens: Tokens;
  logLines: string[];
  call(method: string, path: string, options?: CallOptions): Promise<Response>;
  close(): Promise<void>;
}

export interface HarnessOptions {
  /** A kind for a fresh database, or an existing one to share. */
  database?: DatabaseKind | DatabaseConfig;
  clock?: Clock;
  publicUrl?: string;
}

export async function startHarness({
  database = "memory",
  clock,
  publicUrl = "http://localhost",
}: HarnessOptions = {}): Promise<Harness> {
  const logLines: string[] = [];
  const runtime = await boot(
    {
      host: "127.0.0.1",
      port: 0,
      publicUrl,
      database: typeof database === "object" ? database : await freshDatabase(database),
      secret: "a secret for tests only, not for anything else",
      adminToken: ADMIN_TOKEN,
      logLevel: "trace",
      recentCallsHours: 24,
      recentCallsMax: 10_000,
      warnings: [],
    },
    {
      log: pino({ level: "trace" }, { write: (line: string) => logLines.push(line) }),
      jobs: false,
      ...(clock && { clock }),
    },
  );
  const { deps } = runtime;
  const app = createApp(deps);
  const tokens: Tokens = {
    admin: ADMIN_TOKEN,
    operator: await makeToken(deps, { kind: "op", role: "operator" }),
    viewer: await makeToken(deps, { kind: "op", role: "viewer" }),
    kill: await makeToken(deps, { kind: "kill" }),
    sdk: await makeToken(deps, { kind: "sdk" }),
    web: await makeToken(deps, { kind: "web" }),
    otherAdmin: await makeToken(deps, { kind: "op", role: "admin", environments: ["staging"] }),
    otherKill: await makeToken(deps, { kind: "kill", environments: ["staging"] }),
  };
  return {
    app,
    deps,
    tokens,
    logLines,
    call: async (method, path, { token = ADMIN_TOKEN, body, headers, address } = {}) =>
      app.request(
        path,
        {
          method,
          headers: {
            ...(token !== null && { authorization: `Bearer ${token}` }),
            ...(body !== undefined && { "content-type": "application/json" }),
            ...headers,
          },
          ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
        },
        address === undefined ? {} : { incoming: { socket: { remoteAddress: address } } },
      ),
    close: () => runtime.close(),
  };
}

/** What a test needs of a new token. */
export const createdToken = z.object({ id: z.string(), secret: z.string() });

/** A chain of three models and a flag on it, in production. */
export async function seed(harness: Harness): Promise<void> {
  await expectStatus(
    harness.call("PUT", "/v1/environments/production/chains/opus-first", { body: { steps: STEPS } }),
    201,
  );
  const flag = { key: "support-chat", name: "Support chat", chain: "opus-first" };
  await expectStatus(harness.call("POST", "/v1/environments/production/flags", { body: flag }), 201);
}

export const STEPS = [{ model: "claude-opus-5-5" }, { model: "claude-sonnet-5-5" }, { model: "claude-haiku-4-5" }];

/** The JSON of an answer with this status, as what the test expects it to be. */
export async function expectJson<T>(pending: Promise<Response>, shape: z.ZodType<T>, status = 200): Promise<T> {
  return shape.parse(await (await expectStatus(pending, status)).json());
}

/** The answer, when it has this status; fails with the body otherwise. */
export async function expectStatus(pending: Promise<Response>, status: number): Promise<Response> {
  const response = await pending;
  if (response.status !== status)
    throw new Error(`expected ${String(status)}, got ${String(response.status)}: ${await response.text()}`);
  return response;
}
