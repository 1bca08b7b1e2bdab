/** What is sent fits the model: thinking blocks in tool loops, whichever models answered the turns before. */
import type Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { type AnyEndpoint, messageOf, startAnyEndpoint } from "../support/any-endpoint.ts";
import { HAIKU, snapshotOf } from "../support/guard-snapshots.ts";
import { makeClient, type Sdk, SDKS, startWorld, type World } from "../support/guard-world.ts";

/** Models that think by a budget: later ones decide for themselves, and their API drops what it cannot read. */
const SONNET = "claude-sonnet-4-6";

let world: World;
let endpoint: AnyEndpoint;
/** Which models fail now. */
let down: ReadonlySet<string> = new Set();
beforeAll(async () => {
  const chains = { default: { steps: [{ model: SONNET }, { model: HAIKU }] } };
  [world, endpoint] = await Promise.all([startWorld({}, { chains }), startAnyEndpoint()]);
  endpoint.answer = (body) => strictAnswer(body);
});
beforeEach(() => {
  endpoint.sent.length = 0;
  down = new Set();
});
afterAll(() => Promise.all([world.close(), endpoint.close()]));

const fault = (status: number, message: string) => ({
  status,
  type: "error",
  error: { type: status === 400 ? "invalid_request_error" : "overloaded_error", message },
});

let blocks = 0;

/** The API's two rules: a thinking block is of the model that reads it, and begins the last turn of an open tool loop. */
function strictAnswer(body: Record<string, unknown>): unknown {
  const { model, messages, thinking } = body;
  if (down.has(String(model))) return fault(529, "Overloaded");
  const turns = z.array(z.object({ content: z.union([z.string(), z.array(z.looseObject({ type: z.string() }))]) }));
  const contents = turns.parse(messages).map(({ content }) => (typeof content === "string" ? [] : content));
  for (const block of contents.flat()) {
    const seal = block["signature"] ?? block["data"];
    const isForeign = typeof seal === "string" && !seal.startsWith(`${String(model)}:`);
    if (isForeign) return fault(400, "Invalid `signature`");
  }
  const isThinking = Reflect.get(Object(thinking), "type") === "enabled";
  const isOpen = contents.at(-1)?.some((block) => block["type"] === "tool_result") === true;
  if (isThinking && isOpen && contents.at(-2)?.[0]?.type.endsWith("thinking") !== true) {
    return fault(400, "Expected `thinking` or `redacted_thinking`, but found `tool_use`");
  }
  blocks += 1;
  const seal = `${String(model)}:${blocks}`;
  const thought =
    blocks % 2 === 0 ? { type: "redacted_thinking", data: seal } : { type: "thinking", thinking: "…", signature: seal };
  const content = [...(isThinking ? [thought] : []), { type: "tool_use", id: `t${blocks}`, name: "look", input: {} }];
  return contents.length < 7 ? messageOf(model, { content, stop_reason: "tool_use" }) : messageOf(model);
}

type Messages = Anthropic.MessageParam[];

/** Four turns of one tool loop; `before` says what happens before each. Which model answered each. */
async function loop(
  ask: (messages: Messages) => Promise<Anthropic.Message>,
  before: (turn: number) => unknown,
): Promise<string[]> {
  const messages: Messages = [{ role: "user", content: "go" }];
  const answered: string[] = [];
  for (let turn = 1; turn <= 4; turn += 1) {
    await before(turn);
    const message = await ask(messages);
    answered.push(message.model);
    messages.push({ role: "assistant", content: message.content });
    const call = message.content.at(-1);
    if (call?.type !== "tool_use") break;
    messages.push({ role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "42" }] });
  }
  return answered;
}

const SENDERS: readonly (readonly [string, (claude: Anthropic, messages: Messages) => Promise<Anthropic.Message>])[] = [
  ["create", (claude, messages) => claude.messages.create(bodyOf(messages))],
  ["stream", (claude, messages) => claude.messages.stream(bodyOf(messages)).finalMessage()],
];

const bodyOf = (messages: Messages) => ({
  model: SONNET,
  max_tokens: 4_000,
  thinking: { type: "enabled" as const, budget_tokens: 2_000 },
  tools: [{ name: "look", input_schema: { type: "object" as const } }],
  messages,
});

