/** Every door of a body: what one call can name besides its `model`, and every address that makes a model work. */
import { betaRefusalFallbackMiddleware } from "@anthropic-ai/sdk/lib/middleware";
import * as middleware0 from "anthropic-sdk-0x/lib/middleware";
import type Anthropic from "@anthropic-ai/sdk";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { guard, isFeatureDisabled } from "../../sdk-client/src/anthropic.ts";
import { type AnyEndpoint, messageOf, startAnyEndpoint } from "../support/any-endpoint.ts";
import { FLAG, HAIKU, OPUS, snapshotOf, SONNET } from "../support/guard-snapshots.ts";
import {
  ASK,
  type ClientOptions,
  errorOf,
  makeClient,
  type Sdk,
  SDKS,
  startWorld,
  type World,
} from "../support/guard-world.ts";
import { startUsageWorld } from "../support/usage-world.ts";

const FABLE = "claude-fable-5-1";

let world: World;
let endpoint: AnyEndpoint;
beforeAll(async () => {
  [world, endpoint] = await Promise.all([startWorld(), startAnyEndpoint()]);
});
afterEach(() => {
  endpoint.sent.length = 0;
  endpoint.answer = undefined;
});
afterAll(() => Promise.all([world.close(), endpoint.close()]));

const clientOf = (Sdk: Sdk, options: ClientOptions = {}): Anthropic =>
  makeClient(Sdk, world.andon, endpoint.url, { maxRetries: 0, ...options });

/** A call by the SDK's own means, or the SDK's `post` for what it has no method for. */
type Call = (claude: Anthropic) => PromiseLike<unknown>;

const post =
  (path: string, body: unknown): Call =>
  (claude) =>
    claude.post(path, { body });
const messages = (changes: object): Call => post("/v1/messages", { ...ASK, model: SONNET, ...changes });
/** A call whose encoded body other middleware has replaced. */
const writing =
  (body: string): Call =>
  (claude) => {
    const edited = claude.withOptions({
      middleware: [(request, next) => next({ ...request, body }), ...claude.middleware],
    });
    return edited.messages.create({ ...ASK, model: SONNET });
  };
const ADVISOR = { type: "advisor_20260301", name: "advisor", model: OPUS };
const SPELLINGS = [
  "claude-opus-5-5",
  "claude-opus-5-5-20260901",
  "claude-opus-5-5@20260901",
  "us.anthropic.claude-opus-5-5-20260901-v1:0",
  "anthropic/claude-opus-5.5",
  "CLAUDE-OPUS-5-5",
  "claude-opus-5-5-latest",
  "projects/p/locations/l/publishers/anthropic/models/claude-opus-5-5",
];

