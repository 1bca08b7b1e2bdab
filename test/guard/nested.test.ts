/** Guards inside each other: every decision holds, and what an attempt used is told once, by the innermost. */
import { describe, expect, it } from "vitest";
import { guard, type GuardMiddleware, isFeatureDisabled } from "../../sdk-client/src/anthropic.ts";
import type { SnapshotFlag } from "../../sdk-client/src/wire/protocol.ts";
import { OVERLOADED } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { FLAG, flagOf, HAIKU, offFor, OPUS, snapshotOf, SONNET } from "../support/guard-snapshots.ts";
import { ASK, type ClientOptions, errorOf, modelsSent, type Sdk, SDKS } from "../support/guard-world.ts";
import { until } from "../support/until.ts";
import { startUsageWorld, type UsageWorld } from "../support/usage-world.ts";

const OUTER = "assistant";

type Client = ReturnType<UsageWorld["client"]>;

/** A world with the flags of both guards; `FLAG` is the inner one's. */
async function startNested(flags: { outer?: Partial<SnapshotFlag>; inner?: Partial<SnapshotFlag> } = {}) {
  const world = await startUsageWorld();
  const set = ({ outer = {}, inner = {} }: typeof flags): Promise<void> =>
    world.change({ ...snapshotOf(), flags: { [OUTER]: flagOf(outer), [FLAG]: flagOf(inner) } });
  await set(flags);
  const client = (Sdk: Sdk, options: ClientOptions = {}): Client => {
    const inner = world.client(Sdk, options);
    return inner.withOptions({ middleware: [guard(world.andon, { flag: OUTER }), ...inner.middleware] });
  };
  return { ...world, client, set };
}

const twice: GuardMiddleware = async (request, next) => {
  const [first] = await Promise.all([next(request), next(request)]);
  return first;
};

const SENDERS: readonly (readonly [string, (client: Client) => Promise<unknown>])[] = [
  ["create", (client) => client.messages.create(ASK)],
  ["stream", (client) => client.messages.stream(ASK).finalMessage()],
];

