/** What managed agents used, counted from the events of their sessions as the real SDK reads them. */
import Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Andon } from "../../sdk-client/src/andon.ts";
import { guard } from "../../sdk-client/src/anthropic.ts";
import { usageMinutes } from "../../src/db/schema/usage.ts";
import { SILENT } from "../support/guard-world.ts";
import { makeToken, startTestServer, type TestServer } from "../support/server.ts";

const OPUS = "claude-opus-5-5";
const SESSION = "sesn_1";
const AT = new Date().toISOString();
const tokens = {
  input_tokens: 1_000,
  output_tokens: 200,
  cache_read_input_tokens: 5_000,
  cache_creation_input_tokens: 0,
};
const requestEnd = (id: string, model_usage: object) => ({
  type: "span.model_request_end",
  id,
  is_error: false,
  model_request_start_id: `${id}-start`,
  processed_at: AT,
  model_usage,
});
const usageEvent = (id: string, active_seconds: number, web_search_requests: number) => ({
  type: "session.usage",
  id,
  processed_at: AT,
  usage: { active_seconds, server_tool_use: { web_search_requests } },
});
const EVENTS = [
  { type: "agent.message", id: "e1", content: [{ type: "text", text: 'a "span.model_request_end" in words' }] },
  requestEnd("e2", tokens),
  usageEvent("e3", 30, 1),
  requestEnd("e4", tokens),
  usageEvent("e5", 310, 2),
];

/** Answers as the API of managed agents does: the session, its events in a list, and as a stream in small pieces. */
function agents(input: unknown): Promise<Response> {
  const url = input instanceof Request ? input.url : String(input);
  const path = new URL(url).pathname;
  if (path.endsWith("/stream")) {
    const text = EVENTS.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");
    const bytes = new TextEncoder().encode(text);
    let from = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (from >= bytes.length) controller.close();
        else controller.enqueue(bytes.slice(from, from + 47));
        from += 47;
      },
    });
    return Promise.resolve(new Response(body, { headers: { "content-type": "text/event-stream" } }));
  }
  if (path.endsWith("/events")) return Promise.resolve(Response.json({ data: EVENTS, next_page: null }));
  const agent = { type: "agent", id: "agent_1", model: { id: OPUS, speed: "standard" }, multiagent: null };
  const usage = { active_seconds: 310, server_tool_use: { web_search_requests: 2 } };
  return Promise.resolve(Response.json({ type: "session", id: SESSION, agent, usage, status: "idle" }));
}

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
}, 60_000);
afterAll(() => server.close());

it("counts each model request, the running time and each search once, streamed, listed or retrieved, in whatever process", async () => {
  const token = await makeToken(server.deps, { kind: "sdk" });
  const seen: string[][] = [];
  for (const instance of ["a", "b"]) {
    const andon = new Andon({ url: server.url, token, logger: SILENT, flushIntervalMs: 50, instance }, { env: {} });
    await andon.ready();
    const middleware = [guard(andon, { flag: "research" })];
    const client = new Anthropic({
      apiKey: "test",
      baseURL: "http://api.local",
      middleware,
      fetch: agents,
      maxRetries: 0,
    });
    const streamed: string[] = [];
    for await (const event of await client.beta.sessions.events.stream(SESSION)) streamed.push(event.type);
    seen.push(streamed);
    for await (const event of client.beta.sessions.events.list(SESSION)) streamed.push(event.type);
    await client.beta.sessions.retrieve(SESSION);
    await andon.close();
  }
  const types = EVENTS.map(({ type }) => type);
  expect(seen).toEqual([
    [...types, ...types],
    [...types, ...types],
  ]);
  const [row, ...others] = await server.deps.db.select().from(usageMinutes);
  expect(others).toEqual([]);
  // At 4, 20 and 0.20 USD a million; 0.01 USD a search; 0.08 USD an hour in two begun spans of five minutes.
  const each = 1_000 * 4_000 + 200 * 20_000 + 5_000 * 200;
  expect(row).toMatchObject({
    flag: "research",
    model: OPUS,
    attempts: 2,
    input: 2_000,
    output: 400,
    cacheRead: 10_000,
    webSearches: 2,
    exactNanoUsd: 2 * each + 2 * 10_000_000,
    estimatedNanoUsd: Math.ceil((2 * 5 * 80_000_000) / 60),
  });
});