/** Each would bring Opus to the endpoint if the guard only looked at `model`, in the one spelling, on the one path. */
const NAMING_OPUS: readonly (readonly [string, Call])[] = [
  ...SPELLINGS.map((model) => [`model: ${model}`, messages({ model })] as const),
  ["a fallback", messages({ fallbacks: [{ model: OPUS }] })],
  [
    "a fallback in another spelling",
    messages({ fallbacks: [{ model: "anthropic/claude-opus-5.5" }, { model: HAIKU }] }),
  ],
  ["fallbacks as text", messages({ fallbacks: [OPUS] })],
  ["an advisor", messages({ tools: [ADVISOR] })],
  ["an advisor that does not exist yet", messages({ tools: [{ ...ADVISOR, type: "advisor_20290101" }] })],
  [
    "another tool with a model",
    messages({ tools: [{ type: "expert_20290101", name: "e", config: { models: [OPUS] } }] }),
  ],
  [
    "an advisor added by a system message",
    messages({
      messages: [
        ...ASK.messages,
        {
          role: "system",
          content: [{ type: "tool_addition", tool: { type: "tool_definition", definition: ADVISOR } }],
        },
      ],
    }),
  ],
  ["a field that does not exist yet", messages({ speculation: { draft: { model: OPUS } } })],
  ["a batch item", post("/v1/messages/batches", { requests: [{ custom_id: "1", params: { ...ASK, model: OPUS } }] })],
  [
    "a fallback of a batch item",
    post("/v1/messages/batches", {
      requests: [{ custom_id: "1", params: { ...ASK, model: SONNET, fallbacks: [{ model: OPUS }] } }],
    }),
  ],
  [
    "an advisor of a batch item",
    post("/v1/messages/batches", {
      requests: [{ custom_id: "1", params: { ...ASK, model: SONNET, tools: [ADVISOR] } }],
    }),
  ],
  ["token counting", (claude) => claude.messages.countTokens({ model: OPUS, messages: ASK.messages })],
  ["beta token counting", (claude) => claude.beta.messages.countTokens({ model: OPUS, messages: ASK.messages })],
  ["text completions", post("/v1/complete", { model: OPUS, prompt: "x", max_tokens_to_sample: 1 })],
  ["the chat completions of other APIs", post("/v1/chat/completions", { model: OPUS, messages: [] })],
  ["an agent", post("/v1/agents", { name: "a", model: OPUS })],
  ["an agent's model with a speed", post("/v1/agents", { name: "a", model: { id: OPUS, speed: "fast" } })],
  ["an agent's new version", post("/v1/agents/a_1", { version: 1, model: OPUS })],
  [
    "an advisor of an agent",
    post("/v1/agents", { name: "a", model: SONNET, multiagent: { advisor: { type: "enabled", model: OPUS } } }),
  ],
  [
    "a session's own model",
    post("/v1/sessions", { environment_id: "e", agent: { type: "agent_with_overrides", id: "a", model: OPUS } }),
  ],
  ["a dream", post("/v1/dreams", { inputs: [], model: OPUS })],
  ["a path with a slash at its end", post("/v1/messages/", { ...ASK })],
  ["a path with two slashes", post("/v1//messages", { ...ASK })],
  ["a path with an escape", post("/v1/%6dessages", { ...ASK })],
  ["a path in capitals", post("/V1/Messages", { ...ASK })],
  ["a path with a query", post("/v1/messages?beta=true", { ...ASK })],
  ["a body that is text", post("/v1/messages", JSON.stringify(ASK))],
  [
    "a body that names its model twice",
    writing(JSON.stringify({ ...ASK, model: OPUS }).replace(/}$/, `,"model":"${SONNET}"}`)),
  ],
  ["a body of bytes", post("/v1/messages", new TextEncoder().encode(JSON.stringify(ASK)))],
  ["another method", (claude) => claude.put("/v1/messages", { body: ASK })],
  ["the address of Bedrock", post(`/model/anthropic.${OPUS}-v1:0/invoke`, { messages: ASK.messages, max_tokens: 1 })],
  [
    "the address of Vertex",
    post(`/v1/projects/p/locations/l/publishers/anthropic/models/${OPUS}@20260901:rawPredict`, { max_tokens: 1 }),
  ],
  [
    "what other middleware writes into the encoded body",
    writing(JSON.stringify({ ...ASK, tools: [{ ...ADVISOR, model: SONNET }], fallbacks: [{ model: OPUS }] })),
  ],
];

