/** What chains say when they are defined of models that cannot take what the others can. */
import { expect, it } from "vitest";
import { modelNames } from "../../sdk-client/src/evaluate/model-names.ts";
import type { ChainStep } from "../../sdk-client/src/wire/protocol.ts";
import { abilityWarnings } from "../../src/domain/model-abilities.ts";

const warnings = (...steps: (string | ChainStep)[]) =>
  abilityWarnings(
    steps.map((step) => (typeof step === "string" ? { model: step } : step)),
    modelNames({ "our-opus": "claude-opus-5-5" }),
  );

it("models of one kind, and models nobody knows, are taken without a word", () => {
  expect(warnings("claude-sonnet-4-5", "us.anthropic.claude-haiku-4-5-20251001-v1:0")).toEqual([]);
  expect(warnings("claude-opus-5-5", "claude-sonnet-5-5")).toEqual([]);
  expect(warnings("claude-opus-5-5", "house-model", "claude-3-haiku")).toEqual([]);
});

it("a smaller window and another kind of thinking are told, in any spelling", () => {
  expect(warnings("our-opus", "claude-haiku-4-5@20251001")).toEqual([
    "Step 2, claude-haiku-4-5@20251001, refuses what a step before it takes: prompts above 200,000 tokens; `thinking` of type `adaptive` (set or unset it).",
  ]);
});

it("what a step patches is not told again, and what it sets in vain is", () => {
  expect(warnings("claude-opus-5-5", { model: "claude-haiku-4-5", unset: ["thinking"] })).toEqual([
    "Step 2, claude-haiku-4-5, refuses what a step before it takes: prompts above 200,000 tokens.",
  ]);
  expect(warnings({ model: "claude-opus-5-5", set: { temperature: 0.2, thinking: { type: "disabled" } } })).toEqual([
    "Step 1, claude-opus-5-5, refuses what it sets: `temperature`, `thinking` of type `disabled`.",
  ]);
});

it("parameters and prefills of older models are told where a newer one comes after them", () => {
  expect(warnings("claude-sonnet-4-5", { model: "claude-haiku-5-5", unset: ["temperature", "thinking"] })).toEqual([
    "Step 2, claude-haiku-5-5, refuses what a step before it takes: `top_p`, `top_k` (unset them); a last message of the assistant's.",
  ]);
  expect(warnings("claude-opus-4-8", "claude-opus-5-5")).toEqual([
    "Step 2, claude-opus-5-5, refuses what a step before it takes: `thinking` of type `disabled` (set or unset it).",
  ]);
});
