/** The local Claude endpoint answers as the API does, and its notes of what happened are true. */
import Anthropic, { APIError } from "@anthropic-ai/sdk";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type ClaudeEndpoint, startClaudeEndpoint } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { ASK, errorOf, gate } from "../support/guard-world.ts";

let endpoint: ClaudeEndpoint;
let client: Anthropic;
const slept: number[] = [];
const sleep = (ms: number): Promise<void> => {
  slept.push(ms);
  return Promise.resolve();
};
beforeAll(async () => {
  endpoint = await startClaudeEndpoint({ models: [ASK.model], sleep });
  client = new Anthropic({ apiKey: "test", baseURL: endpoint.url, maxRetries: 0 });
});
afterEach(() => {
  endpoint.reset();
  slept.length = 0;
});
afterAll(() => endpoint.close());

describe("answers", () => {
  it("gives the same message whole and as events, thinking and cumulative usage included", async () => {
    endpoint.behave("*", {
      kind: "answer",
      text: "one two three",
      thinking: "hm",
      usage: { input: 10, cacheWrite5m: 1, cacheWrite1h: 2, cacheRead: 3, webSearches: 4 },
    });
    const whole = await client.messages.create(ASK);
    const streamed = await client.messages.stream(ASK).finalMessage();
    expect({ ...streamed, id: whole.id }).toMatchObject(whole);
    expect(whole).toMatchObject({
      content: [
        { type: "thinking", thinking: "hm" },
        { type: "text", text: "one two three" },
      ],
      stop_reason: "end_turn",
      usage: {
        input_tokens: 10,
        output_tokens: 3,
        cache_creation_input_tokens: 3,
        cache_creation: { ephemeral_5m_input_tokens: 1, ephemeral_1h_input_tokens: 2 },
        cache_read_input_tokens: 3,
        server_tool_use: { web_search_requests: 4 },
        service_tier: "standard",
      },
    });
  });

  it("stops at max_tokens", async () => {
    endpoint.behave("*", { kind: "answer", text: "one two three" });
    const message = await client.messages.create({ ...ASK, max_tokens: 2 });
    expect(message).toMatchObject({ stop_reason: "max_tokens", usage: { output_tokens: 2 } });
  });

  it("takes its time as scripted, per token in a stream", async () => {
    endpoint.behave("*", { kind: "answer", text: "a b c", latencyMs: 5, tokenIntervalMs: 2 });
    await client.messages.stream(ASK).finalMessage();
    expect(slept).toEqual([5, 2, 2, 2]);
    await client.messages.create(ASK);
    expect(slept.slice(4)).toEqual([5, 6]);
  });
});

describe("errors", () => {
  it.each([
    [{ ...ASK, max_tokens: undefined }, 400, "invalid_request_error", "max_tokens: Field required"],
    [{ ...ASK, max_tokens: 0 }, 400, "invalid_request_error", "max_tokens: must be greater than or equal to 1"],
    [{ ...ASK, messages: [] }, 400, "invalid_request_error", "messages: at least one message is required"],
    [{ ...ASK, model: "claude-0" }, 404, "not_found_error", "model: claude-0"],
  ])("refuses %j as the API does", async (body, status, type, message) => {
    const error = await errorOf(client.post("/v1/messages", { body }));
    expect(error).toBeInstanceOf(APIError);
    expect(error).toMatchObject({ status, error: { type: "error", error: { type, message } } });
    expect(error).toHaveProperty("requestID", expect.stringMatching(/^req_/));
  });

  it("asks for a key and for well-formed JSON", async () => {
    const url = `${endpoint.url}/v1/messages`;
    const headers = { "x-api-key": "k", "anthropic-version": "2023-06-01" };
    expect((await fetch(url, { method: "POST", body: "{}" })).status).toBe(401);
    expect((await fetch(url, { method: "POST", body: "{", headers })).status).toBe(400);
    expect((await fetch(`${endpoint.url}/v1/other`, { method: "POST", headers })).status).toBe(404);
  });
});

describe("notes", () => {
  it("tells finished calls from those the client broke off, and counts both", async () => {
    await client.messages.create(ASK);
    const held = gate();
    endpoint.behave("*", { kind: "answer", hold: { beforeToken: 1, until: held.opened } });
    for await (const event of await client.messages.create({ ...ASK, stream: true })) {
      if (event.type === "content_block_delta") break;
    }
    await endpoint.calls[1]?.ended;
    expect(endpoint.calls.map((call) => call.end)).toEqual(["finished", "brokenOff"]);
    expect(endpoint.calls[1]?.tokensSent).toBe(1);
    expect(endpoint.counts(ASK.model)).toEqual({ open: 0, finished: 1, brokenOff: 1, failed: 0 });
    held.open();
  });

  it("keeps a bounded number of calls, and no credentials", async () => {
    const url = `${endpoint.url}/v1/messages`;
    for (let round = 0; round < 11; round += 1) {
      const burst = Array.from({ length: 100 }, () => fetch(url, { method: "POST", headers: { "x-api-key": "k" } }));
      await Promise.all((await Promise.all(burst)).map((response) => response.text()));
    }
    expect(endpoint.calls).toHaveLength(1_000);
    expect(endpoint.counts().finished).toBe(1_100);
    expect(endpoint.calls[0]?.headers).not.toHaveProperty("x-api-key");
  });
});
