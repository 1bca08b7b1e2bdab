/** The level in the snapshot follows the model that on-call meant, not its position. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  await putChain(["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5"]);
  await expectOk(
    server.api("POST", `${PRODUCTION}/flags`, { key: "support-chat", name: "Support chat", chain: "main" }),
  );
  await expectOk(server.api("POST", `${PRODUCTION}/flags/support-chat/downgrade`, { level: 1, reason: "slow" }));
});
afterAll(() => server.close());

const PRODUCTION = "/v1/environments/production";
const expectOk = async (call: Promise<Response>) => {
  const response = await call;
  expect(response.ok, await response.clone().text()).toBe(true);
};
const putChain = (models: string[]) =>
  expectOk(server.api("PUT", `${PRODUCTION}/chains/main`, { steps: models.map((model) => ({ model })) }));
const level = () => server.deps.snapshots.environmentByKey("production")?.snapshot.flags["support-chat"]?.level;

it("is the position of the model at first", () => {
  expect(level()).toBe(1);
});

it("moves with the model when a step is put before it", async () => {
  await putChain(["claude-fable-5-1", "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5"]);
  expect(level()).toBe(2);
});

it("never leaves the chain when the model is gone", async () => {
  await putChain(["claude-haiku-4-5"]);
  expect(level()).toBe(0);
});
