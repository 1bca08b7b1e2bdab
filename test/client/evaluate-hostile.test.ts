/** Evaluating never throws and always answers, whatever the caller passes. */
import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Follower, startClient } from "./support/harness.ts";
import { ManualRuntime } from "./support/manual-runtime.ts";
import { makeFlag, makeSnapshot } from "./support/snapshots.ts";
import type { Snapshot } from "../../sdk-client/src/wire/protocol.ts";

/** Every operator with every type of value, and rules that admit: one flag each. */
const vectors: { snapshots: Record<string, Snapshot> } = JSON.parse(
  readFileSync(new URL("../vectors/evaluate.json", import.meta.url), "utf8"),
);
const flags = { ...vectors.snapshots["operators"]?.flags, ...vectors.snapshots["rollout"]?.flags };
const keys = Object.keys(flags);

function makeAndon() {
  const { logger } = new Follower();
  return startClient({ bootstrap: makeSnapshot("a.1", { flags }), logger }, new ManualRuntime());
}

/** Calls the public door with what the types forbid. */
function evaluateAnything(andon: object, ...input: unknown[]): unknown {
  const evaluate: unknown = Reflect.get(andon, "evaluate");
  if (typeof evaluate !== "function") throw new Error("no evaluate");
  return Reflect.apply(evaluate, andon, input);
}

const throwing = (): never => {
  throw new Error("hostile");
};
const cyclic: Record<string, unknown> = {};
cyclic["x"] = cyclic;

const contexts: [string, unknown][] = [
  ["null", null],
  ["a number", 7],
  ["text", "user-1"],
  ["a symbol", Symbol("x")],
  ["a function", throwing],
  ["an array", [1, 2]],
  ["a cyclic object", cyclic],
  ["getters that throw", Object.defineProperties({}, { x: { get: throwing }, targetingKey: { get: throwing } })],
  ["a proxy that throws", new Proxy({}, { get: throwing, has: throwing, getOwnPropertyDescriptor: throwing })],
  ["a revoked proxy", revokedProxy()],
  ["no prototype", Object.assign(Object.create(null), { x: "a" })],
  ["symbols and bigints", { x: Symbol("a"), targetingKey: 10n, session: Symbol("s") }],
  ["a bigint", { x: 5n }],
  ["not a number", { x: Number.NaN, targetingKey: Number.NaN }],
  ["an invalid date", { x: new Date(Number.NaN) }],
  ["a huge text", { x: "a".repeat(5_000_000), targetingKey: "k".repeat(5_000_000) }],
  ["a huge array", { x: Array.from({ length: 1_000_000 }, () => "zz") }],
  ["an array that throws", { x: new Proxy([1], { get: throwing }) }],
  [
    "an object that refuses to be text",
    { x: { toString: throwing, valueOf: throwing }, targetingKey: { toString: throwing } },
  ],
];

test.each(contexts)("a context of %s gets an answer", (_name, context) => {
  const andon = makeAndon();
  for (const flag of [...keys, "unknown"]) {
    expect(evaluateAnything(andon, flag, context)).toMatchObject({ flag, enabled: expect.any(Boolean) });
  }
});

test.each([undefined, null, 5, Symbol("flag"), {}, "__proto__", "constructor", "hasOwnProperty", ""])(
  "%o as a flag is an unknown flag",
  (flag) => {
    expect(evaluateAnything(makeAndon(), flag, {})).toMatchObject({ enabled: true, reason: "UNKNOWN", models: [] });
  },
);

test("any context gets an answer, and the same one twice", () => {
  const andon = makeAndon();
  fc.assert(
    fc.property(fc.constantFrom(...keys), fc.anything({ withDate: true }), (flag, x) => {
      const first = evaluateAnything(andon, flag, { x, targetingKey: x });
      expect(first).toEqual(evaluateAnything(andon, flag, { x, targetingKey: x }));
    }),
  );
});

test("what a decision holds cannot be used to change the next one", () => {
  const andon = startClient(
    {
      bootstrap: makeSnapshot("a.1", {
        flags: { chat: makeFlag({ chain: "main" }) },
        chains: { main: { steps: [{ model: "claude-opus-5-5" }] } },
      }),
      logger: new Follower().logger,
    },
    new ManualRuntime(),
  );
  const { models } = andon.evaluate("chat");
  expect(() => Reflect.apply(Array.prototype.push, models, ["other"])).toThrow(TypeError);
  expect(andon.evaluate("chat").models).toEqual(["claude-opus-5-5"]);
});

function revokedProxy(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}
