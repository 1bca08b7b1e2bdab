/** `guardFetch` on a plain `fetch`: whatever form a request takes, it is held to its flag as a call of the SDK is. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  FeatureDisabledError,
  guardFetch,
  type GuardFetchOptions,
  isFeatureDisabled,
} from "../../sdk-client/src/fetch.ts";
import { guardStats } from "../../sdk-client/src/anthropic.ts";
import { type Behaviour, OVERLOADED } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { FLAG, flagOf, HAIKU, offFor, OPUS, snapshotOf, SONNET } from "../support/guard-snapshots.ts";
import { ASK, errorOf, modelsSent, startWorld, type World } from "../support/guard-world.ts";
import { until } from "../support/until.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
/** Each test has an account of its own: one that is out of money stays so. */
beforeEach(() => {
  JSON_HEADERS["x-api-key"] += "+";
});
afterEach(async () => {
  world.endpoint.reset();
  await world.change(snapshotOf());
});
afterAll(() => world.close());

const JSON_HEADERS = { "content-type": "application/json", "x-api-key": "test", "anthropic-version": "2023-06-01" };
const TEXT = JSON.stringify(ASK);
const STREAM = JSON.stringify({ ...ASK, stream: true });

const guarded = (options: Partial<GuardFetchOptions> = {}): typeof fetch =>
  guardFetch(world.andon, { flag: FLAG, ...options });
const url = (): string => `${world.endpoint.url}/v1/messages`;
const init = (body: BodyInit = TEXT, headers: Record<string, string> = {}): RequestInit => ({
  method: "POST",
  headers: { ...JSON_HEADERS, ...headers },
  body,
});
type RequestInit = NonNullable<Parameters<typeof fetch>[1]>;
type BodyInit = NonNullable<RequestInit["body"]>;

/** Every form in which `fetch` takes a URL and a body. */
const FORMS: readonly [string, () => [string | URL | Request, RequestInit?]][] = [
  ["a string", () => [url(), init()]],
  ["a URL", () => [new URL(url()), init()]],
  ["a Request", () => [new Request(url(), init())]],
  ["a Request and another body", () => [new Request(url(), init("{}")), { body: TEXT }]],
  ["bytes", () => [url(), init(new TextEncoder().encode(TEXT))]],
  [
    "bytes with their length",
    () => [url(), init(new TextEncoder().encode(TEXT), { "content-length": String(TEXT.length) })],
  ],
  ["a Blob", () => [url(), init(new Blob([TEXT]))]],
  ["a stream", () => [url(), { ...init(new Blob([TEXT]).stream()), duplex: "half" }]],
  ["a lower-case method and a query", () => [`${url()}?beta=true`, { ...init(), method: "post" }]],
];

describe.each(FORMS)("with %s", (_, args) => {
  it("sends the same request as fetch does, and answers with what it answers", async () => {
    const response = await guarded()(...args());
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ type: "message", model: OPUS });
    expect(world.endpoint.calls.map((call) => call.body)).toEqual([ASK]);
    expect(world.endpoint.calls[0]?.headers).toMatchObject({ "content-type": "application/json" });
  });

  it("sends no blocked model, but the next of the chain, and the one after that when it fails", async () => {
    await world.change({ blockedModels: [OPUS] });
    world.endpoint.behave(SONNET, OVERLOADED);
    await guarded()(...args());
    expect(modelsSent(world)).toEqual([SONNET, HAIKU]);
  });

  it("sends nothing while the flag is off", async () => {
    await world.setFlag({ state: "off", cause: "manual", offMessage: "Back soon." });
    const error = await errorOf(guarded()(...args()));
    expect(error).toBeInstanceOf(FeatureDisabledError);
    expect(error).toMatchObject({ message: "Back soon.", flag: FLAG, reason: "KILLED" });
    expect(world.endpoint.calls).toEqual([]);
  });
});

describe("a request", () => {
  it("names its flag and user by headers, which never leave the process, in no form", async () => {
    await world.change({ flags: { [FLAG]: flagOf({ state: "off" }), other: flagOf({ rules: [offFor("bob")] }) } });
    const named = { "andon-flag": "other", "andon-session": "s-1" };
    const alice = { ...named, "andon-user": "alice" };
    await guarded()(url(), init(TEXT, alice));
    await guarded()(new Request(url(), init(TEXT, alice)));
    await guarded()(new Request(`${world.endpoint.url}/v1/messages/count_tokens`, init(TEXT, alice)));
    expect(world.endpoint.calls).toHaveLength(3);
    for (const call of world.endpoint.calls) expect(Object.keys(call.headers).join()).not.toContain("andon");
    expect(isFeatureDisabled(await errorOf(guarded()(url(), init(TEXT, { ...named, "andon-user": "bob" }))))).toBe(
      true,
    );
  });

  it("is not changed itself: the caller's headers and settings stay as they are", async () => {
    const headers = new Headers({ ...JSON_HEADERS, "andon-user": "alice" });
    const given = Object.freeze({ method: "POST", headers, body: TEXT });
    await guarded()(url(), given);
    expect([...headers.keys()]).toContain("andon-user");
  });

  it("goes by the given fetch, with the settings that are not the guard's", async () => {
    const seen: unknown[] = [];
    const own: typeof fetch = (to, given) => {
      seen.push(given?.redirect);
      return fetch(to, given);
    };
    await guarded({ fetch: own })(url(), { ...init(), redirect: "error" });
    expect(seen).toEqual(["error"]);
  });

  it("that is no call of a model passes as it is, off or on", async () => {
    await world.kill();
    const response = await guarded()(`${world.endpoint.url}/v1/models`, { headers: JSON_HEADERS });
    expect(response.status).toBe(404);
    expect(world.endpoint.calls.map((call) => call.path)).toEqual(["/v1/models"]);
  });
});