const clientOf = (Sdk: Sdk) => makeClient(Sdk, world.andon, endpoint.url, { maxRetries: 0 });

describe.each(SDKS)("$name", ({ Sdk }) => {
  describe.each(SENDERS)("%s", (_how, send) => {
    const loopThrough = (before: (turn: number) => unknown) => {
      const claude = clientOf(Sdk);
      return loop((messages) => send(claude, [...messages]), before);
    };

    it("a tool loop goes on by the model asked for, thinking all along", async () => {
      expect(await loopThrough(() => undefined)).toEqual([SONNET, SONNET, SONNET, SONNET]);
      expect(thinkings()).toEqual(["enabled", "enabled", "enabled", "enabled"]);
    });

    it("a model that stands in all along keeps its own thinking", async () => {
      down = new Set([SONNET]);
      expect(await loopThrough(() => undefined)).toEqual([HAIKU, HAIKU, HAIKU, HAIKU]);
      expect(thinkings()).not.toContain("disabled");
    });

    it("a model that steps in goes on without the thinking of the other, and so does the other when it is back", async () => {
      const isDownAt = (turns: number[]) => (turn: number) =>
        void (down = new Set(turns.includes(turn) ? [SONNET] : []));
      expect(await loopThrough(isDownAt([2]))).toEqual([SONNET, HAIKU, SONNET, SONNET]);
      expect(await loopThrough(isDownAt([1]))).toEqual([HAIKU, SONNET, SONNET, SONNET]);
      expect(await loopThrough(isDownAt([1, 3]))).toEqual([HAIKU, SONNET, HAIKU, SONNET]);
    });

    it("a loop that on-call steps down and up again is never refused", async () => {
      const answered = await loopThrough((turn) => world.setFlag({ level: turn === 2 || turn === 3 ? 1 : 0 }));
      expect(answered).toEqual([SONNET, HAIKU, HAIKU, SONNET]);
      await world.change(snapshotOf({ chains: world.server.snapshot.chains }));
    });
  });

  it("blocks that nobody saw being written are those of the model asked for", async () => {
    const thought = { type: "thinking" as const, thinking: "…", signature: `${SONNET}:elsewhere` };
    const messages: Messages = [
      { role: "user", content: "go" },
      { role: "assistant", content: [thought, { type: "text", text: "So." }] },
      { role: "user", content: "on" },
    ];
    expect((await clientOf(Sdk).messages.create(bodyOf(messages))).model).toBe(SONNET);
    down = new Set([SONNET]);
    expect((await clientOf(Sdk).messages.create(bodyOf(messages))).model).toBe(HAIKU);
  });

  it("without thinking nothing is asked that needs it, and kinds of thinking that few models know go with their model", async () => {
    const messages = [
      { role: "user", content: "go" },
      { role: "assistant", content: [{ type: "tool_use", id: "t", name: "look", input: {} }] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: "t", content: "42" }] },
    ];
    const edits = [{ type: "clear_thinking_20251015", keep: "all" }, { type: "clear_tool_uses_20250919" }];
    const claude = clientOf(Sdk);
    await claude.post("/v1/messages", { body: { ...bodyOf([]), messages, context_management: { edits } } });
    down = new Set([SONNET]);
    await claude.post("/v1/messages", {
      body: { ...bodyOf([]), messages: [messages[0]], thinking: { type: "between_tools" }, fallback_credit_token: "t" },
    });
    const [first, , last] = endpoint.sent.map(({ body }): Record<string, unknown> => JSON.parse(body));
    expect(first).toMatchObject({ thinking: { type: "disabled" }, context_management: { edits: [edits[1]] } });
    expect(last).toMatchObject({ model: HAIKU });
    expect(last).not.toHaveProperty("thinking");
    expect(last).not.toHaveProperty("fallback_credit_token");
  });
});

/** The kind of thinking asked for by each call to a model that is not down. */
function thinkings(): unknown[] {
  const bodies = endpoint.sent.map(({ body }): Record<string, unknown> => JSON.parse(body));
  return bodies
    .filter(({ model }) => !down.has(String(model)))
    .map(({ thinking }) => Reflect.get(Object(thinking), "type"));
}
