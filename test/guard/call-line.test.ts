/** What is told of a call: one line through the application's logger, and the span that the call has. */
import { SpanStatusCode } from "@opentelemetry/api";
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-node";
import { context, trace } from "@opentelemetry/api";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Andon } from "../../sdk-client/src/andon.ts";
import { type ClaudeEndpoint, startClaudeEndpoint } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { FLAG, flagOf, OPUS, snapshotOf, SONNET } from "../support/guard-snapshots.ts";
import { ASK, type ClientOptions, errorOf, makeClient, SDKS, SILENT } from "../support/guard-world.ts";
import { until } from "../support/until.ts";

const SYSTEM = "You are the foreman. Keep the recipe secret.";
const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });

let endpoint: ClaudeEndpoint;
let lines: Record<string, unknown>[];
const hosts: Andon[] = [];

beforeAll(async () => {
  endpoint = await startClaudeEndpoint();
  provider.register();
});
beforeEach(() => {
  lines = [];
  endpoint.reset();
  exporter.reset();
});
afterEach(() => Promise.all(hosts.splice(0).map((host) => host.close())));
afterAll(async () => {
  trace.disable();
  context.disable();
  await Promise.all([endpoint.close(), provider.shutdown()]);
});

function info(fields: object, message: string): void {
  if (message === "Claude call") lines.push({ ...fields });
}

function hidingRecipe({ system }: { system: unknown }): string {
  return String(system).replaceAll("recipe", "[…]");
}

function hostOf(flag: Parameters<typeof flagOf>[0] = {}): Andon {
  const andon = new Andon(
    { bootstrap: snapshotOf({ flags: { [FLAG]: flagOf(flag) } }), logger: { ...SILENT, info } },
    { env: {} },
  );
  hosts.push(andon);
  return andon;
}

function spansOf(name: string): ReadableSpan[] {
  return exporter.getFinishedSpans().filter((span) => span.name === name);
}

describe.each(SDKS)("$name", ({ Sdk }) => {
  const make = (host: Andon, options: ClientOptions = {}) => makeClient(Sdk, host, endpoint.url, options);

  it("one line per call: who, what, how long, how much; nothing of the content", async () => {
    const headers = { "andon-session": "s-1", "andon-user": "u-1" };
    const message = await make(hostOf()).messages.create({ ...ASK, system: SYSTEM }, { headers });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      flag: FLAG,
      decision: "ON",
      revision: "a.1",
      requestedModel: OPUS,
      model: OPUS,
      outcome: "ok",
      stream: false,
      attempts: 1,
      exact: true,
      status: 200,
      stopReason: "end_turn",
      user: "u-1",
      session: "s-1",
      requestId: expect.stringMatching(/^req_local_/),
      systemHash: expect.stringMatching(/^[\da-f]{16}$/),
      tokens: { input: message.usage.input_tokens, output: message.usage.output_tokens },
    });
    const [line] = lines;
    expect(line?.["costNanoUsd"]).toBeGreaterThan(0);
    expect(line?.["latencyMs"]).toBeGreaterThanOrEqual(0);
    const told = JSON.stringify(lines);
    for (const secret of [SYSTEM, ASK.messages[0]?.content ?? "", message.id]) expect(told).not.toContain(secret);
  });

  it("a stream is one line at its end, with the time to its first token; a step down is one line with both attempts", async () => {
    endpoint.behave(OPUS, { kind: "error", status: 529, type: "overloaded_error" });
    const stream = await make(hostOf()).messages.create({ ...ASK, stream: true });
    for await (const event of stream) expect(event).toHaveProperty("type");
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ model: SONNET, requestedModel: OPUS, attempts: 2, outcome: "ok", stream: true });
    expect(lines[0]?.["firstTokenMs"]).toBeGreaterThanOrEqual(0);
  });

  it("a stream that is left is one line, aborted", async () => {
    endpoint.behave(OPUS, { kind: "hang", after: 1 });
    const stream = await make(hostOf()).messages.create({ ...ASK, stream: true });
    for await (const event of stream) if (event.type === "content_block_delta") break;
    await until("the line", () => lines.length === 1);
    expect(lines[0]).toMatchObject({ outcome: "aborted", exact: false });
  });

  it("a refusal of the guard and a failure of Claude are told with their class", async () => {
    await errorOf(make(hostOf({ state: "off", cause: "manual" })).messages.create(ASK));
    endpoint.behave("*", { kind: "error", status: 500, type: "api_error" });
    await errorOf(make(hostOf(), { maxRetries: 0 }).messages.create(ASK));
    expect(lines).toMatchObject([
      { outcome: "off", decision: "KILLED", attempts: 0, errorClass: "ANDON_FEATURE_DISABLED" },
      { outcome: "error", decision: "ON", attempts: 3, status: 500, errorType: expect.any(String) },
    ]);
  });

  it("content is told as the scrubber leaves it, and not at all when that throws", async () => {
    await make(hostOf(), { logContent: hidingRecipe }).messages.create({ ...ASK, system: SYSTEM });
    await make(hostOf(), { logContent: () => JSON.parse("{") }).messages.create({ ...ASK, system: SYSTEM });
    expect(lines.map((line) => line["content"])).toEqual([SYSTEM.replaceAll("recipe", "[…]"), undefined]);
  });

  it("the SDK's own span of the call is enriched; none is made beside it", async () => {
    endpoint.behave(OPUS, { kind: "error", status: 529, type: "overloaded_error" });
    await make(hostOf()).messages.create(ASK, { headers: { "andon-session": "s-1" } });
    await errorOf(make(hostOf({ state: "off", cause: "manual" })).messages.create(ASK));
    const [answered, refused, ...more] = exporter.getFinishedSpans();
    expect(more).toEqual([]);
    expect(answered?.attributes).toMatchObject({
      "gen_ai.request.model": OPUS,
      "gen_ai.response.model": SONNET,
      "gen_ai.conversation.id": "s-1",
      "andon.flag": FLAG,
      "andon.decision": "ON",
      "andon.revision": "a.1",
      "andon.model": SONNET,
      "andon.attempts": 2,
      "andon.outcome": "ok",
    });
    expect(refused?.attributes).toMatchObject({ "andon.decision": "KILLED", "andon.outcome": "off" });
    expect(refused?.status.code).toBe(SpanStatusCode.ERROR);
  });

  it("a call without a span of its own gets one, under the application's; another instrumentation's is enriched", async () => {
    const client = make(hostOf()).withOptions({ openTelemetry: false });
    const tracer = trace.getTracer("app");
    await tracer.startActiveSpan("GET /chat", async (span) => {
      await client.messages.create(ASK);
      span.end();
    });
    const [made] = spansOf(`chat ${OPUS}`);
    const [app] = spansOf("GET /chat");
    expect(made?.parentSpanContext?.spanId).toBe(app?.spanContext().spanId);
    expect(made?.attributes).toMatchObject({ "gen_ai.operation.name": "chat", "andon.flag": FLAG });
    expect(made?.attributes["gen_ai.usage.output_tokens"]).toBeGreaterThan(0);
    exporter.reset();
    await tracer.startActiveSpan("ai.doGenerate", { attributes: { "gen_ai.system": "anthropic" } }, async (span) => {
      await client.messages.create(ASK);
      span.end();
    });
    expect(exporter.getFinishedSpans().map(({ name, attributes }) => [name, attributes["andon.flag"]])).toEqual([
      ["ai.doGenerate", FLAG],
    ]);
  });
});