const SPENT = "enforced_spend_limit_reached";

function failed(status: number, type: string, more: Partial<Extract<Behaviour, { kind: "error" }>> = {}): Behaviour {
  return { kind: "error", status, type, ...more };
}

const offline: typeof fetch = () => Promise.reject(new TypeError("fetch failed"));

describe("an answer", () => {
  it("is the off message as a Message or as its event stream, where offMode says so", async () => {
    await world.setFlag({ state: "off", cause: "manual", offMode: "message", offMessage: "Back soon." });
    const whole = await guarded()(url(), init());
    expect(await whole.json()).toMatchObject({ type: "message", content: [{ type: "text", text: "Back soon." }] });
    const streamed = await guarded()(url(), init(STREAM));
    expect(streamed.headers.get("content-type")).toContain("text/event-stream");
    expect(await streamed.text()).toMatch(/Back soon\.[^]*event: message_stop/);
    expect(world.endpoint.calls).toEqual([]);
  });

  it.each([TEXT, STREAM])("comes from the next model when the first fails (%#)", async (body) => {
    world.endpoint.behave(OPUS, OVERLOADED);
    const response = await guarded()(url(), init(body));
    expect(await response.text()).toContain(SONNET);
    expect(modelsSent(world)).toEqual([OPUS, SONNET]);
  });

  it("of the caller's own fault goes straight through", async () => {
    world.endpoint.behave("*", { kind: "error", status: 400, type: "invalid_request_error", message: "No." });
    const response = await guarded()(url(), init());
    expect([response.status, await response.json()]).toMatchObject([400, { error: { message: "No." } }]);
    expect(modelsSent(world)).toEqual([OPUS]);
  });

  it("that no model gives is a typed error with the last one's status, headers and body", async () => {
    world.endpoint.behave("*", OVERLOADED);
    const error = await errorOf(guarded()(url(), init()));
    expect(modelsSent(world)).toEqual([OPUS, SONNET, HAIKU]);
    expect(isFeatureDisabled(error)).toBe(false);
    expect(error).toMatchObject({ code: "ANDON_PROVIDER_FAILED", flag: FLAG, status: 529, url: url() });
    expect(Reflect.get(error, "responseBody")).toContain("Overloaded");
  });

  it("that no connection gives is a typed error too, with what was thrown as its origin", async () => {
    const error = await errorOf(guarded({ fetch: offline })(url(), init()));
    expect(error).toMatchObject({ code: "ANDON_PROVIDER_FAILED", origin: expect.any(TypeError) });
    expect(error.cause).toBeUndefined();
  });
});

/** What the API says, and what comes of it: an answer of the next model, the API's own answer at once, or the typed error. */
const TABLE: readonly [string, Behaviour, "next" | "through" | "out"][] = [
  ["400", failed(400, "invalid_request_error"), "through"],
  ["401", failed(401, "authentication_error"), "through"],
  ["402", failed(402, "billing_error"), "through"],
  ["403", failed(403, "permission_error"), "through"],
  ["404", failed(404, "not_found_error"), "through"],
  ["413", failed(413, "request_too_large"), "through"],
  ["422", failed(422, "invalid_request_error"), "through"],
  ["404 of a model", failed(404, "not_found_error", { message: `model: ${OPUS}` }), "next"],
  ["403 of a model", failed(403, "permission_error", { message: `no access to the model ${OPUS}` }), "next"],
  ["408", failed(408, "timeout_error"), "next"],
  ["409", failed(409, "conflict_error"), "next"],
  ["429", failed(429, "rate_limit_error", { headers: { "retry-after": "60" } }), "next"],
  ["500", failed(500, "api_error"), "next"],
  ["520", failed(520, "api_error"), "next"],
  ["529", OVERLOADED, "next"],
  ["a reset", { kind: "reset" }, "next"],
  ["429 of a spend limit", failed(429, "rate_limit_error", { details: { error_code: SPENT } }), "out"],
];

describe.each([
  ["whole", TEXT],
  ["streamed", STREAM],
])("the table of failures, %s", (_kind, body) => {
  it.each(TABLE)("%s", async (_row, behaviour, then) => {
    world.endpoint.behave(OPUS, behaviour);
    const asked = guarded()(url(), init(body));
    if (then === "next") {
      expect(await (await asked).text()).toContain(SONNET);
      expect(modelsSent(world)).toEqual([OPUS, SONNET]);
      return;
    }
    const status = behaviour.kind === "error" ? behaviour.status : null;
    if (then === "through") expect((await asked).status).toBe(status);
    else expect(await errorOf(asked)).toMatchObject({ code: "ANDON_PROVIDER_FAILED", status });
    expect(modelsSent(world)).toEqual([OPUS]);
  });
});