describe.each(SDKS)("$name", ({ Sdk }) => {
  it("each of these brings Opus to the API while nothing is against it", async () => {
    for (const [what, call] of NAMING_OPUS) {
      endpoint.sent.length = 0;
      await call(clientOf(Sdk));
      expect(addressesAndBodies(), what).toMatch(/opus/i);
    }
  });

  describe("with Opus blocked", () => {
    beforeAll(() => world.change({ blockedModels: [OPUS] }));
    afterAll(() => world.change(snapshotOf()));

    it.each(NAMING_OPUS)("the API sees none of it: %s", async (_what, call) => {
      const error: unknown = await call(clientOf(Sdk)).then(
        () => null,
        (thrown: unknown) => thrown,
      );
      expect(error === null || isFeatureDisabled(error)).toBe(true);
      expect(addressesAndBodies()).not.toMatch(/opus/i);
    });

    it("a refusal of what a body names says what to change; what can be left out is left out", async () => {
      const error = await errorOf(
        Promise.resolve(post("/v1/agents", { name: "a", multiagent: { advisor: { model: OPUS } } })(clientOf(Sdk))),
      );
      expect(error).toMatchObject({ reason: "NO_MODEL", hint: expect.stringContaining("multiagent.advisor.model") });
      const history = [
        ...ASK.messages,
        {
          role: "assistant",
          content: [
            { type: "server_tool_use", id: "s", name: "advisor", input: {} },
            { type: "advisor_tool_result", tool_use_id: "s", content: {} },
            { type: "text", text: "So." },
          ],
        },
        ...ASK.messages,
      ];
      const own = { name: "look", input_schema: { type: "object", properties: { model: { const: OPUS } } } };
      await messages({
        messages: history,
        tools: [ADVISOR, own],
        tool_choice: { type: "tool", name: "advisor" },
        fallbacks: [{ model: OPUS }, { model: HAIKU }],
      })(clientOf(Sdk));
      expect(bodies()).toEqual([
        {
          ...ASK,
          model: SONNET,
          messages: [ASK.messages[0], { role: "assistant", content: [{ type: "text", text: "So." }] }, ASK.messages[0]],
          tools: [own],
          fallbacks: [{ model: HAIKU }],
        },
      ]);
    });
  });

  it("what a body names is held to the level and to the chain too, and left alone where nothing is against it", async () => {
    const body = { ...ASK, model: SONNET, fallbacks: [{ model: OPUS }, { model: HAIKU }], tools: [ADVISOR] };
    await messages(body)(clientOf(Sdk));
    await messages({ fallbacks: "default" })(clientOf(Sdk));
    await world.setFlag({ level: 1 });
    await messages(body)(clientOf(Sdk));
    await messages({ fallbacks: "default" })(clientOf(Sdk));
    await world.setFlag({ level: 0, chainOnly: true });
    await messages({ fallbacks: [{ model: FABLE }, { model: HAIKU }] })(clientOf(Sdk));
    expect(bodies().map(({ fallbacks, tools }) => ({ fallbacks, tools }))).toEqual([
      { fallbacks: body.fallbacks, tools: [ADVISOR] },
      { fallbacks: "default", tools: undefined },
      { fallbacks: [{ model: HAIKU }], tools: undefined },
      { fallbacks: undefined, tools: undefined },
      { fallbacks: [{ model: HAIKU }], tools: undefined },
    ]);
    await world.change(snapshotOf());
  });

  it("counts tokens for the model that would be sent", async () => {
    await world.setFlag({ level: 1 });
    await clientOf(Sdk).messages.countTokens({ model: OPUS, messages: ASK.messages });
    expect(bodies()).toEqual([{ model: SONNET, messages: ASK.messages }]);
    await world.change(snapshotOf());
  });

  describe("while off", () => {
    beforeAll(() => world.kill());
    afterAll(() => world.change(snapshotOf()));

    it.each<[string, Call]>([
      ["messages", messages({})],
      ["batches", post("/v1/messages/batches", { requests: [] })],
      ["text completions", post("/v1/complete", { model: SONNET, prompt: "x" })],
      ["a session", post("/v1/sessions", { agent: "a", environment_id: "e" })],
      ["events of a session", post("/v1/sessions/s_1/events", { events: [{ type: "user.message", content: [] }] })],
      [
        "a stop among other events",
        post("/v1/sessions/s_1/events", { events: [{ type: "user.interrupt" }, { type: "user.tool_result" }] }),
      ],
      ["a dream", post("/v1/dreams", { model: SONNET, inputs: [] })],
      ["a deployment, which runs by itself", post("/v1/deployments", { agent: "a" })],
      ["a run of a deployment", post("/v1/deployments/d_1/run", {})],
      ["a paused deployment that goes on", post("/v1/deployments/d_1/unpause", {})],
    ])("whatever makes a model work is refused: %s", async (_what, call) => {
      expect(isFeatureDisabled(await errorOf(Promise.resolve(call(clientOf(Sdk)))))).toBe(true);
      expect(endpoint.sent).toEqual([]);
    });

    it.each<[string, Call]>([
      ["models", (claude) => claude.get("/v1/models")],
      ["a batch's results", (claude) => claude.get("/v1/messages/batches/b_1/results")],
      ["the end of a batch", post("/v1/messages/batches/b_1/cancel", {})],
      ["token counting", (claude) => claude.messages.countTokens({ model: SONNET, messages: ASK.messages })],
      ["a file", post("/v1/files", new Uint8Array([1, 2, 3]))],
      ["a token exchange", post("/v1/oauth/token", { grant_type: "x" })],
      ["an event that stops a session", post("/v1/sessions/s_1/events", { events: [{ type: "user.interrupt" }] })],
      ["the end of a session", post("/v1/sessions/s_1/archive", {})],
      ["the pause of a deployment", post("/v1/deployments/d_1/pause", {})],
      ["the end of a dream", post("/v1/dreams/d_1/cancel", {})],
    ])("everything else passes: %s", async (_what, call) => {
      await call(clientOf(Sdk, { flag: FLAG }));
      expect(endpoint.sent).toHaveLength(1);
    });
  });
});

