/** A guarded client whose usage is reported to a scripted server, and what arrived there. */
import { onTestFinished } from "vitest";
import { Andon } from "../../sdk-client/src/andon.ts";
import type { AndonOptions } from "../../sdk-client/src/index.ts";
import type { Snapshot } from "../../sdk-client/src/wire/protocol.ts";
import type { UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";
import { type ClaudeEndpoint, startClaudeEndpoint } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { snapshotOf } from "./guard-snapshots.ts";
import { type ClientOptions, makeClient, type Sdk, SILENT } from "./guard-world.ts";
import { until } from "./until.ts";
import { UsageServer } from "./usage-server.ts";

export interface UsageWorld {
  andon: Andon;
  endpoint: ClaudeEndpoint;
  server: UsageServer;
  client(Sdk: Sdk, options?: ClientOptions): ReturnType<typeof makeClient>;
  /** Publishes the change to all who poll from now on, and waits until the client decides by it. */
  change(changes: Partial<Snapshot>): Promise<void>;
  /** Closes the client, which sends what waits; all records that were counted. */
  finish(): Promise<UsageRecord[]>;
}

/** Starts it; ends it with the test. */
export async function startUsageWorld(options: AndonOptions = {}): Promise<UsageWorld> {
  const server = new UsageServer(snapshotOf());
  server.parks = false;
  const [url, endpoint] = await Promise.all([server.listen(), startClaudeEndpoint()]);
  const andon = new Andon(
    { url, token: "andon_sdk_test", logger: SILENT, pollIntervalMs: 100, ...options },
    { env: {} },
  );
  await andon.ready();
  onTestFinished(async () => {
    await andon.close();
    await Promise.all([server.close(), endpoint.close()]);
  });
  let n = 1;
  return {
    andon,
    endpoint,
    server,
    client: (Sdk, clientOptions = {}) => makeClient(Sdk, andon, endpoint.url, clientOptions),
    change: async (changes) => {
      n += 1;
      const revision = `a.${n}`;
      server.snapshot = { ...server.snapshot, ...changes, revision };
      await until("the change to decide", () => andon.evaluate("any").revision === revision);
    },
    finish: async () => {
      await andon.close();
      return server.records;
    },
  };
}
