/** What is reported of guarded calls: every attempt once, exact only where the API itself told the final usage. */
import { describe, expect, it } from "vitest";
import { isFeatureDisabled } from "../../sdk-client/src/anthropic.ts";
import type { UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";
import { OVERLOADED } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { estimateTokens } from "../../src/demo/claude-endpoint/shapes.ts";
import { FLAG, flagOf, OPUS, snapshotOf, SONNET } from "../support/guard-snapshots.ts";
import { ASK, errorOf, makeClient, SDKS } from "../support/guard-world.ts";
import { until } from "../support/until.ts";
import { UsageServer } from "../support/usage-server.ts";
import { startUsageWorld, type UsageWorld } from "../support/usage-world.ts";

const ALL_KINDS = { input: 11, cacheWrite5m: 22, cacheWrite1h: 33, cacheRead: 44, webSearches: 2 };
const BYTES = JSON.stringify(ASK).length;

/** The one record; fails when there are more or fewer. */
function only(records: readonly UsageRecord[]): UsageRecord {
  const [record] = records;
  if (record === undefined || records.length !== 1) throw new Error(`${records.length} records`);
  return record;
}

async function killed(world: UsageWorld): Promise<void> {
  await world.change({ flags: { [FLAG]: flagOf({ state: "off", cause: "manual" }) } });
}

describe.each(SDKS)("$name", ({ Sdk }) => {
  it("tells of a create who asked, what answered, how long it took and every class of tokens", async () => {
    const world = await startUsageWorld();
    world.endpoint.behave("*", { kind: "answer", text: "one two three", usage: ALL_KINDS });
    const headers = {
      "andon-session": "s-1",
      traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    };
    const ask = { ...ASK, system: "You mend lines.", metadata: { user_id: "u-1" } };
    await world.client(Sdk).messages.create(ask, { headers });
    const record = only(await world.finish());
    expect(record).toMatchObject({
      flag: FLAG,
      model: OPUS,
      requestedModel: OPUS,
      outcome: "ok",
      exact: true,
      usage: { ...ALL_KINDS, output: 3 },
      stopReason: "end_turn",
      status: 200,
      attempt: 1,
      revision: "a.1",
      requestId: "req_local_000000000001",
      user: "u-1",
      session: "s-1",
      correlationId: "4bf92f3577b34da6a3ce929d0e0e4736",
      systemHash: expect.stringMatching(/^[0-9a-f]{16}$/),
    });
    expect(record.id).toMatch(/^[0-9a-f-]{36}$/);
    expect(Math.abs(record.at - Date.now())).toBeLessThan(60_000);
  });

  it("never sends content: not of prompts, answers, tools or errors", async () => {
    const world = await startUsageWorld();
    const secret = "xyzzy-plugh";
    world.endpoint.behaveNext("*", { kind: "answer", text: secret }, { kind: "answer", text: `${secret} ${secret}` });
    world.endpoint.behave("*", { kind: "error", status: 400, type: "invalid_request_error", message: secret });
    const client = world.client(Sdk);
    const tools = [{ name: "mend", description: secret, input_schema: { type: "object" as const } }];
    const ask = { ...ASK, system: secret, tools, messages: [{ role: "user" as const, content: secret }] };
    await client.messages.create(ask);
    await client.messages.stream(ask).finalMessage();
    await errorOf(client.messages.create(ask));
    expect(await world.finish()).toHaveLength(3);
    for (const report of world.server.reports) expect(report.text).not.toContain("xyzzy");
  });

  it("counts finished calls of every kind as the endpoint does, to the token", async () => {
    const world = await startUsageWorld();
    const client = world.client(Sdk);
    world.endpoint.behaveNext(
      "*",
      { kind: "answer", usage: ALL_KINDS },
      { kind: "answer", thinking: "hm", text: "a b c d" },
      { kind: "answer", usage: { cacheRead: 5, cacheWrite1h: 7 } },
    );
    await client.messages.create(ASK);
    await client.messages.stream(ASK).finalMessage();
    for await (const _ of await client.messages.create({ ...ASK, stream: true })) continue;
    await client.beta.messages.create(ASK);
    await client.beta.messages.stream(ASK).finalMessage();
    const records = await world.finish();
    expect(records.map((record) => `${record.outcome} ${record.exact}`)).toEqual(Array(5).fill("ok true"));
    const { calls } = world.endpoint;
    const total = (pick: (record: UsageRecord) => number): number => records.reduce((sum, each) => sum + pick(each), 0);
    expect(total(({ usage }) => usage.output)).toBe(calls.reduce((sum, call) => sum + call.tokensSent, 0));
    const plain = calls.slice(1).reduce((sum, call) => sum + estimateTokens({ ...call.body }), ALL_KINDS.input);
    expect(total(({ usage }) => usage.input)).toBe(plain);
    expect(total(({ usage }) => usage.cacheRead)).toBe(49);
    expect(total(({ usage }) => usage.cacheWrite1h)).toBe(40);
    expect(total(({ usage }) => usage.cacheWrite5m)).toBe(22);
  });

  it("tells the time to the first token of streams only", async () => {
    const world = await startUsageWorld();
    await world.client(Sdk).messages.create(ASK);
    await world.client(Sdk).messages.stream(ASK).finalMessage();
    const [whole, streamed] = await world.finish();
    expect(whole).not.toHaveProperty("firstTokenMs");
    expect(streamed?.firstTokenMs).toBeLessThanOrEqual(streamed?.latencyMs ?? -1);
  });

  it("counts a refusal of a category that is billed as an answer that cost its tokens", async () => {
    const world = await startUsageWorld();
    world.endpoint.behave("*", { kind: "answer", stopReason: "refusal", category: "bio", usage: { input: 9 } });
    await world.client(Sdk).messages.create(ASK);
    const record = only(await world.finish());
    expect(record).toMatchObject({ outcome: "refused", stopReason: "refusal", exact: true, usage: { input: 9 } });
  });

  it("tells of each attempt down the chain, the failed ones at no usage", async () => {
    const world = await startUsageWorld();
    world.endpoint.behave(OPUS, OVERLOADED);
    await world.client(Sdk).messages.create(ASK);
    const [failed, answered] = await world.finish();
    expect(failed).toMatchObject({ model: OPUS, outcome: "error", exact: true, attempt: 1, status: 529 });
    expect(failed?.errorType).toBe("overloaded_error");
    expect(failed?.usage).toMatchObject({ input: 0, output: 0 });
    expect(answered).toMatchObject({ model: SONNET, requestedModel: OPUS, outcome: "ok", exact: true, attempt: 2 });
  });

  it.each([400, 401, 403, 404, 413, 429, 500, 503])("a status of %i used nothing", async (status) => {
    const world = await startUsageWorld();
    world.endpoint.behave("*", { kind: "error", status, type: "any" });
    await errorOf(world.client(Sdk, { maxRetries: 0, fallbackOn429: false }).messages.create(ASK));
    for (const record of await world.finish()) {
      expect(record).toMatchObject({ outcome: "error", exact: true, status, usage: { input: 0, output: 0 } });
    }
  });

  it("a connection that was refused used nothing; one that was reset may have", async () => {
    const world = await startUsageWorld();
    const gone = new UsageServer(snapshotOf());
    const nowhere = await gone.listen();
    await gone.close();
    const nobody = makeClient(Sdk, world.andon, nowhere, { maxRetries: 0 });
    await errorOf(nobody.messages.create({ ...ASK, model: "claude-haiku-4-5" }));
    world.endpoint.behave("*", { kind: "reset" });
    await errorOf(world.client(Sdk, { maxRetries: 0 }).messages.create({ ...ASK, model: "claude-haiku-4-5" }));
    const [refused, reset] = await world.finish();
    expect(refused).toMatchObject({
      outcome: "error",
      exact: true,
      errorType: "connection_error",
      usage: { input: 0 },
    });
    expect(reset).toMatchObject({ outcome: "error", exact: false, errorType: "connection_error" });
    expect(reset?.usage.input).toBeGreaterThanOrEqual(estimateTokens(ASK));
  });

  it("estimates a killed create from what was sent, upwards", async () => {
    const world = await startUsageWorld();
    world.endpoint.behave("*", { kind: "hang", after: "request" });
    const error = errorOf(world.client(Sdk).messages.create(ASK));
    await until("the call", () => world.endpoint.calls[0]);
    await killed(world);
    expect(isFeatureDisabled(await error)).toBe(true);
    const record = only(await world.finish());
    expect(record).toMatchObject({ outcome: "aborted", errorType: "killed", exact: false });
    expect(record.usage.input).toBeGreaterThanOrEqual(estimateTokens(ASK));
    expect(record.usage.input).toBeLessThanOrEqual(BYTES);
    expect(record.usage.output).toBeGreaterThanOrEqual(1);
    expect(record.usage.output).toBeLessThanOrEqual(ASK.max_tokens);
  });

  it("estimates a killed stream from its beginning and what was seen", async () => {
    const world = await startUsageWorld();
    world.endpoint.behave("*", { kind: "hang", after: 5 });
    const stream = await world.client(Sdk).messages.create({ ...ASK, stream: true });
    const events: string[] = [];
    const error = errorOf(
      (async () => {
        for await (const event of stream) events.push(event.type);
      })(),
    );
    await until("five tokens", () => events.filter((type) => type === "content_block_delta").length === 5);
    await killed(world);
    await error;
    const record = only(await world.finish());
    expect(record).toMatchObject({ outcome: "aborted", errorType: "killed", exact: false, status: 200 });
    expect(record.usage.input).toBe(estimateTokens(ASK));
    expect(record.usage.output).toBeGreaterThanOrEqual(5);
    expect(record.usage.output).toBeLessThanOrEqual(ASK.max_tokens);
  });

  it("estimates a stream that its caller left by break, or aborted", async () => {
    const world = await startUsageWorld();
    world.endpoint.behave("*", { kind: "hang", after: 3 });
    for await (const event of await world.client(Sdk).messages.create({ ...ASK, stream: true })) {
      if (event.type === "content_block_delta") break;
    }
    const stream = world.client(Sdk).messages.stream(ASK);
    const error = errorOf(stream.finalMessage());
    await new Promise<void>((resolve) => stream.once("text", () => resolve()));
    stream.abort();
    await error;
    const records = await world.finish();
    expect(records).toHaveLength(2);
    for (const record of records) {
      expect(record).toMatchObject({ outcome: "aborted", errorType: "aborted", exact: false });
      expect(record.usage.input).toBe(estimateTokens(ASK));
      expect(record.usage.output).toBeGreaterThanOrEqual(1);
    }
  });

  it.each([
    ["is cut off", { kind: "truncate", afterTokens: 4 }, "answer_broken"],
    ["is reset", { kind: "reset", afterTokens: 4 }, null],
    ["ends in an error event", { kind: "streamError", type: "overloaded_error", afterTokens: 4 }, "overloaded_error"],
  ] as const)("a stream that %s after content is an error, estimated", async (_how, behaviour, errorType) => {
    const world = await startUsageWorld();
    world.endpoint.behave("*", behaviour);
    await errorOf(
      world
        .client(Sdk, { maxRetries: 0 })
        .messages.stream({ ...ASK, model: "claude-haiku-4-5" })
        .finalMessage(),
    );
    const record = only(await world.finish());
    expect(record).toMatchObject({ outcome: "error", exact: false });
    if (errorType !== null) expect(record).toMatchObject({ errorType });
    expect(record.usage.input).toBeGreaterThanOrEqual(estimateTokens(ASK));
    expect(record.usage.output).toBeGreaterThanOrEqual(1);
  });

  it("an error event before content goes to the next model, and is an error of its own", async () => {
    const world = await startUsageWorld();
    world.endpoint.behave(OPUS, { kind: "streamError", type: "overloaded_error", afterTokens: 0 });
    await world.client(Sdk).messages.stream(ASK).finalMessage();
    const [failed, answered] = await world.finish();
    expect(failed).toMatchObject({ model: OPUS, outcome: "error", errorType: "overloaded_error", exact: false });
    expect(failed?.usage.input).toBe(estimateTokens(ASK));
    expect(answered).toMatchObject({ model: SONNET, outcome: "ok", exact: true });
  });

  it("a call that was never sent is no record, but a check", async () => {
    const world = await startUsageWorld();
    await world.client(Sdk).messages.create(ASK);
    await killed(world);
    await errorOf(world.client(Sdk).messages.create(ASK));
    world.andon.isEnabled(FLAG);
    expect(await world.finish()).toHaveLength(1);
    const checks = [...world.server.counted.values()].map((batch) => batch.checks?.[FLAG] ?? { on: 0, off: 0 });
    expect(checks.reduce((sum, each) => sum + each.on, 0)).toBe(1);
    expect(checks.reduce((sum, each) => sum + each.off, 0)).toBe(2);
  });
});