const refusing = (body: Record<string, unknown>): unknown =>
  body["model"] === FABLE
    ? messageOf(FABLE, {
        stop_reason: "refusal",
        stop_details: { type: "refusal", category: "cyber", fallback_credit_token: "t" },
      })
    : undefined;
const beta = (claude: Anthropic) => claude.beta.messages.create({ ...ASK, model: FABLE });

describe("the SDK's own refusal fallbacks", () => {
  const [one, zero] = SDKS.map((sdk, index) => ({
    ...sdk,
    refusalFallbacks: index === 0 ? betaRefusalFallbackMiddleware : sameFallbacks(middleware0),
  }));
  const BOTH = [one, zero].filter((each) => each !== undefined);
  it.each(BOTH)("before the guard each of their calls is held and told ($name)", async ({ Sdk, refusalFallbacks }) => {
    const usage = await startUsageWorld();
    const chains = { default: { steps: [FABLE, OPUS, SONNET].map((model) => ({ model })) } };
    await usage.change({ ...snapshotOf(), chains });
    endpoint.answer = refusing;
    const guarded = makeClient(Sdk, usage.andon, endpoint.url, { maxRetries: 0 });
    const claude = guarded.withOptions({
      logLevel: "off",
      middleware: [refusalFallbacks([{ model: OPUS }]), ...guarded.middleware],
    });
    expect((await beta(claude)).model).toBe(OPUS);
    await usage.change({ blockedModels: [OPUS] });
    expect((await beta(claude)).model).toBe(SONNET);
    expect(bodies().map(({ model }) => model)).toEqual([FABLE, OPUS, FABLE, SONNET]);
    expect(await usage.finish()).toMatchObject([
      { model: FABLE, outcome: "refused" },
      { model: OPUS, outcome: "ok" },
      { model: FABLE, outcome: "refused" },
      { model: SONNET, outcome: "ok" },
    ]);
  });

  it.each(BOTH)(
    "behind the guard they are refused in words, and nothing is sent ($name)",
    async ({ Sdk, refusalFallbacks }) => {
      endpoint.answer = refusing;
      const guarded = clientOf(Sdk);
      const seen: unknown[] = [];
      const claude = guarded.withOptions({
        middleware: [
          ...guarded.middleware,
          (request, next, ctx) => {
            seen.push(JSON.stringify(ctx.options?.body));
            return next(request);
          },
          refusalFallbacks([{ model: OPUS }]),
        ],
      });
      const error = await errorOf(beta(claude));
      expect(error).toMatchObject({ code: "ANDON_MIDDLEWARE_ORDER" });
      expect(error).toBeInstanceOf(Sdk.AnthropicError);
      expect(error.message).toContain("middleware: [betaRefusalFallbackMiddleware([...]), guard(andon, { flag })]");
      expect((await errorOf(claude.beta.messages.stream({ ...ASK, model: FABLE }).finalMessage())).message).toBe(
        error.message,
      );
      expect(endpoint.sent).toEqual([]);
      // Others may read the body as it was given.
      expect(seen[0]).toBe(JSON.stringify({ ...ASK, model: FABLE }));
      expect((await claude.messages.create(ASK)).model).toBe(OPUS);
    },
  );

  it.each(SDKS)("two guards around nothing find nothing ($name)", async ({ Sdk }) => {
    const guarded = clientOf(Sdk);
    const claude = guarded.withOptions({ middleware: [guard(world.andon, { flag: FLAG }), ...guarded.middleware] });
    endpoint.answer = (body) => (body["model"] === OPUS ? { type: "error", error: { type: "api_error" } } : undefined);
    await claude.beta.messages.create({ ...ASK, model: SONNET });
    expect(bodies()).toEqual([{ ...ASK, model: SONNET }]);
  });
});

/** The two majors' are called alike; their types do not know that. */
function sameFallbacks(module: object): typeof betaRefusalFallbackMiddleware {
  const found: unknown = Reflect.get(module, "betaRefusalFallbackMiddleware");
  if (!isFallbacks(found)) throw new Error("no refusal fallbacks in this SDK");
  return found;
}

function isFallbacks(found: unknown): found is typeof betaRefusalFallbackMiddleware {
  return typeof found === "function";
}

function addressesAndBodies(): string {
  return endpoint.sent.map(({ path, body }) => path + body).join("\n");
}

function bodies(): Record<string, unknown>[] {
  return endpoint.sent.map(({ body }) => JSON.parse(body));
}
