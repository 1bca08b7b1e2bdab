/** Message threads: a conversation that the provider holds, on a chain whose steps set what belongs to the thread. */
import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { type AnyEndpoint, messageOf, startAnyEndpoint } from "../support/any-endpoint.ts";
import { HAIKU, OPUS, SONNET } from "../support/guard-snapshots.ts";
import { makeClient, startWorld, type World } from "../support/guard-world.ts";

let world: World;
let endpoint: AnyEndpoint;
let claude: Anthropic;
beforeAll(async () => {
  const steps = [{ model: OPUS }, { model: SONNET, set: { system: "Be short." } }, { model: HAIKU }];
  [world, endpoint] = await Promise.all([startWorld({}, { chains: { default: { steps } } }), startAnyEndpoint()]);
  claude = makeClient(Anthropic, world.andon, endpoint.url, { maxRetries: 0 });
});
afterAll(() => Promise.all([world.close(), endpoint.close()]));

/** Model, kind of thread and number of messages of each request since the last look. */
function sent(): unknown[] {
  return endpoint.sent.splice(0).map(({ body }) => {
    const { model, thread, messages, system } = z
      .object({
        model: z.string(),
        thread: z.object({ type: z.string() }),
        messages: z.array(z.unknown()),
        system: z.string().optional(),
      })
      .parse(JSON.parse(body));
    return [model, thread.type, messages.length, system];
  });
}

it("a step that sets the thread's own fields sends the whole conversation; others continue the thread", async () => {
  const thread = claude.beta.messages.thread({ model: OPUS, max_tokens: 64 });
  await thread.send({ role: "user", content: "one" });
  await thread.send({ role: "user", content: "two" });
  await world.setFlag({ level: 1 });
  await thread.send({ role: "user", content: "three" });
  await world.setFlag({ level: 2 });
  await thread.send({ role: "user", content: "four" });
  expect(sent()).toEqual([
    [OPUS, "create", 1, undefined],
    [OPUS, "continue", 1, undefined],
    [SONNET, "create", 5, "Be short."],
    [HAIKU, "continue", 1, undefined],
  ]);
  await world.setFlag({ level: 0 });
});

it("a tool runner goes on over a downgrade, and a failing model is not stepped to one that cannot continue", async () => {
  const look = betaZodTool({
    name: "look",
    inputSchema: z.object({}),
    description: "",
    run: () => world.setFlag({ level: 1 }).then(() => "42"),
  });
  endpoint.answer = (body) => {
    const text = JSON.stringify(body["messages"]);
    const content = [{ type: "tool_use", id: "t1", name: "look", input: {} }];
    return text.includes("tool_result") ? undefined : messageOf(body["model"], { content, stop_reason: "tool_use" });
  };
  const runner = claude.beta.messages.toolRunner({
    model: OPUS,
    max_tokens: 64,
    messages: [{ role: "user", content: "go" }],
    tools: [look],
  });
  expect((await runner.runUntilDone()).model).toBe(SONNET);
  expect(sent()).toEqual([
    [OPUS, "create", 1, undefined],
    [SONNET, "create", 3, "Be short."],
  ]);
  await world.setFlag({ level: 0 });
  endpoint.answer = () => ({ status: 529, error: { type: "overloaded_error", message: "Overloaded" } });
  const again = {
    model: OPUS,
    max_tokens: 64,
    messages: [{ role: "user", content: "on" }],
    thread: { type: "continue", previous_message_id: "msg_1" },
  };
  await expect(claude.post("/v1/messages", { body: again })).rejects.toMatchObject({ status: 529 });
  expect(sent()).toEqual([[OPUS, "continue", 1, undefined]]);
});
