/** A server with a token of every kind and every log line kept, asked without a socket. */
import { pino } from "pino";
import { z } from "zod";
import { ADMIN_TOKEN, makeToken, type ServerOptions, startTestServer, type TestServer } from "../support/server.ts";

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

export interface Harness extends TestServer {
  tokens: Tokens;
  logLines: string[];
  /** A request without a socket. */
  call(method: string, path: string, options?: CallOptions): Promise<Response>;
}

export async function startHarness(options: Omit<ServerOptions, "log"> = {}): Promise<Harness> {
  const logLines: string[] = [];
  const log = pino({ level: "trace" }, { write: (line: string) => logLines.push(line) });
  const server = await startTestServer({
    ...options,
    log,
    settings: { publicUrl: "http://localhost", ...options.settings },
  });
  const { app, deps } = server;
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
    ...server,
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
  const flag = { key: "support-chat", name: "Support chat", chain: "opus-first", tags: ["team-support"] };
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
