/** From a guarded call to the ledger, with nothing in between replaced: the real server counts what the endpoint billed. */
import Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Andon } from "../../sdk-client/src/andon.ts";
import { guard } from "../../sdk-client/src/anthropic.ts";
import { type ClaudeEndpoint, startClaudeEndpoint } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { estimateTokens } from "../../src/demo/claude-endpoint/shapes.ts";
import { usageMinutes } from "../../src/db/schema/usage.ts";
import { ASK, errorOf, SILENT } from "../support/guard-world.ts";
import { makeToken, startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
let endpoint: ClaudeEndpoint;
beforeAll(async () => {
  [server, endpoint] = await Promise.all([startTestServer({ database: "memory" }), startClaudeEndpoint()]);
}, 60_000);
afterAll(() => Promise.all([server.close(), endpoint.close()]));

it("counts every finished call to the token, failed attempts at nothing, and every record is accepted", async () => {
  const token = await makeToken(server.deps, { kind: "sdk" });
  const andon = new Andon({ url: server.url, token, logger: SILENT, flushIntervalMs: 100 }, { env: {} });
  await andon.ready();
  const middleware = [guard(andon, { flag: "support-chat" })];
  const client = new Anthropic({ apiKey: "test", baseURL: endpoint.url, middleware, maxRetries: 0 });
  for (let call = 0; call < 3; call += 1) await client.messages.create({ ...ASK, system: "Be brief." });
  await client.messages.stream({ ...ASK, metadata: { user_id: "user \u{1f600}" } }).finalMessage();
  endpoint.behave("*", { kind: "error", status: 500, type: "api_error" });
  await errorOf(client.messages.create(ASK));
  await andon.close();
  expect(andon.usageStats()).toEqual({ waiting: 0, acknowledgedRecords: 5, summedAttempts: 0, droppedRecords: 0 });
  const rows = await server.deps.db.select().from(usageMinutes);
  const total = (pick: (row: (typeof rows)[number]) => number): number => rows.reduce((sum, row) => sum + pick(row), 0);
  const finished = endpoint.calls.filter(({ status }) => status === 200);
  expect(total((row) => row.attempts)).toBe(5);
  expect(total((row) => row.errors)).toBe(1);
  expect(total((row) => row.output)).toBe(finished.reduce((sum, call) => sum + call.tokensSent, 0));
  expect(total((row) => row.input)).toBe(finished.reduce((sum, call) => sum + estimateTokens({ ...call.body }), 0));
  expect(total((row) => row.estimatedNanoUsd)).toBe(0);
});
