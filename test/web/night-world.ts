/**
 * A night as on-call finds it: many flags, an application that calls Claude through guarded clients, and a local Claude
 * endpoint that knows what it was really sent. What a row says is compared with that.
 */
import { connect, type Socket } from "node:net";
import Anthropic from "@anthropic-ai/sdk";
import { guard, isFeatureDisabled } from "../../sdk-client/src/anthropic.ts";
import { Andon } from "../../sdk-client/src/andon.ts";
import {
  type ClaudeEndpoint,
  type EndpointCall,
  startClaudeEndpoint,
} from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { SILENT } from "../support/guard-world.ts";
import { ADMIN_TOKEN, makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { PRODUCTION } from "./world.ts";

export const OPUS = "claude-opus-5-5";
export const SONNET = "claude-sonnet-5-5";
export const HAIKU = "claude-haiku-4-5";
/** In nobody's chain. */
export const OUTSIDE = "claude-opus-5";
const CHAINS = { "opus-first": [OPUS, SONNET, HAIKU], "sonnet-first": [SONNET, HAIKU] } as const;

/** What the endpoint received for one flag. */
export interface Sent {
  flag: string;
  model: string;
  /** `performance.now()` when it arrived. */
  atMs: number;
}

export interface NightFlag {
  key: string;
  name: string;
  chain: keyof typeof CHAINS;
  /** The model its application asks for. */
  asks: string;
}

/** The flags of the story; the rest of the fleet is calm. */
export const STORY: readonly NightFlag[] = [
  { key: "support-chat", name: "Support chat", chain: "opus-first", asks: OPUS },
  { key: "research-agent", name: "Research agent", chain: "opus-first", asks: OPUS },
  { key: "summaries", name: "Summaries", chain: "opus-first", asks: OPUS },
  { key: "translate", name: "Translate", chain: "sonnet-first", asks: OUTSIDE },
  { key: "drafts", name: "Drafts", chain: "opus-first", asks: OPUS },
  { key: "tagging", name: "Tagging", chain: "sonnet-first", asks: SONNET },
];

export interface NightWorld {
  server: TestServer;
  endpoint: ClaudeEndpoint;
  operator: string;
  clients: readonly Andon[];
  flags: readonly NightFlag[];
  /** Everything that the endpoint received, oldest first. */
  sent: readonly Sent[];
  /** Asks the API as admin; the answer's body. Fails on anything but success. */
  api(method: string, path: string, body?: unknown): Promise<unknown>;
  /** Every client makes one call of each of these flags; resolves when all have ended, refused ones included. */
  callAll(flags: readonly string[]): Promise<void>;
  /** A client polls, and from then on neither reads nor closes, as a frozen process does. */
  freeze(instance: string): Promise<void>;
  /** A client whose process has `ANDON_KILL` set to these flags. */
  startHeld(instance: string, flags: string): Promise<void>;
  /** Resolves when all usage reported so far has been counted. */
  counted(): Promise<void>;
  close(): Promise<void>;
}

/** `flags` in all: those of the story, and calm ones. */
export async function startNight({
  flags: total,
  instances = 3,
}: {
  flags: number;
  instances?: number;
}): Promise<NightWorld> {
  const sent: Sent[] = [];
  const onCall = ({ model, body }: EndpointCall) =>
    void sent.push({ flag: String(body["system"]), model, atMs: performance.now() });
  const [server, endpoint] = await Promise.all([startTestServer({ jobs: true }), startClaudeEndpoint({ onCall })]);
  const flags = [...STORY, ...Array.from({ length: total - STORY.length }, (_, n) => calm(n))];
  const api: NightWorld["api"] = async (method, path, body) => {
    const response = await server.api(method, path, body, ADMIN_TOKEN);
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  };
  for (const [name, models] of Object.entries(CHAINS)) {
    await api("PUT", `${PRODUCTION}/chains/${name}`, { steps: models.map((model) => ({ model })) });
  }
  for (const { key, name, chain } of flags)
    await api("POST", `${PRODUCTION}/flags`, { key, name, chain, owner: "night" });
  const token = await makeToken(server.deps, { kind: "sdk" });
  const clients: Andon[] = [];
  const sockets: Socket[] = [];
  const start = async (instance: string, localKill?: string): Promise<void> => {
    const before = process.env["ANDON_KILL"];
    if (localKill !== undefined) process.env["ANDON_KILL"] = localKill;
    const client = new Andon({ url: server.url, token, instance, app: "night", flushIntervalMs: 100, logger: SILENT });
    if (before === undefined) delete process.env["ANDON_KILL"];
    else process.env["ANDON_KILL"] = before;
    await client.ready({ timeoutMs: 10_000 });
    clients.push(client);
  };
  for (let n = 1; n <= instances; n += 1) await start(`host-${n}`);

  const call = async (client: Andon, flag: NightFlag): Promise<void> => {
    const claude = new Anthropic({
      apiKey: "local",
      baseURL: endpoint.url,
      maxRetries: 0,
      middleware: [guard(client, { flag: flag.key })],
    });
    try {
      await claude.messages.create({
        model: flag.asks,
        max_tokens: 64,
        system: flag.key,
        messages: [{ role: "user", content: "Why did the line stop?" }],
      });
    } catch (error) {
      // Off is an answer too.
      if (!isFeatureDisabled(error)) throw error;
    }
  };
  return {
    server,
    endpoint,
    operator: await makeToken(server.deps, { kind: "op", role: "operator", name: "maria" }),
    clients,
    flags,
    sent,
    api,
    callAll: async (keys) => {
      const wanted = flags.filter(({ key }) => keys.includes(key));
      await Promise.all(clients.flatMap((client) => wanted.map((flag) => call(client, flag))));
    },
    freeze: async (instance) => {
      const { hostname, port } = new URL(server.url);
      const socket = connect({ host: hostname, port: Number(port) });
      sockets.push(socket);
      const etag = server.deps.snapshots.environmentByKey("production")?.etag ?? "";
      socket.write(
        `GET /sdk/v1/snapshot HTTP/1.1\r\nHost: ${hostname}\r\nAuthorization: Bearer ${token}\r\n` +
          `Andon-Instance: ${instance}\r\nAndon-App: night\r\nIf-None-Match: ${etag}\r\nPrefer: wait=60\r\n\r\n`,
      );
      await until(`${instance} has polled`, async () =>
        JSON.stringify(await api("GET", `${PRODUCTION}/instances`)).includes(`"${instance}"`),
      );
    },
    startHeld: start,
    counted: async () => {
      await until("all usage is counted", () => clients.every((client) => client.usageStats().waiting === 0));
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await Promise.all(clients.map((client) => client.close()));
      await Promise.all([server.close(), endpoint.close()]);
    },
  };
}

const calm = (n: number): NightFlag => ({
  key: `feature-${String(n).padStart(3, "0")}`,
  name: `Feature ${String(n).padStart(3, "0")}`,
  chain: n % 2 === 0 ? "opus-first" : "sonnet-first",
  asks: n % 2 === 0 ? OPUS : SONNET,
});
