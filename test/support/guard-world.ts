/**
 * Everything a guarded call needs, for real: a snapshot server, an `Andon` polling it, a local Claude endpoint, and the
 * Anthropic SDK in the two major versions the guard supports.
 */
import Anthropic from "@anthropic-ai/sdk";
import Anthropic0 from "anthropic-sdk-0x";
import { guard, type GuardHost, type GuardOptions } from "../../sdk-client/src/anthropic.ts";
import { Andon } from "../../sdk-client/src/andon.ts";
import type { Snapshot, SnapshotFlag } from "../../sdk-client/src/wire/protocol.ts";
import { type ClaudeEndpoint, startClaudeEndpoint } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { FLAG, flagOf, OPUS, SnapshotServer, snapshotOf } from "./guard-snapshots.ts";

export type Sdk = typeof Anthropic;

export const SDKS: readonly { name: string; Sdk: Sdk }[] = [
  { name: "SDK 1.x", Sdk: Anthropic },
  { name: "SDK 0.x", Sdk: asSdk(Anthropic0) },
];

/** The request most tests send. */
export const ASK = {
  model: OPUS,
  max_tokens: 64,
  messages: [{ role: "user" as const, content: "Why did the line stop?" }],
};

export interface ClientOptions extends Partial<GuardOptions> {
  /** Whose account it is. */
  apiKey?: string;
  maxRetries?: number;
  timeout?: number;
  fetch?: typeof fetch;
}

export interface World {
  andon: Andon;
  endpoint: ClaudeEndpoint;
  server: SnapshotServer;
  /** What the client has warned of, or called an error, so far. */
  told: string[];
  client(Sdk: Sdk, options?: ClientOptions): Anthropic;
  /** Publishes the change; resolves when the client decides by it. */
  change(changes: Partial<Snapshot>): Promise<void>;
  /** The same for the one flag. */
  setFlag(changes: Partial<SnapshotFlag>): Promise<void>;
  kill(): Promise<void>;
  close(): Promise<void>;
}

export async function startWorld(flag: Partial<SnapshotFlag> = {}, changes: Partial<Snapshot> = {}): Promise<World> {
  const server = new SnapshotServer(snapshotOf({ flags: { [FLAG]: flagOf(flag) }, ...changes }));
  const [url, endpoint] = await Promise.all([server.listen(), startClaudeEndpoint()]);
  const told: string[] = [];
  const note = (_fields: object, message: string): void => void told.push(message);
  const logger = { ...SILENT, warn: note, error: note };
  const andon = new Andon({ url, token: "andon_sdk_test", logger });
  await andon.ready();
  const change = (next: Partial<Snapshot>): Promise<void> => {
    const revision = server.change(next);
    return new Promise((resolve) => {
      const listener = (event: { revision: string }): void => {
        if (event.revision !== revision) return;
        andon.off("change", listener);
        resolve();
      };
      andon.on("change", listener);
    });
  };
  const setFlag = (next: Partial<SnapshotFlag>): Promise<void> => {
    const known = server.snapshot.flags;
    return change({ flags: { ...known, [FLAG]: { ...flagOf(flag), ...known[FLAG], ...next } } });
  };
  return {
    andon,
    endpoint,
    server,
    told,
    change,
    setFlag,
    kill: () => setFlag({ state: "off", cause: "manual" }),
    client: (Sdk, options = {}) => makeClient(Sdk, andon, endpoint.url, options),
    close: async () => {
      await andon.close();
      await Promise.all([server.close(), endpoint.close()]);
    },
  };
}

let accounts = 0;

/** A guarded client of the given SDK, with an account of its own: one that is out of money stays so. */
export function makeClient(Sdk: Sdk, host: GuardHost, baseURL: string, options: ClientOptions = {}): Anthropic {
  const { apiKey, maxRetries, timeout, fetch, ...guardOptions } = options;
  return new Sdk({
    apiKey: apiKey ?? `account-${(accounts += 1)}`,
    baseURL,
    middleware: [guard(host, { flag: FLAG, ...guardOptions })],
    ...(maxRetries === undefined ? {} : { maxRetries }),
    ...(timeout === undefined ? {} : { timeout }),
    ...(fetch === undefined ? {} : { fetch }),
  });
}

/** The error a promise rejects with; fails when it resolves. */
export async function errorOf(promise: PromiseLike<unknown>): Promise<Error> {
  let answer: unknown;
  try {
    answer = await promise;
  } catch (error) {
    if (error instanceof Error) return error;
    throw new Error("rejected with something that is not an error", { cause: error });
  }
  throw new Error(`resolved with ${JSON.stringify(answer)}`);
}

/** A promise and its resolver: what a test holds back until it says so. */
export interface Gate {
  opened: Promise<void>;
  open(): void;
}

export function gate(): Gate {
  const made: Partial<Gate> = {};
  const opened = new Promise<void>((resolve) => {
    made.open = resolve;
  });
  return { opened, open: () => made.open?.() };
}

/** The models the endpoint was asked for, in turn. */
export function modelsSent(world: Pick<World, "endpoint">): string[] {
  return world.endpoint.calls.map((call) => call.model);
}

export const SILENT = {
  debug: (): void => undefined,
  info: (): void => undefined,
  warn: (): void => undefined,
  error: (): void => undefined,
};

/** The two majors have the same surface as far as these tests go; their types do not know that. */
function asSdk(sdk: unknown): Sdk {
  if (isSdk(sdk)) return sdk;
  throw new Error("anthropic-sdk-0x is not the SDK");
}

function isSdk(sdk: unknown): sdk is Sdk {
  return typeof sdk === "function" && "AnthropicError" in sdk;
}