describe("a stream", () => {
  it.each([
    ["an end", { kind: "truncate", afterTokens: 0 }],
    ["a reset", { kind: "reset", afterTokens: 0 }],
    ["an overload", { kind: "streamError", type: "overloaded_error", afterTokens: 0 }],
  ] satisfies [string, Behaviour][])("%s before content goes to the next model", async (_row, behaviour) => {
    world.endpoint.behave(OPUS, behaviour);
    expect(await (await guarded()(url(), init(STREAM))).text()).toContain(SONNET);
    expect(modelsSent(world)).toEqual([OPUS, SONNET]);
  });

  it("an end after content is an error of the stream, not its end", async () => {
    world.endpoint.behave("*", { kind: "truncate", afterTokens: 3 });
    const response = await guarded()(url(), init(STREAM));
    expect(await errorOf(response.text())).toMatchObject({ code: "ANDON_ANSWER_BROKEN" });
  });
});

describe("a call with one model", () => {
  const ALONE = { chains: { default: { steps: [{ model: OPUS }] } } };
  const TOO_MANY = { kind: "error", status: 429, type: "rate_limit_error" } as const;

  it("is tried three times, as the Anthropic SDK does it, and then gets the error", async () => {
    await world.change(ALONE);
    world.endpoint.behave(OPUS, { ...TOO_MANY, headers: { "retry-after-ms": "20" } });
    const error = await errorOf(guarded()(url(), init()));
    expect(error).toMatchObject({
      code: "ANDON_PROVIDER_FAILED",
      status: 429,
      responseHeaders: { "retry-after-ms": "20" },
    });
    expect(world.endpoint.calls.map((call) => call.headers["x-stainless-retry-count"])).toEqual([undefined, "1", "2"]);
  });

  it("is answered when the second try is", async () => {
    await world.change(ALONE);
    world.endpoint.behaveNext(OPUS, { ...TOO_MANY, headers: { "retry-after-ms": "20" } });
    expect((await guarded()(new Request(url(), init()))).status).toBe(200);
  });

  it.each([
    ["after a rate limit", undefined],
    ["after a connection that was lost", offline],
  ])("%s ends within 100 ms of a kill, and of its caller, also between two tries", async (_, via) => {
    await world.change(ALONE);
    world.endpoint.behave(OPUS, { ...TOO_MANY, headers: { "retry-after": "30" } });
    let tries = 0;
    const counted: typeof fetch = (to, given) => {
      tries += 1;
      return (via ?? fetch)(to, given);
    };
    const ends = [async (user: AbortController) => user.abort(), () => world.kill()];
    for (const end of ends) {
      const user = new AbortController();
      tries = 0;
      const error = errorOf(guarded({ fetch: counted })(url(), { ...init(), signal: user.signal }));
      await until("the first try to fail", () => tries === 1 || undefined);
      await until("nothing under way", () => world.endpoint.counts().open === 0 || undefined);
      await end(user);
      const endedMs = performance.now();
      expect(isFeatureDisabled(await error) || (await error).name === "AbortError").toBe(true);
      expect(performance.now() - endedMs).toBeLessThan(100);
      expect(guardStats(world.andon).running).toEqual({});
    }
  });
});

describe("a call that is ended", () => {
  const REASON = new Error("the user has left");

  it.each([
    ["by a kill", () => world.kill(), "FeatureDisabledError"],
    ["by its caller", async (leave: AbortController) => leave.abort(REASON), REASON.name],
    [
      "by its caller's own time limit",
      async (leave: AbortController) => leave.abort(new DOMException("", "TimeoutError")),
      "TimeoutError",
    ],
  ])("%s rejects while it waits for headers, and errors while it streams", async (_, end, name) => {
    world.endpoint.behave("*", { kind: "hang", after: "request" });
    const waiting = new AbortController();
    const early = errorOf(guarded()(url(), { ...init(), signal: waiting.signal }));
    await until("the call to arrive", () => world.endpoint.calls[0]);
    await end(waiting);
    expect((await early).name).toBe(name);

    await world.change(snapshotOf());
    world.endpoint.behave("*", { kind: "hang", after: 3 });
    const streaming = new AbortController();
    const response = await guarded()(new Request(url(), { ...init(STREAM), signal: streaming.signal }));
    const late = errorOf(response.text());
    await until("three tokens", () => world.endpoint.calls[1]?.tokensSent === 3);
    await end(streaming);
    expect((await late).name).toBe(name);
    await Promise.all(world.endpoint.calls.map((call) => call.ended));
    expect(world.endpoint.calls.map((call) => call.end)).toEqual(["brokenOff", "brokenOff"]);
    expect(guardStats(world.andon).running).toEqual({});
  });
});
