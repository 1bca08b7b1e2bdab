/** What callers get in place of an answer: from a cache or a fixed text, and when the application's check refuses one. */
import type Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Andon } from "../../sdk-client/src/andon.ts";
import type { AnsweredCall } from "../../sdk-client/src/anthropic.ts";
import { FLAG, flagOf, HAIKU, OPUS, snapshotOf, SONNET } from "../support/guard-snapshots.ts";
import { ASK, type ClientOptions, errorOf, makeClient, SDKS, SILENT } from "../support/guard-world.ts";
import { answer, fails, MisbehavingProvider, resets } from "../support/misbehaving-provider.ts";

const STATIC = "We answer you by mail within the day.";
const OFF = "Switched off for the night.";
const DOWN = { [OPUS]: fails(529, "overloaded_error"), [SONNET]: fails(500, "api_error"), [HAIKU]: resets };

let provider: MisbehavingProvider;
let baseURL: string;
const told: string[] = [];
const note = (_fields: object, message: string): void => void told.push(message);
const hosts: Andon[] = [];

function hostOf(flag = flagOf()): Andon {
  const andon = new Andon(
    { bootstrap: snapshotOf({ flags: { [FLAG]: flag } }), logger: { ...SILENT, warn: note, error: note } },
    { env: {} },
  );
  hosts.push(andon);
  return andon;
}

beforeAll(async () => {
  provider = new MisbehavingProvider();
  baseURL = await provider.listen();
});
afterAll(() => Promise.all([...hosts.map((andon) => andon.close()), provider.close()]));

function textOf(message: Anthropic.Message): string {
  return message.content.map((block) => (block.type === "text" ? block.text : block.type)).join("");
}

/** The text of an answer, whole or put together by the SDK from a stream, and what of it Andon says. */
async function ask(client: Anthropic, isStream: boolean): Promise<string> {
  if (!isStream) return textOf(await client.messages.create(ASK));
  return textOf(await client.messages.stream(ASK).finalMessage());
}

/** The key of a cache is the application's. */
function keyOf({ flag, body }: AnsweredCall): string {
  return `${flag} ${JSON.stringify(body["messages"])}`;
}

describe.each(SDKS.flatMap((sdk) => [false, true].map((isStream) => ({ ...sdk, isStream }))))(
  "$name, streamed: $isStream",
  ({ Sdk, isStream }) => {
    const client = (options: ClientOptions, flag = flagOf()) =>
      makeClient(Sdk, hostOf(flag), baseURL, { maxRetries: 2, ...options });

    it("the fixed text answers when the flag is off, all models failed, or the account is out of money", async () => {
      provider.script(DOWN);
      expect(await ask(client({ fallbackMessage: STATIC }), isStream)).toBe(STATIC);
      expect(provider.calls).toHaveLength(3);
      for (const act of [
        fails(402, "billing_error"),
        fails(400, "invalid_request_error", { message: "You have reached your API usage limits." }),
      ]) {
        provider.script({ [OPUS]: act });
        expect(await ask(client({ fallbackMessage: STATIC }), isStream)).toBe(STATIC);
      }
      const off = flagOf({ state: "off", cause: "manual", offMode: "message", offMessage: OFF });
      expect(await ask(client({ fallbackMessage: STATIC }, off), isStream)).toBe(STATIC);
      expect(await ask(client({}, off), isStream)).toBe(OFF);
    });

    it("a fault of the request is the caller's to see", async () => {
      provider.script({ [OPUS]: fails(400, "invalid_request_error") });
      expect(await errorOf(ask(client({ fallbackMessage: STATIC }), isStream))).toMatchObject({ status: 400 });
      const large = client({ fallbackMessage: STATIC, maxInputBytes: 10 });
      expect(await errorOf(ask(large, isStream))).toMatchObject({
        code: "ANDON_FEATURE_DISABLED",
        limit: { name: "maxInputBytes", allowed: 10 },
      });
      const stricter = client({ maxInputBytes: 1_000_000 }, flagOf({ maxInputBytes: 20 }));
      expect(await errorOf(ask(stricter, isStream))).toMatchObject({ limit: { allowed: 20 } });
    });

    it("a cache is filled by whole answers and answers before the fixed text; one that fails costs no call", async () => {
      const kept = new Map<string, object>();
      const cache = {
        get: async (call: AnsweredCall) => kept.get(keyOf(call)),
        set: (call: AnsweredCall, message: object) => void kept.set(keyOf(call), message),
      };
      const cached = client({ cache, fallbackMessage: STATIC, bufferStreams: true });
      provider.script({});
      const first = await ask(cached, isStream);
      expect(kept.size).toBe(1);
      provider.script(DOWN);
      expect(await ask(cached, isStream)).toBe(first);
      kept.clear();
      expect(await ask(cached, isStream)).toBe(STATIC);
      const broken = { get: () => Promise.reject(new Error("redis is down")) };
      expect(await ask(client({ cache: broken, fallbackMessage: STATIC }), isStream)).toBe(STATIC);
    });

    it("an answer that the check refuses is not given: an error of its own, or the off message", async () => {
      provider.script({});
      const seen: unknown[] = [];
      const options: ClientOptions = {
        bufferStreams: true,
        checkOutput: (message, call) => {
          seen.push(call.flag, message["model"], message["stop_reason"]);
          return JSON.stringify(message["content"]).includes("forbidden") || "it says nothing that is forbidden";
        },
      };
      const error = await errorOf(ask(client(options), isStream));
      expect(error).toMatchObject({
        code: "ANDON_OUTPUT_REFUSED",
        flag: FLAG,
        why: "it says nothing that is forbidden",
      });
      expect(error).toBeInstanceOf(Sdk.AnthropicError);
      expect(error.message).not.toContain("forbidden");
      expect(seen).toEqual([FLAG, OPUS, "end_turn"]);
      const asMessage = flagOf({ offMode: "message", offMessage: OFF });
      expect(await ask(client(options, asMessage), isStream)).toBe(OFF);
      const throwing: ClientOptions = {
        bufferStreams: true,
        checkOutput: () => {
          throw new Error("the checker is down");
        },
      };
      expect(await errorOf(ask(client(throwing), isStream))).toMatchObject({ code: "ANDON_OUTPUT_REFUSED" });
      const fine = await ask(client({ bufferStreams: true, checkOutput: () => true }), isStream);
      expect(fine).toBe(await ask(client({}), isStream));
    });

    it("a stream that is not held back is passed on unchecked, and that is said", async () => {
      provider.script({ [OPUS]: answer() });
      told.length = 0;
      const asked = ask(client({ checkOutput: () => false }), isStream);
      if (!isStream) expect(await errorOf(asked)).toMatchObject({ code: "ANDON_OUTPUT_REFUSED" });
      else {
        await asked;
        expect(told.join()).toContain("unchecked");
      }
    });
  },
);

it("what a user sees of an answer that broke off says nothing of the connection", async () => {
  provider.script({
    [OPUS]: (res) => void res.writeHead(200, { "content-length": "9999" }).write("{", () => res.destroy()),
  });
  const alone = makeClient(SDKS[0]?.Sdk ?? expect.unreachable(), hostOf(flagOf({ chain: null })), baseURL, {
    maxRetries: 0,
  });
  const error = await errorOf(alone.messages.create(ASK));
  expect(error).toMatchObject({ code: "ANDON_ANSWER_BROKEN", message: "The answer broke off before it was complete." });
});