describe.each(SDKS)("$name", ({ Sdk }) => {
  it.each(SENDERS)("a %s is told once: by the inner guard, which knows the model that was sent", async (_how, send) => {
    const world = await startNested({ inner: { level: 2 } });
    await send(world.client(Sdk));
    const records = await world.finish();
    expect(records).toMatchObject([{ flag: FLAG, model: HAIKU, outcome: "ok", exact: true, attempt: 1 }]);
    expect(records[0]?.usage.output).toBe(world.endpoint.calls[0]?.tokensSent);
  });

  it("the user and the session of the headers are those of both guards", async () => {
    const world = await startNested();
    const headers = { "andon-user": "u-1", "andon-session": "s-1" };
    await world.client(Sdk).messages.create({ ...ASK, metadata: { user_id: "somebody" } }, { headers });
    await world.set({ inner: { rules: [offFor("u-1")] } });
    expect(isFeatureDisabled(await errorOf(world.client(Sdk).messages.create(ASK, { headers })))).toBe(true);
    const batch = { requests: [{ custom_id: "1", params: ASK }] };
    expect(isFeatureDisabled(await errorOf(world.client(Sdk).messages.batches.create(batch, { headers })))).toBe(true);
    await world.client(Sdk).messages.create(ASK, { headers: { "andon-user": "u-2" } });
    expect(await world.finish()).toMatchObject([{ user: "u-1", session: "s-1" }, { user: "u-2" }]);
  });

  it.each(SENDERS)("the later level of the two is sent: %s", async (_how, send) => {
    const world = await startNested({ outer: { level: 2 }, inner: { level: 1 } });
    await send(world.client(Sdk));
    await world.set({ outer: { level: 1 }, inner: { level: 2 } });
    await send(world.client(Sdk));
    expect(modelsSent(world)).toEqual([HAIKU, HAIKU]);
  });

  it.each(SENDERS)("either of them off keeps a %s from being sent, and nothing is told of it", async (_how, send) => {
    const world = await startNested({ outer: { state: "off", cause: "manual" } });
    expect(isFeatureDisabled(await errorOf(send(world.client(Sdk))))).toBe(true);
    await world.set({ inner: { state: "off", cause: "manual" } });
    expect(isFeatureDisabled(await errorOf(send(world.client(Sdk))))).toBe(true);
    await world.set({ inner: { state: "off", cause: "manual", offMode: "message", offMessage: "Back soon." } });
    expect(await send(world.client(Sdk))).toMatchObject({ content: [{ text: "Back soon." }] });
    expect(world.endpoint.calls).toEqual([]);
    expect(await world.finish()).toEqual([]);
  });

  it("the inner one's no is final: the outer one does not ask again for its other models", async () => {
    const world = await startNested({ inner: { state: "off", cause: "manual" } });
    await errorOf(world.client(Sdk).messages.create(ASK));
    await world.finish();
    const checks = [...world.server.counted.values()].map((batch) => batch.checks?.[FLAG]?.off ?? 0);
    expect(checks.reduce((sum, off) => sum + off, 0)).toBe(1);
  });

  it("a kill ends a running stream by either flag, and is told once", async () => {
    const world = await startNested();
    world.endpoint.behave("*", { kind: "hang", after: 3 });
    for (const killed of ["outer", "inner"]) {
      const sent = world.endpoint.calls.length;
      const error = errorOf(world.client(Sdk).messages.stream(ASK).finalMessage());
      await until("the call", () => world.endpoint.calls.length > sent && world.endpoint.calls[sent]?.tokensSent === 3);
      await world.set({ [killed]: { state: "off", cause: "manual" } });
      expect(isFeatureDisabled(await error)).toBe(true);
      await world.set({});
    }
    const records = await world.finish();
    expect(records).toMatchObject([
      { flag: FLAG, outcome: "aborted", exact: false },
      { flag: FLAG, outcome: "aborted", exact: false },
    ]);
  });

  it.each(SENDERS)("each attempt of a %s down the outer one's chain is told once", async (_how, send) => {
    const world = await startNested({ inner: { chain: null } });
    world.endpoint.behave(OPUS, OVERLOADED);
    await send(world.client(Sdk, { maxRetries: 0 }));
    expect(await world.finish()).toMatchObject([
      { model: OPUS, outcome: "error", status: 529 },
      { model: SONNET, outcome: "ok" },
    ]);
  });

  it("the SDK's own retries are told once each, and numbered", async () => {
    const world = await startNested({ outer: { chain: null }, inner: { chain: null } });
    world.endpoint.behaveNext("*", OVERLOADED, { kind: "answer" });
    await world.client(Sdk).messages.create(ASK);
    expect(await world.finish()).toMatchObject([
      { outcome: "error", attempt: 1 },
      { outcome: "ok", attempt: 2 },
    ]);
  });

  it("middleware that sends a call twice, before or between the guards, has both told", async () => {
    const world = await startNested();
    const client = world.client(Sdk);
    const [outer, inner] = client.middleware;
    if (outer === undefined || inner === undefined) throw new Error("no guards");
    for (const middleware of [
      [twice, inner],
      [twice, outer, inner],
      [outer, twice, inner],
    ]) {
      await client.withOptions({ middleware }).messages.create(ASK);
    }
    expect(world.endpoint.calls).toHaveLength(6);
    expect(await world.finish()).toHaveLength(6);
  });

  it("a request that the inner one passes on untouched is told by the outer one", async () => {
    const world = await startNested();
    const client = world.client(Sdk);
    const [outer, inner] = client.middleware;
    if (outer === undefined || inner === undefined) throw new Error("no guards");
    const elsewhere = client.withOptions({
      middleware: [outer, (request, next) => next({ ...request, url: `${request.url}/count_tokens` }), inner],
    });
    await elsewhere.messages.create(ASK);
    expect(await world.finish()).toMatchObject([{ flag: OUTER, outcome: "ok", exact: false }]);
  });
});
