/** A server with a chain, three flags and connected applications (the real client): what an on-call finds. */
import { Andon } from "../../sdk-client/src/andon.ts";
import { ADMIN_TOKEN, makeToken, type ServerOptions, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

export const PRODUCTION = "/v1/environments/production";

export interface World {
  server: TestServer;
  clients: Andon[];
  operator: string;
  viewer: string;
  /** Asks the API as admin; fails on anything but success. */
  api(method: string, path: string, body?: unknown): Promise<void>;
  close(): Promise<void>;
}

export async function startWorld({
  instances = 3,
  ...options
}: ServerOptions & { instances?: number } = {}): Promise<World> {
  const server = await startTestServer(options);
  const api = async (method: string, path: string, body?: unknown) => {
    const response = await server.api(method, path, body, ADMIN_TOKEN);
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  };
  const steps = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5"].map((model) => ({ model }));
  await api("PUT", `${PRODUCTION}/chains/opus-first`, { steps });
  for (const [key, name] of [
    ["draft-reply", "Draft reply"],
    ["summarize-ticket", "Summarize ticket"],
    ["support-chat", "Support chat"],
  ]) {
    await api("POST", `${PRODUCTION}/flags`, { key, name, chain: "opus-first" });
  }
  const token = await makeToken(server.deps, { kind: "sdk" });
  const clients = Array.from(
    { length: instances },
    (_, at) => new Andon({ url: server.url, token, instance: `host-${at + 1}`, app: "shop", waitSeconds: 5 }),
  );
  await Promise.all(clients.map((client) => client.ready({ timeoutMs: 10_000 })));
  await until("every instance has sent a receipt", async () => {
    const response = await server.api("GET", `${PRODUCTION}/receipts`);
    return (await response.text()).includes(`"applied":${instances}`);
  });
  return {
    server,
    clients,
    api,
    operator: await makeToken(server.deps, { kind: "op", role: "operator", name: "maria" }),
    viewer: await makeToken(server.deps, { kind: "op", role: "viewer", name: "vera" }),
    close: async () => {
      await Promise.all(clients.map((client) => client.close()));
      await server.close();
    },
  };
}
