/** `andon mcp` as an assistant meets it: the official client over the standard input and output of the real process. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { expectJson, expectStatus, type Harness, seed, startHarness, type Tokens } from "../http/harness.ts";

let harness: Harness;
const clients: Client[] = [];

beforeAll(async () => {
  harness = await startHarness();
  await seed(harness);
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await harness.close();
});

async function assistant(reads: keyof Tokens, kills: keyof Tokens | null) {
  const client = new Client({ name: "test", version: "1" });
  clients.push(client);
  const env = {
    ANDON_URL: harness.url,
    ANDON_OP_TOKEN: harness.tokens[reads],
    ...(kills !== null && { ANDON_KILL_TOKEN: harness.tokens[kills] }),
  };
  await client.connect(
    new StdioClientTransport({ command: process.execPath, args: ["dist/src/cli/main.js", "mcp"], env, stderr: "pipe" }),
  );
  const answer = z.object({ isError: z.boolean().default(false), content: z.array(z.object({ text: z.string() })) });
  return {
    tools: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: async (name: string, input: Record<string, unknown> = {}) => {
      const { isError, content } = answer.parse(await client.callTool({ name, arguments: input }));
      return { isError, text: content.map(({ text }) => text).join("\n") };
    },
  };
}

const state = async () => {
  const flag = z.object({ effective: z.object({ state: z.string(), model: z.string().nullable() }) });
  return (await expectJson(harness.call("GET", "/v1/environments/production/flags/support-chat"), flag)).effective;
};
const kill = { flag: "support-chat", reason: "burns 500 USD an hour" };

it("it reads with a viewer's token, and kills and steps down with a kill token", async () => {
  const { tools, call } = await assistant("viewer", "kill");
  expect(await tools()).toEqual(["status", "incidents", "budgets", "usage", "audit", "receipts", "kill", "downgrade"]);
  expect((await call("status")).text).toContain("support-chat: on, claude-opus-5-5");

  expect(await call("downgrade", { ...kill, model: "claude-haiku-4-5" })).toMatchObject({ isError: false });
  expect(await state()).toEqual({ state: "downgraded", model: "claude-haiku-4-5" });
  expect(await call("downgrade", { ...kill, level: 1 }), "one step up").toMatchObject({ isError: true });
  expect(await state()).toEqual({ state: "downgraded", model: "claude-haiku-4-5" });

  // A field that is misspelt is no wish that may be left out.
  expect(await call("kill", { ...kill, dryRun: true })).toMatchObject({ isError: true });
  expect((await state()).state).toBe("downgraded");
  const killed = await call("kill", kill);
  expect(killed.text).toMatch(/^support-chat: off since .* by test kill, "burns 500 USD an hour"/);
  expect((await state()).state).toBe("off");
  for (const name of ["incidents", "budgets", "usage", "audit", "receipts"])
    expect(await call(name), name).toMatchObject({ isError: false });
  expect((await call("audit", { flag: "support-chat" })).text).toContain("by test kill");
});

it("nothing that it has turns anything on", async () => {
  const { call } = await assistant("viewer", "kill");
  for (const name of ["restore", "unblock", "apply", "raise", "enable"])
    expect((await call(name, kill)).text).toContain("not found");
  expect((await state()).state).toBe("off");
});

it("without a kill token it only reads", async () => {
  const { tools, call } = await assistant("viewer", null);
  expect(await tools()).not.toContain("kill");
  expect((await call("kill", kill)).isError).toBe(true);
});

it.each(["operator", "admin", "kill"] as const)("it does not read with the token %s", async (name) => {
  const { call } = await assistant(name, "kill");
  const { isError, text } = await call("status");
  expect(isError).toBe(true);
  expect(text).not.toContain("support-chat");
  if (name !== "kill") expect(text).toContain("make an op token with role viewer");
});

it.each(["viewer", "operator", "admin"] as const)("it does not act with the token %s", async (name) => {
  const body = { reason: "next test" };
  await expectStatus(harness.call("POST", "/v1/environments/production/flags/support-chat/restore", { body }), 200);
  const { call } = await assistant("viewer", name);
  const { isError, text } = await call("kill", kill);
  expect({ isError, text }).toEqual({ isError: true, text: expect.stringContaining("make a token of kind kill") });
  expect((await state()).state).not.toBe("off");
});
