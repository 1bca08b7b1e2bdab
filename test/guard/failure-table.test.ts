/**
 * The table of failures against a provider that misbehaves: for each row, whole and streamed, which models are sent what,
 * with which pauses, what the caller gets and when, and that the records are the provider's bill.
 */
import type Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Andon } from "../../sdk-client/src/andon.ts";
import type { UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";
import { HAIKU, OPUS, snapshotOf, SONNET } from "../support/guard-snapshots.ts";
import { ASK, type ClientOptions, errorOf, makeClient, SDKS, SILENT } from "../support/guard-world.ts";
import {
  type Act,
  answer,
  BILLED,
  fails,
  halfAnAnswer,
  hangs,
  hangsInBody,
  hangsInError,
  MisbehavingProvider,
  resets,
  says,
  streams,
} from "../support/misbehaving-provider.ts";
import { UsageServer } from "../support/usage-server.ts";

/** Outside the chain; its window is smaller than those of the first two steps. */
const SMALL = "claude-sonnet-4-5";
const SHORT_MS = 120;
const BOUND_MS = 3_000;

const ALL = [OPUS, SONNET, HAIKU];
const BROKEN = { code: "ANDON_ANSWER_BROKEN" };
const DEADLINE = { code: "ANDON_DEADLINE" };
const overloaded = fails(529, "overloaded_error");
const tooLong = fails(400, "invalid_request_error", { message: "prompt is too long: 210000 tokens > 200000 maximum" });
const limited = (headers: Record<string, string>, code?: string): Act =>
  fails(429, "rate_limit_error", { headers, ...(code === undefined ? {} : { code }) });
const soon = { "retry-after-ms": String(SHORT_MS) };
const late = { "retry-after": "60" };
const again = { headers: { "x-should-retry": "true" } };

interface Row {
  /** What Opus, the first of the chain, does; the others answer unless said otherwise. */
  opus?: Act | Act[];
  sonnet?: Act;
  haiku?: Act;
  small?: Act;
  /** The model asked for; Opus by default. */
  ask?: string;
  options?: ClientOptions;
  only?: "whole" | "streamed";
  sent: string[];
  /** The model that answers, or what the error is like. */
  gets: string | object;
  /** The least time between the first two requests, in milliseconds. */
  gapMs?: number;
  /** The least and the most time until the caller has it. */
  tookMs?: [number, number];
  /** A word of what the log says, as a warning or an error. */
  told?: string;
}

const goesOn = (opus: Act, more: Partial<Row> = {}): Row => ({ opus, sent: [OPUS, SONNET], gets: SONNET, ...more });
const straight = (opus: Act, status: number, more: Partial<Row> = {}): Row => ({
  opus,
  sent: [OPUS],
  gets: { status },
  ...more,
});
const overtaken = (opus: Act): Row => ({
  opus,
  options: { deadlineMs: SHORT_MS },
  sent: [OPUS],
  gets: DEADLINE,
  tookMs: [SHORT_MS, 1_000],
});
const quick: [number, number] = [0, 1_000];
const timed = { attemptTimeoutMs: SHORT_MS };
const whole = { only: "whole" } as const;
const streamed = { only: "streamed" } as const;

const ROWS: Record<string, Row> = {
  ...Object.fromEntries(
    [500, 501, 502, 503, 504, 520, 522, 525, 529, 530, 408, 409].map((status) => [
      `${status}: next model`,
      goesOn(fails(status, "api_error", again)),
    ]),
  ),
  "an error of a proxy, in HTML": goesOn(says("text/html", "<h1>Bad gateway</h1>", 502)),
  "an error with status 200": goesOn(fails(200, "overloaded_error")),
  "an error without a type, with status 200": goesOn(says("application/json", '{"error":"upstream"}')),
  "a page with status 200": goesOn(says("text/html", "<h1>Hello</h1>")),
  "nothing with status 200": goesOn(says("application/json", "")),
  "half an answer": goesOn(halfAnAnswer, whole),
  "a reset": goesOn(resets),
  "a hung request, past its limit": goesOn(hangs, { options: timed, tookMs: [SHORT_MS, BOUND_MS] }),
  "a hung body, past its limit": goesOn(hangsInBody, { options: timed, tookMs: [SHORT_MS, BOUND_MS] }),
  "a hung error, past its limit": goesOn(hangsInError, { options: timed, tookMs: [SHORT_MS, BOUND_MS] }),
  "overloaded_error in a stream before content": goesOn(streams(0, { error: "overloaded_error" }), streamed),
  "api_error in a stream before content": goesOn(streams(0, { error: "api_error" }), streamed),
  "a stream that ends before content": goesOn(streams(0, "ends"), streamed),
  "a stream that is reset before content": goesOn(streams(0, "resets"), streamed),
  "no first token": goesOn(streams(0, "hangs"), { ...streamed, options: { firstTokenTimeoutMs: SHORT_MS } }),
  "silence before content": goesOn(streams(0, "hangs"), { ...streamed, options: { idleTimeoutMs: SHORT_MS } }),
  "404 that names a model": goesOn(fails(404, "not_found_error", { message: `model: ${OPUS}` })),
  "403 that names a model": goesOn(fails(403, "permission_error", { message: `No access to the model ${OPUS}` })),
  "all overloaded: one pass": {
    opus: overloaded,
    sonnet: overloaded,
    haiku: overloaded,
    sent: ALL,
    gets: { status: 529 },
  },
  "all reset: one pass": { opus: resets, sonnet: resets, haiku: resets, sent: ALL, gets: { cause: expect.anything() } },

  "429 that is soon over: waited for": {
    opus: [limited(soon), answer()],
    sent: [OPUS, OPUS],
    gets: OPUS,
    gapMs: SHORT_MS,
  },
  "429 that is not over when it said: next model": goesOn(limited(soon), {
    sent: [OPUS, OPUS, SONNET],
    gapMs: SHORT_MS,
  }),
  "429 for long: next model": goesOn(limited(late), { tookMs: quick }),
  "429 without a time: next model": goesOn(limited({}), { tookMs: quick }),
  "429 that outlasts the deadline: next model": goesOn(limited({ "retry-after": "1" }), {
    options: { deadlineMs: 900 },
    tookMs: quick,
  }),
  "429 without fallbackOn429": {
    opus: [limited(soon), answer()],
    options: { fallbackOn429: false },
    sent: [OPUS, OPUS],
    gets: OPUS,
    gapMs: SHORT_MS,
  },
  "429 of the only model, past the deadline": {
    ask: HAIKU,
    haiku: limited({ "retry-after": "277403" }),
    options: { deadlineMs: 2_000 },
    sent: [HAIKU],
    gets: { status: 429 },
    tookMs: quick,
  },
  "ramp_limit_exceeded: the same model, later": {
    opus: [limited(soon, "ramp_limit_exceeded"), answer()],
    sent: [OPUS, OPUS],
    gets: OPUS,
    gapMs: SHORT_MS,
  },
  "ramp_limit_exceeded past the deadline": straight(limited(late, "ramp_limit_exceeded"), 429, {
    options: { deadlineMs: 2_000 },
    tookMs: quick,
  }),

  enforced_spend_limit_reached: straight(limited(late, "enforced_spend_limit_reached"), 429, { told: "spend limit" }),
  "contract_spend_limit_reached, though it says to retry": straight(
    limited({ "x-should-retry": "true", ...soon }, "contract_spend_limit_reached"),
    429,
    { told: "spend limit" },
  ),
  "402": straight(fails(402, "billing_error", again), 402, { told: "spend limit" }),
  "402 of the organisation of a user": straight(
    fails(402, "billing_error", { code: "linked_organization_spend_limit_reached" }),
    402,
  ),
  "400 that names usage limits": straight(
    fails(400, "invalid_request_error", { message: "You have reached your API usage limits." }),
    400,
    { told: "spend limit" },
  ),
  "a spend limit of a later model: at once": {
    opus: overloaded,
    sonnet: fails(402, "billing_error"),
    sent: [OPUS, SONNET],
    gets: { status: 402 },
    told: "spend limit",
  },

  "400": straight(fails(400, "invalid_request_error", again), 400),
  "413": straight(fails(413, "request_too_large"), 413),
  "422": straight(fails(422, "invalid_request_error", again), 422),
  "401": straight(fails(401, "authentication_error"), 401, { told: "not accepted" }),
  "403 that names no model": straight(fails(403, "permission_error", { message: "Forbidden" }), 403, {
    told: "not accepted",
  }),
  "404 that names no model": straight(fails(404, "not_found_error", { message: "Not Found" }), 404),
  "too long for the largest window": straight(tooLong, 400),
  "too long: a larger window": { ask: SMALL, small: tooLong, sent: [SMALL, SONNET], gets: SONNET },
  "too long: no smaller window is tried": {
    ask: SMALL,
    small: tooLong,
    sonnet: overloaded,
    sent: [SMALL, SONNET],
    gets: { status: 400 },
  },
  "400 after a change of model: next model": {
    opus: overloaded,
    sonnet: fails(400, "invalid_request_error"),
    sent: ALL,
    gets: HAIKU,
  },
  "400 of all after a change of model: the first error": {
    opus: overloaded,
    sonnet: fails(400, "invalid_request_error"),
    haiku: fails(404, "not_found_error", { message: `model: ${HAIKU}` }),
    sent: ALL,
    gets: { status: 529 },
  },

  "a refusal": { opus: answer("refusal"), sent: [OPUS], gets: OPUS },
  "a refusal, fallbackOnRefusal": goesOn(answer("refusal"), { options: { fallbackOnRefusal: true } }),
  "refusals of all, fallbackOnRefusal": {
    opus: answer("refusal"),
    sonnet: answer("refusal"),
    haiku: answer("refusal"),
    options: { fallbackOnRefusal: true },
    sent: ALL,
    gets: HAIKU,
  },
  "a refusal, then failures: the refusal": {
    opus: answer("refusal"),
    sonnet: overloaded,
    haiku: overloaded,
    options: { fallbackOnRefusal: true },
    sent: ALL,
    gets: OPUS,
  },

  "a stream that ends after content": { opus: streams(2, "ends"), ...streamed, sent: [OPUS], gets: BROKEN },
  "a stream that is reset after content": { opus: streams(2, "resets"), ...streamed, sent: [OPUS], gets: BROKEN },
  "silence after content": {
    opus: streams(2, "hangs"),
    ...streamed,
    options: { idleTimeoutMs: SHORT_MS },
    sent: [OPUS],
    gets: BROKEN,
  },
  "an error after content": {
    opus: streams(2, { error: "overloaded_error" }),
    ...streamed,
    sent: [OPUS],
    gets: { error: { error: { type: "overloaded_error" } } },
  },
  ...Object.fromEntries(
    (["ends", "resets", { error: "overloaded_error" }] as const).map((end) => [
      `bufferStreams: ${JSON.stringify(end)} after content`,
      goesOn(streams(2, end), { ...streamed, options: { bufferStreams: true } }),
    ]),
  ),
  "bufferStreams: silence after content": goesOn(streams(2, "hangs"), {
    ...streamed,
    options: { bufferStreams: true, idleTimeoutMs: SHORT_MS },
  }),
  "bufferStreams: a whole answer": { opus: answer(), options: { bufferStreams: true }, sent: [OPUS], gets: OPUS },
  "bufferStreams: all break off": {
    opus: streams(1, "ends"),
    sonnet: streams(1, "ends"),
    haiku: streams(1, "ends"),
    ...streamed,
    options: { bufferStreams: true },
    sent: ALL,
    gets: BROKEN,
  },

  "deadlineMs: a hung request": overtaken(hangs),
  "deadlineMs: a hung body": overtaken(hangsInBody),
  "deadlineMs: a hung error": overtaken(hangsInError),
  "deadlineMs: bounds all attempts together": {
    opus: hangs,
    sonnet: hangs,
    haiku: hangs,
    options: { deadlineMs: SHORT_MS * 1.5, ...timed },
    sent: [OPUS, SONNET],
    gets: DEADLINE,
    tookMs: [SHORT_MS * 1.5, 1_000],
  },
  "deadlineMs: the SDK's pause after a lost connection would outlast it": {
    ask: HAIKU,
    haiku: resets,
    options: { deadlineMs: SHORT_MS },
    sent: [HAIKU],
    gets: DEADLINE,
    tookMs: quick,
  },
  "the only model: the SDK's retries": {
    ask: HAIKU,
    haiku: fails(529, "overloaded_error", { headers: soon }),
    sent: [HAIKU, HAIKU, HAIKU],
    gets: { status: 529 },
    gapMs: SHORT_MS,
    tookMs: [2 * SHORT_MS, BOUND_MS],
  },
};

const told: string[] = [];
const note = (_fields: object, message: string): void => void told.push(message);
let provider: MisbehavingProvider;
let ledger: UsageServer;
let andon: Andon;
let baseURL: string;

beforeAll(async () => {
  provider = new MisbehavingProvider();
  ledger = new UsageServer(snapshotOf());
  ledger.parks = false;
  const [url, providerUrl] = await Promise.all([ledger.listen(), provider.listen()]);
  baseURL = providerUrl;
  andon = new Andon({ url, token: "andon_sdk_test", logger: { ...SILENT, warn: note, error: note } }, { env: {} });
  await andon.ready();
});
afterAll(async () => {
  await andon.close();
  await Promise.all([ledger.close(), provider.close()]);
});

/** The model that answered; a stream's answer only when it came to its end. */
async function answered(client: Anthropic, model: string, isStreamed: boolean): Promise<string> {
  const ask = { ...ASK, model };
  if (!isStreamed) return (await client.messages.create(ask)).model;
  let answering = "";
  let isWhole = false;
  for await (const event of await client.messages.create({ ...ask, stream: true })) {
    if (event.type === "message_start") answering = event.message.model;
    isWhole = event.type === "message_stop";
  }
  return isWhole ? answering : `a truncated answer of ${answering}`;
}

/** Of all attempts of a model: what their records come to, and whether each says that it is exact. */
function counted(records: readonly UsageRecord[], model: string): { tokens: number; exact: boolean } {
  const mine = records.filter((record) => record.model === model);
  const tokens = mine.reduce((sum, { usage }) => sum + usage.input + usage.output, 0);
  return { tokens, exact: mine.every(({ exact }) => exact) };
}

describe.each(SDKS)("$name", ({ Sdk }) => {
  const cases = Object.entries(ROWS).flatMap(([what, row]) =>
    (["whole", "streamed"] as const)
      .filter((how) => row.only === undefined || row.only === how)
      .map((how) => ({ what, row, how })),
  );

  it.each(cases)("$what ($how)", async ({ what, row, how }) => {
    const acts = { [OPUS]: row.opus, [SONNET]: row.sonnet, [HAIKU]: row.haiku, [SMALL]: row.small };
    provider.script(Object.fromEntries(Object.entries(acts).flatMap(([model, act]) => (act ? [[model, act]] : []))));
    told.length = 0;
    await andon.flush();
    const from = ledger.records.length;
    // Each row has an account of its own: one that is out of money stays so.
    const client = makeClient(Sdk, andon, baseURL, { apiKey: `${what} ${how}`, ...row.options });
    const startedMs = performance.now();
    const got = answered(client, row.ask ?? OPUS, how === "streamed");
    if (typeof row.gets === "string") expect(await got).toBe(row.gets);
    else expect(await errorOf(got)).toMatchObject(row.gets);
    const tookMs = performance.now() - startedMs;
    const [least, most] = row.tookMs ?? [0, BOUND_MS];
    expect(tookMs).toBeGreaterThanOrEqual(least - 1);
    expect(tookMs).toBeLessThan(most);
    const { calls } = provider;
    expect(calls.map(({ model }) => model)).toEqual(row.sent);
    const gapMs = (calls[1]?.atMs ?? 0) - (calls[0]?.atMs ?? 0);
    expect(gapMs).toBeGreaterThanOrEqual(row.gapMs ?? -Infinity);
    const alarms = told.filter((message) => /spend limit|not accepted/.test(message));
    expect(alarms.map((message) => message.includes(row.told ?? "-"))).toEqual(row.told === undefined ? [] : [true]);

    await andon.flush();
    const records = ledger.records.slice(from);
    expect(records.map(({ attempt }) => attempt)).toEqual(row.sent.map((_, index) => index + 1));
    for (const model of new Set(row.sent)) {
      const { tokens, exact } = counted(records, model);
      const billed = provider.billed.get(model) ?? 0;
      expect(tokens).toBeGreaterThanOrEqual(billed);
      if (exact) expect(tokens).toBe(billed);
    }
    const answering = records.at(-1);
    if (typeof row.gets === "string" && answering?.model === row.gets) {
      expect(answering).toMatchObject({
        exact: true,
        usage: { input: BILLED.input_tokens, output: BILLED.output_tokens },
      });
    }
  });
});
